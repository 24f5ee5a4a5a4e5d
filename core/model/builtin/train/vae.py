"""The autoencoder of SD 1.x: pictures in -1..1 to latents with 8 pixels a cell, and back."""

import torch
from torch import nn
from torch.nn import functional as F

from blocks import GroupNorm, attention, conv, zeroed

EPS = 1e-6


class ResBlock(nn.Module):
    def __init__(self, inputs, outputs, groups):
        super().__init__()
        self.norm1, self.conv1 = GroupNorm(groups, inputs, EPS, silu=True), conv(inputs, outputs, 3)
        self.norm2, self.conv2 = GroupNorm(groups, outputs, EPS, silu=True), zeroed(conv(outputs, outputs, 3))
        self.nin_shortcut = conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x):
        h = self.conv1(self.norm1(x))
        return self.nin_shortcut(x) + self.conv2(self.norm2(h))


class Attention(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.norm = GroupNorm(groups, channels, EPS)
        self.q, self.k, self.v = (conv(channels, channels, 1) for _ in range(3))
        self.proj_out = zeroed(conv(channels, channels, 1))

    def forward(self, x):
        n, channels, height, width = x.shape
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        h = attention(q, k, v, 1).transpose(1, 2).reshape(n, channels, height, width)
        return x + self.proj_out(h)


class Middle(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.block_1, self.attn_1 = ResBlock(channels, channels, groups), Attention(channels, groups)
        self.block_2 = ResBlock(channels, channels, groups)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class Downsample(nn.Module):
    """Pads on the right and below only, as SD's does."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = conv(channels, channels, 3)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Level(nn.Module):
    def __init__(self, inputs, outputs, blocks, groups):
        super().__init__()
        self.block = nn.ModuleList(ResBlock(inputs if i == 0 else outputs, outputs, groups) for i in range(blocks))

    def forward(self, x):
        for block in self.block:
            x = block(x)
        return x


class Encoder(nn.Module):
    def __init__(self, spec):
        super().__init__()
        channels, groups = [spec["ch"] * mult for mult in spec["ch_mult"]], spec["norm_groups"]
        self.conv_in = conv(3, spec["ch"], 3)
        self.down = nn.ModuleList()
        for i, width in enumerate(channels):
            level = Level(channels[i - 1] if i else spec["ch"], width, spec["num_res_blocks"], groups)
            if i + 1 < len(channels):
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(channels[-1], groups)
        self.norm_out = GroupNorm(groups, channels[-1], EPS, silu=True)
        self.conv_out = conv(channels[-1], 2 * spec["z_channels"], 3)

    def forward(self, x):
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
            if hasattr(level, "downsample"):
                x = level.downsample(x)
        return self.conv_out(self.norm_out(self.mid(x)))


class Decoder(nn.Module):
    def __init__(self, spec):
        super().__init__()
        channels, groups = [spec["ch"] * mult for mult in spec["ch_mult_decoder"]], spec["norm_groups"]
        self.conv_in = conv(spec["z_channels"], channels[-1], 3)
        self.mid = Middle(channels[-1], groups)
        levels = []
        for i, width in enumerate(channels):
            level = Level(channels[i + 1] if i + 1 < len(channels) else width, width, spec["num_res_blocks"] + 1, groups)
            if i:
                level.upsample = Upsample(width)
            levels.append(level)
        self.up = nn.ModuleList(levels)
        self.norm_out = GroupNorm(groups, channels[0], EPS, silu=True)
        self.conv_out = conv(channels[0], 3, 3)

    def forward(self, z):
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
            if hasattr(level, "upsample"):
                x = level.upsample(x)
        return self.conv_out(self.norm_out(x))


class VAE(nn.Module):
    """spec: the "vae" of a couplet.spec. Latents are here as the encoder makes them, not yet times scaling_factor."""

    def __init__(self, spec):
        super().__init__()
        self.encoder, self.decoder = Encoder(spec), Decoder(spec)
        z = spec["z_channels"]
        self.quant_conv, self.post_quant_conv = conv(2 * z, 2 * z, 1), conv(z, z, 1)

    def encode(self, pictures):
        """Mean and log variance."""
        mean, log_variance = self.quant_conv(self.encoder(pictures)).float().chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z)).float()
