"""CLIP's text transformer, in Hugging Face's names."""

import torch
from torch import nn

from blocks import LayerNorm, attention


class SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        return self.out_proj(attention(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, causal=True))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))  # quick GELU


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.layer_norm1, self.self_attn = LayerNorm(width), SelfAttention(width, heads)
        self.layer_norm2, self.mlp = LayerNorm(width), MLP(width)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class TextEncoder(nn.Module):
    """ids [n, context_length] to the final norm's output [n, context_length, width]."""

    def __init__(self, vocab_size, width, layers, heads, context_length):
        super().__init__()
        self.embeddings = nn.ModuleDict({"token_embedding": nn.Embedding(vocab_size, width),
                                         "position_embedding": nn.Embedding(context_length, width)})
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(Layer(width, heads) for _ in range(layers))})
        self.final_layer_norm = LayerNorm(width)
        for embedding in self.embeddings.values():
            nn.init.normal_(embedding.weight, std=0.05)

    def forward(self, ids):
        x = self.embeddings["token_embedding"](ids) + self.embeddings["position_embedding"].weight
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.final_layer_norm(x)
