"""Loads a saved `gpt` model in PyTorch. The file's names and layouts are GPT-2's."""

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


class Affine(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(inputs, outputs)), nn.Parameter(torch.empty(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.ln_1, self.ln_2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"c_attn": Affine(width, 3 * width), "c_proj": Affine(width, width)})
        self.mlp = nn.ModuleDict({"c_fc": Affine(width, 4 * width), "c_proj": Affine(4 * width, width)})

    def forward(self, x):
        parts = self.attn["c_attn"](self.ln_1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts, is_causal=True)
        x = x + self.attn["c_proj"](mixed.transpose(1, 2).flatten(2))
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, file, heads):
        super().__init__()
        weights = load_file(file)
        tokens, width = weights["transformer.wte.weight"].shape
        blocks = sum(name.endswith("ln_1.weight") for name in weights)
        parts = {"wte": nn.Embedding(tokens, width), "wpe": nn.Embedding(*weights["transformer.wpe.weight"].shape)}
        parts["h"], parts["ln_f"] = nn.ModuleList(Block(width, heads) for _ in range(blocks)), nn.LayerNorm(width)
        self.transformer = nn.ModuleDict(parts)
        self.load_state_dict(weights)

    def forward(self, tokens):  # [N, T] -> [N, T, tokens]
        x = self.transformer["wte"](tokens) + self.transformer["wpe"].weight[: tokens.shape[1]]
        for block in self.transformer["h"]:
            x = block(x)
        return self.transformer["ln_f"](x) @ self.transformer["wte"].weight.T
