"""Is this torch's arithmetic right? Its results against plain formulas in double, so that a wrong kernel stops a training
before it begins."""

import contextlib

import torch

import model
from blocks import GroupNorm, attention, conv
from muon import orthogonal
from unet import Text

LIMIT = 2e-5
BF16_LIMIT = 0.03
NORM_BF16_LIMIT = 0.003


def group_norm_by_hand(x, norm):
    weight, bias = norm.weight.detach().double(), norm.bias.detach().double()
    parts = x.reshape(len(x), norm.num_groups, -1)
    mean, variance = parts.mean(2, keepdim=True), parts.var(2, unbiased=False, keepdim=True)
    normed = ((parts - mean) / (variance + norm.eps).sqrt()).reshape(x.shape)
    y = normed * weight[:, None, None] + bias[:, None, None]
    return y / (1 + (-y).exp()) if norm.silu else y


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
        for silu in (False, True):
            norm = GroupNorm(groups, channels, silu=silu).to(device)
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
            x = torch.randn(4, channels, side, side, device=device) * 3 + 1
            for name, laid in (("", x), (" channels last", x.contiguous(memory_format=torch.channels_last))):
                found[f"group norm {channels}/{groups}{' and SiLU' if silu else ''}{name}"] = worst(
                    norm, lambda y: group_norm_by_hand(y, norm), laid)
    layer = conv(24, 48, 3).to(device)
    double = conv(24, 48, 3).to(device).double()
    double.load_state_dict(layer.state_dict())
    found["convolution"] = worst(layer, double, torch.randn(2, 24, 32, 32, device=device))
    q = torch.randn(2, 64, 64, device=device)
    found["attention"] = worst(lambda y: attention(y, y, y, 2), lambda y: attention_by_hand(y, 2), q)
    return found


def norm_in_bf16():
    """A group norm that takes and gives bf16: largest relative difference (of norms) of result and gradients from double's, on
    the same bf16 numbers. The rounding to bf16 alone is 0.002."""
    torch.manual_seed(0)
    norm = GroupNorm(4, 16, silu=True)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x, direction = ((torch.randn(4, 16, 33, 31) * 3 + 1).bfloat16() for _ in range(2))

    def relative(value, wanted):
        return float((value.double() - wanted).norm() / wanted.norm())

    def by_hand(y):
        return group_norm_by_hand(y, norm)

    return max(relative(norm(x), by_hand(x.double())),
               relative(gradients_of(norm, x, direction), gradients_of(by_hand, x.double(), direction.double())))


def in_bf16(settings):
    """A whole denoiser with matrix products in bf16 against itself in f32: how far off its result is (relative), and how
    far the direction of its gradient (1 - cosine)."""
    torch.manual_seed(0)
    spec = model.spec_of(settings, 100)
    denoiser = model.Denoiser(spec).to(settings.run.device)
    for parameter in denoiser.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)  # or most of it would have no effect
    x, wanted = (torch.randn(8, spec["unet"]["in_channels"], 16, 16, device=settings.run.device) for _ in range(2))
    ids = torch.randint(100, (8, 1, spec["text"][0]["context_length"]), device=settings.run.device)
    steps = torch.arange(8, device=settings.run.device) * 120
    results, slopes = [], []
    for context in (contextlib.nullcontext(), model.matrix_type(settings)):
        with context:
            guess = denoiser.unet(x, steps, Text(denoiser.conditioning(ids)))
        denoiser.zero_grad()
        (guess - wanted).pow(2).mean().backward()
        results.append(guess.detach())
        slopes.append(torch.cat([parameter.grad.flatten() for parameter in denoiser.parameters()]))
    off = (results[1] - results[0]).norm() / results[0].norm()
    return float(off), float(1 - torch.nn.functional.cosine_similarity(*slopes, dim=0))


def orthogonal_between(device):
    """Singular values of what `orthogonal` makes of matrices whose own ones lie between 0.01 and 1."""
    values = []
    for rows, columns in ((16, 144), (176, 64), (96, 864)):
        shorter = min(rows, columns)
        left, right = (torch.linalg.qr(torch.randn(side, shorter)).Q.to(device) for side in (rows, columns))
        spread = torch.logspace(-2, 0, shorter, device=device)
        values.append(torch.linalg.svdvals(orthogonal(left * spread @ right.t())))
    return float(torch.cat(values).min()), float(torch.cat(values).max())


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
    if settings.run.matrix_type == "bf16":
        off, turned = in_bf16(settings)
        print(f"bf16: the denoiser is off by {off:.2g} of its size, its gradient turned by {turned:.2g}")
        if off > BF16_LIMIT or turned > BF16_LIMIT:
            wrong.append("bf16")
        if settings.run.device == "cpu":
            off = norm_in_bf16()
            print(f"bf16: a group norm is off by {off:.2g} of its size")
            if off > NORM_BF16_LIMIT:
                wrong.append("group norm in bf16")
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
    smallest, largest = orthogonal_between(settings.run.device)
    print(f"Muon's steps: singular values from {smallest:.2f} to {largest:.2f}")
    if not 0.6 < smallest <= largest < 1.3:
        wrong.append("singular values")
    if wrong:
        raise SystemExit(f"torch {torch.__version__} computes wrong: {', '.join(wrong)}")
