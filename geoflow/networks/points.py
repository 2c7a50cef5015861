"""The point backbone: a permutation-equivariant transformer over clouds, linear in the points.

Points never attend to each other. In every round a few hundred latents read the points, think
among themselves, and the points read the latents. The output moves with its point: permuting the
input permutes it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoflow.flow.condition import Condition
from geoflow.networks.layers import (
    Block,
    CrossAttention,
    SwiGLU,
    TimeEmbedding,
)


class PointCode(nn.Module):
    """(B, N, 3) -> (B, N, width): sines and cosines of the coordinates, and a linear layer.

    The rates double from pi / 4, so that a unit cloud with noise around it fits into one period.
    """

    rates: Tensor

    def __init__(self, width: int, octaves: int = 7) -> None:
        super().__init__()
        rates = torch.tensor([math.pi / 4 * 2**k for k in range(octaves)])
        self.register_buffer("rates", rates, persistent=False)
        self.linear = nn.Linear(3 + 6 * octaves, width)

    def features(self, x: Tensor) -> Tensor:
        """(B, N, 3) -> (B, N, 3 + 6 octaves) float32, before the linear layer."""
        with torch.autocast(x.device.type, enabled=False):
            angles = (x.float()[..., None] * self.rates).flatten(-2)
            return torch.cat((x.float(), angles.sin(), angles.cos()), -1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.features(x))


class Round(nn.Module):
    """Latents read the points, think, and the points read the latents.

    Args:
        null_token: both readings have a learned token beside what they read, see CrossAttention.
    """

    def __init__(
        self, width: int, hidden: int, point_hidden: int, blocks: int, null_token: bool = False
    ) -> None:
        super().__init__()
        self.read = CrossAttention(width, width, optional=null_token)
        self.blocks = nn.ModuleList(Block(width, hidden) for _ in range(blocks))
        self.write = CrossAttention(width, width, optional=null_token)
        self.mlp = SwiGLU(width, point_hidden)
        self.modulation_bias = nn.Parameter(torch.zeros(6, width))
        self.norm_points = nn.RMSNorm(width, elementwise_affine=False)
        self.norm_latents = nn.RMSNorm(width, elementwise_affine=False)

    def forward(
        self, points: Tensor, latents: Tensor, modulation: Tensor, cond: Condition
    ) -> tuple[Tensor, Tensor]:
        parts = (modulation + self.modulation_bias).unsqueeze(2).unbind(1)
        scale1, shift1, gate1, scale2, shift2, gate2 = parts
        tokens = self.norm_points(points) * (1 + scale1) + shift1
        latents = latents + self.read(self.norm_latents(latents), tokens, None)
        for block in self.blocks:
            latents = block(latents, modulation, cond)
        points = points + (1 + gate1) * self.write(tokens, self.norm_latents(latents), None)
        change = self.mlp(self.norm_points(points) * (1 + scale2) + shift2)
        return points + (1 + gate2) * change, latents


class PointTransformer(nn.Module):
    """net(x, t, r, cond) -> raw prediction, all (B, N, 3), for any N.

    Args:
        width: of points and latents.
        latents: how many.
        rounds: readings of the points.
        blocks: transformer blocks in a round.
        hidden, point_hidden: feed-forward widths of latents and points.
        categories: number of labels; label `categories` means none.
    """

    def __init__(
        self,
        width: int = 192,
        latents: int = 256,
        rounds: int = 3,
        blocks: int = 2,
        hidden: int = 512,
        point_hidden: int = 384,
        categories: int = 0,
    ) -> None:
        super().__init__()
        self.categories = categories
        self.code = PointCode(width)
        self.latents = nn.Parameter(torch.empty(latents, width).normal_(std=0.5))
        self.time = TimeEmbedding(width)
        self.label = nn.Embedding(categories + 1, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.rounds = nn.ModuleList(
            Round(width, hidden, point_hidden, blocks) for _ in range(rounds)
        )
        self.norm = nn.RMSNorm(width, elementwise_affine=False)
        self.head = nn.Linear(width, 3)
        nn.init.normal_(self.label.weight, std=0.02)
        for layer in (self.modulation, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, t: Tensor, r: Tensor, cond: Condition | None = None) -> Tensor:
        cond = Condition() if cond is None else cond
        labels = cond.labels
        if labels is None:
            labels = torch.full((x.shape[0],), self.categories, device=x.device)
        with torch.autocast(x.device.type, enabled=False):
            signal = F.silu(self.time(t, r) + self.label(labels))
            modulation = self.modulation(signal).view(x.shape[0], 6, -1)
        points = self.code(x)
        latents = self.latents.expand(x.shape[0], -1, -1)
        for part in self.rounds:
            points, latents = part(points, latents, modulation, cond)
        return self.head(self.norm(points)).to(x.dtype)
