"""The block as DeepSeek-OCR's CLIP-L tower defines it in PyTorch: what this library must agree with."""

import torch
from torch import nn


@torch.jit.script
def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


class NoTPFeedForward(nn.Module):
    def __init__(self, cfg, dim: int, hidden_dim: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim, bias=True)
        self.fc2 = nn.Linear(hidden_dim, dim, bias=True)

    def forward(self, x):
        return self.fc2(quick_gelu(self.fc1(x)))
