"""What text encoder, UNet and VAE are built of. Parameters have the names that LDM checkpoints give them."""

import torch
from torch import nn
from torch.nn import functional as F

import fused


class GroupNorm(nn.GroupNorm):
    """silu: with a SiLU behind it."""

    def __init__(self, groups, channels, eps=1e-5, silu=False):
        super().__init__(groups, channels, eps=eps)
        self.silu = silu

    def forward(self, x):
        return fused.group_norm(x, self.num_groups, self.weight, self.bias, self.eps, self.silu)


class LayerNorm(nn.LayerNorm):
    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2)


def softmax(scores):
    """Sums are f32 inside; scores and result stay of their type, as they are most of what a step moves."""
    with torch.autocast(scores.device.type, enabled=False):
        return scores.softmax(-1)


def attention(q, k, v, heads, causal=False):
    """[n, tokens, channels] each."""
    n, tokens, channels = q.shape
    q = q * (channels // heads) ** -0.5
    q, k, v = (x.reshape(n, -1, heads, channels // heads).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(2, 3)
    if causal:
        later = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return (softmax(scores) @ v).transpose(1, 2).reshape(n, tokens, channels)


def coupled_attention(q, k, v, masks, heads):
    """couplet's coupled attention: out[t] = sum over regions r of masks[r, t] * attention(q[t], k[r], v[r]).

    q: [n, tokens, channels]; k, v: [n, regions, text, channels]; masks: [n, regions, tokens], their sum over regions is 1.
    As it is 1, one projection after this serves all regions."""
    n, tokens, channels = q.shape
    regions, text = k.shape[1:3]
    q = (q * (channels // heads) ** -0.5).reshape(n, 1, tokens, heads, -1).transpose(2, 3)
    k, v = (x.reshape(n, regions, text, heads, -1).transpose(2, 3) for x in (k, v))
    heard = softmax(q @ k.transpose(3, 4)) @ v
    heard = (heard * masks[:, :, None, :, None].to(heard.dtype)).sum(1)
    return heard.transpose(1, 2).reshape(n, tokens, channels)


class GEGLU(nn.Module):
    """The first half is the value, the second the gate."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.proj = nn.Linear(inputs, 2 * outputs)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


def zeroed(module):
    """So that a block begins as no change at all."""
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    return module
