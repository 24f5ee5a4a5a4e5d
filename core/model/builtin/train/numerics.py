"""Is this torch's arithmetic right? Its results against plain formulas in double, so that a wrong kernel stops a training
before it begins."""

import torch

from blocks import GroupNorm, attention, conv

LIMIT = 2e-5


def group_norm_by_hand(x, groups, weight, bias, eps):
    n, channels, height, width = x.shape
    parts = x.reshape(n, groups, -1)
    mean, variance = parts.mean(2, keepdim=True), parts.var(2, unbiased=False, keepdim=True)
    normed = ((parts - mean) / (variance + eps).sqrt()).reshape(x.shape)
    return normed * weight[:, None, None] + bias[:, None, None]


def gradients_of(function, x, direction):
    x = x.detach().requires_grad_(True)
    (function(x) * direction).sum().backward()
    return x.grad


def worst(function, by_hand, x):
    """Largest differences of results and of gradients."""
    direction = torch.randn_like(by_hand(x.double()).float())
    value = (function(x) - by_hand(x.double())).abs().max()
    slope = (gradients_of(function, x, direction) - gradients_of(by_hand, x.double(), direction.double())).abs().max()
    return float(value), float(slope)


def differences(device):
    """Of what the networks are made of, on shapes that they have."""
    torch.manual_seed(0)
    found = {}
    for channels, groups, side in ((64, 8, 16), (24, 8, 64), (16, 8, 33)):
        norm = GroupNorm(groups, channels).to(device)
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
        weight, bias = norm.weight.detach().double(), norm.bias.detach().double()
        x = torch.randn(4, channels, side, side, device=device) * 3 + 1
        for name, laid in (("", x), (" channels last", x.contiguous(memory_format=torch.channels_last))):
            found[f"group norm {channels}/{groups}{name}"] = worst(
                norm, lambda y: group_norm_by_hand(y, groups, weight, bias, norm.eps), laid)
    layer = conv(24, 48, 3).to(device)
    double = conv(24, 48, 3).to(device).double()
    double.load_state_dict(layer.state_dict())
    found["convolution"] = worst(layer, double, torch.randn(2, 24, 32, 32, device=device))
    q = torch.randn(2, 64, 64, device=device)
    found["attention"] = worst(lambda y: attention(y, y, y, 2), lambda y: attention_by_hand(y, 2), q)
    return found


def attention_by_hand(x, heads):
    parts = []
    for part in x.chunk(heads, 2):
        weights = (part @ part.transpose(1, 2) / part.shape[2] ** 0.5).exp()
        parts.append(weights / weights.sum(2, keepdim=True) @ part)
    return torch.cat(parts, 2)


def run(settings):
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    wrong = []
    for name, (value, slope) in differences(settings.run.device).items():
        print(f"{name}: off by {value:.2g}, its gradient by {slope:.2g}")
        # Gradients are sums over many cells, so their rounding is larger.
        if value > LIMIT or slope > 10 * LIMIT:
            wrong.append(name)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
    if wrong:
        raise SystemExit(f"torch {torch.__version__} computes wrong: {', '.join(wrong)}")
