"""The point backbone: a permutation-equivariant transformer over clouds, linear in the points.

Points never attend to each other. In every round a few hundred latents read the points, think
among themselves, and the points read the latents. The output moves with its point: permuting the
input permutes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geoflow.flow.condition import Condition
from geoflow.networks.layers import Block, Conditioned, CrossAttention, SwiGLU, normal_, zeroed


class PointCode(nn.Module):
    """(B, N, 3) -> (B, N, width): sines and cosines of the coordinates, and a linear layer.

    The rates double from pi / 4, so that a unit cloud with noise around it fits into one period.
    """

    rates: Tensor

    def __init__(self, width: int, octaves: int = 7) -> None:
        super().__init__()
        rates = [math.pi / 4 * 2**k for k in range(octaves)]
        self.register_buffer("rates", torch.tensor(rates, device="cpu"), persistent=False)
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

    With a null token both readings have a learned token beside what they read: `CrossAttention`.
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

    def forward(self, points: Tensor, latents: Tensor, modulation: Tensor) -> tuple[Tensor, Tensor]:
        parts = (modulation + self.modulation_bias).unsqueeze(2).unbind(1)
        scale1, shift1, gate1, scale2, shift2, gate2 = parts
        tokens = self.norm_points(points) * (1 + scale1) + shift1
        latents = latents + self.read(self.norm_latents(latents), tokens, None)
        for block in self.blocks:
            latents = block(latents, modulation)
        points = points + (1 + gate1) * self.write(tokens, self.norm_latents(latents), None)
        change = self.mlp(self.norm_points(points) * (1 + scale2) + shift2)
        return points + (1 + gate2) * change, latents


@dataclass(frozen=True)
class PointSizes:
    """Arguments of `PointTransformer`."""

    width: int = 192  # of points and latents
    latents: int = 256  # how many
    rounds: int = 3  # readings of the points
    blocks: int = 2  # transformer blocks in a round
    hidden: int = 512  # feed-forward width of latents
    point_hidden: int = 384  # and of points
    categories: int = 0  # number of labels; label `categories` means none


class PointTransformer(Conditioned):
    """net(x, t, r, cond) -> raw prediction, all (B, N, 3), for any N."""

    null_token = False

    def __init__(self, sizes: PointSizes) -> None:
        super().__init__()
        s, width = sizes, sizes.width
        self._add_codes(width)
        self.latents = nn.Parameter(normal_(torch.empty(s.latents, width), 0.5))
        self._listen(width, s.categories)
        self.rounds = nn.ModuleList(
            Round(width, s.hidden, s.point_hidden, s.blocks, self.null_token)
            for _ in range(s.rounds)
        )
        self.norm = nn.RMSNorm(width, elementwise_affine=False)
        self._add_heads(width)
        self._draw_labels()

    def _add_codes(self, width: int) -> None:
        self.code = PointCode(width)

    def _add_heads(self, width: int) -> None:
        self.head = zeroed(nn.Linear(width, 3))

    def _read(self, points: Tensor, t: Tensor, r: Tensor, cond: Condition | None) -> Tensor:
        """(B, N, width) points after all rounds, normalised."""
        _, modulation = self._told(t, r, cond)
        latents = self.latents.expand(len(points), -1, -1)
        for part in self.rounds:
            points, latents = part(points, latents, modulation)
        return self.norm(points)

    def forward(self, x: Tensor, t: Tensor, r: Tensor, cond: Condition | None = None) -> Tensor:
        return self.head(self._read(self.code(x), t, r, cond)).to(x.dtype)
