"""The UNet of SD 1.x, with regions: each picture hears several texts, each where its mask is."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from blocks import GEGLU, GroupNorm, LayerNorm, attention, conv, coupled_attention, zeroed


class Text:
    """What the cross-attentions hear. conditioning: [n, regions, tokens, width]; masks: for each level [n, regions, cells],
    or None where there is but one region."""

    def __init__(self, conditioning, masks=None):
        self.conditioning, self.masks = conditioning, masks


class ResBlock(nn.Module):
    """Identities stand where SD has SiLU and dropout, so that the layers behind them keep their numbers."""

    def __init__(self, inputs, outputs, time_width, groups):
        super().__init__()
        self.in_layers = nn.Sequential(GroupNorm(groups, inputs, silu=True), nn.Identity(), conv(inputs, outputs, 3))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, outputs))
        self.out_layers = nn.Sequential(GroupNorm(groups, outputs, silu=True), nn.Identity(), nn.Identity(),
                                        zeroed(conv(outputs, outputs, 3)))
        self.skip_connection = conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, time):
        h = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Attention(nn.Module):
    def __init__(self, channels, context_width, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_width, channels, bias=False)
        self.to_v = nn.Linear(context_width, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x):
        return self.to_out[0](attention(self.to_q(x), self.to_k(x), self.to_v(x), self.heads))

    def hear(self, x, text, level):
        k, v = self.to_k(text.conditioning), self.to_v(text.conditioning)
        if text.masks is None:
            return self.to_out[0](attention(self.to_q(x), k[:, 0], v[:, 0], self.heads))
        return self.to_out[0](coupled_attention(self.to_q(x), k, v, text.masks[level], self.heads))


class TransformerBlock(nn.Module):
    def __init__(self, channels, context_width, heads):
        super().__init__()
        self.norm1, self.attn1 = LayerNorm(channels), Attention(channels, channels, heads)
        self.norm2, self.attn2 = LayerNorm(channels), Attention(channels, context_width, heads)
        self.norm3 = LayerNorm(channels)
        self.ff = nn.ModuleDict({"net": nn.ModuleList([GEGLU(channels, 4 * channels), nn.Identity(),
                                                       nn.Linear(4 * channels, channels)])})

    def forward(self, x, text, level):
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2.hear(self.norm2(x), text, level)
        value = self.norm3(x)
        for module in self.ff["net"]:
            value = module(value)
        return x + value


class Transformer(nn.Module):
    """Another epsilon than all other norms of the UNet, as in SD."""

    def __init__(self, channels, context_width, head_channels, groups, level):
        super().__init__()
        self.level = level
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = conv(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, context_width, channels // head_channels)])
        self.proj_out = zeroed(conv(channels, channels, 1))

    def forward(self, x, text):
        n, channels, height, width = x.shape
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            tokens = block(tokens, text, self.level)
        return x + self.proj_out(tokens.transpose(1, 2).reshape(n, channels, height, width))


class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.op = conv(channels, channels, 3, stride=2)

    def forward(self, x):
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = conv(channels, channels, 3)

    def forward(self, x, size):
        return self.conv(F.interpolate(x, size=size, mode="nearest"))


def time_waves(steps, channels):
    """Cosines first, then sines."""
    half = channels // 2
    rates = torch.exp(torch.arange(half, device=steps.device, dtype=torch.float32) * (-math.log(10000) / half))
    angles = steps.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], 1)


class UNet(nn.Module):
    """spec: the "unet" of a couplet.spec."""

    def __init__(self, spec):
        super().__init__()
        channels, groups, blocks = spec["model_channels"], spec["norm_groups"], spec["num_res_blocks"]
        time_width, levels = 4 * channels, len(spec["channel_mult"])
        self.channels = channels

        def resblock(inputs, outputs):
            return ResBlock(inputs, outputs, time_width, groups)

        def transformer(width, level):
            return Transformer(width, spec["context_dim"], spec["num_head_channels"], groups, level)

        self.time_embed = nn.Sequential(nn.Linear(channels, time_width), nn.SiLU(), nn.Linear(time_width, time_width))
        self.input_blocks, skips, width = nn.ModuleList(), [], channels
        for level, mult in enumerate(spec["channel_mult"]):
            entrance = Downsample(width) if level else conv(spec["in_channels"], channels, 3)
            self.input_blocks.append(nn.ModuleList([entrance]))
            skips.append(width)
            for _ in range(blocks):
                self.input_blocks.append(nn.ModuleList([resblock(width, channels * mult),
                                                        transformer(channels * mult, level)]))
                width = channels * mult
                skips.append(width)
        self.middle_block = nn.ModuleList([resblock(width, width), transformer(width, levels - 1),
                                           resblock(width, width)])
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(levels)):
            outputs = channels * spec["channel_mult"][level]
            for block in range(blocks + 1):
                modules = [resblock(width + skips.pop(), outputs), transformer(outputs, level)]
                if level and block == blocks:
                    modules.append(Upsample(outputs))
                self.output_blocks.append(nn.ModuleList(modules))
                width = outputs
        self.out = nn.Sequential(GroupNorm(groups, width, silu=True), nn.Identity(),
                                 zeroed(conv(width, spec["in_channels"], 3)))

    def forward(self, x, steps, text):
        """x: [n, channels, h, w]; steps: [n], 0..999. Gives the noise that it takes to be in x."""
        time = self.time_embed(time_waves(steps, self.channels))
        skips = []
        for modules in self.input_blocks:
            x = self.run(modules, x, time, text)
            skips.append(x)
        x = self.run(self.middle_block, x, time, text)
        for modules in self.output_blocks:
            x = torch.cat([x, skips.pop().to(x.dtype)], 1)
            x = self.run(modules, x, time, text, skips[-1].shape[2:] if skips else None)
        return self.out(x).float()

    @staticmethod
    def run(modules, x, time, text, size=None):
        for module in modules:
            if isinstance(module, ResBlock):
                x = module(x, time)
            elif isinstance(module, Transformer):
                x = module(x, text)
            elif isinstance(module, Upsample):
                x = module(x, size)
            else:
                x = module(x)
        return x
