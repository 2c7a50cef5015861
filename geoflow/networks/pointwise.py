"""The network of single-shape distributions: every point is a sample of its own, an MLP sees it.

Fourier code of the coordinates (float32) -> residual blocks whose scale and shift depend on (t, r).
At width 512 and depth 6 it has 5.5 M parameters, the size of GeomDist's.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoflow.networks.layers import Condition, TimeEmbedding


class FourierCode(nn.Module):
    """(B, C) -> (B, C + 2 features): coordinates, and waves along fixed random directions.

    The directions are isotropic, so that no axis is preferred; their frequencies are spread evenly
    in logarithm from 1 to `max_rate` radians a unit. A denoiser at noise level s turns within s of
    the surface: 200 reaches down to s = 0.005 of unit-variance coordinates.
    """

    directions: Tensor

    def __init__(self, channels: int, features: int, max_rate: float) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        directions = F.normalize(torch.randn(channels, features, generator=generator), dim=0)
        rates = torch.logspace(0, math.log10(max_rate), features)
        self.register_buffer("directions", directions * rates)

    def forward(self, x: Tensor) -> Tensor:
        # Sums of products in plain float32: TF32 and bf16 would blur the fast waves.
        angles = sum(x[:, i, None] * row for i, row in enumerate(self.directions))
        assert isinstance(angles, Tensor)
        return torch.cat((x, angles.sin(), angles.cos()), 1)


class PointBlock(nn.Module):
    """Residual block: norm, scale and shift by time, two layers; the sum stays float32."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(time_width, 2 * width)
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)
        for layer in (self.modulation, self.down):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        scale, shift = self.modulation(signal).chunk(2, -1)
        y = self.norm(x) * (1 + scale) + shift
        return x + self.down(F.silu(self.up(y))).float()


class PointMLP(nn.Module):
    """net(x, t, r, cond) -> raw prediction, (B, C): points that do not see each other.

    Args:
        channels: C, 3 for positions, 6 with colours.
        width, depth: of the residual blocks.
        time_width: of the time embedding.
        features: waves of the Fourier code, each as sine and cosine.
        max_rate: fastest wave, radians a unit of the scaled input.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 512,
        depth: int = 6,
        time_width: int = 256,
        features: int = 256,
        max_rate: float = 200.0,
    ) -> None:
        super().__init__()
        self.code = FourierCode(channels, features, max_rate)
        self.time = TimeEmbedding(time_width)
        coded = channels + 2 * features
        self.gains = nn.Linear(time_width, coded)
        self.embed = nn.Linear(coded, width)
        self.blocks = nn.ModuleList(PointBlock(width, time_width) for _ in range(depth))
        self.norm = nn.RMSNorm(width, elementwise_affine=False)
        self.head = nn.Linear(width, channels)
        for layer in (self.gains, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, t: Tensor, r: Tensor, cond: Condition | None = None) -> Tensor:
        if not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            t, r = _one_if_all_equal(t), _one_if_all_equal(r)
            if len(t) != len(r):
                t, r = t.expand(len(x)), r.expand(len(x))
        signal = F.silu(self.time(t, r))
        code = self.code(x.float()) * (1 + self.gains(signal))
        h = self.embed(code).float()
        for block in self.blocks:
            h = block(h, signal)
        with torch.autocast(x.device.type, enabled=False):  # positions must not round
            return self.head(self.norm(h))


def _one_if_all_equal(t: Tensor) -> Tensor:
    """(B,) -> (1,) where samplers ask for one time: its layers then run once, not B times."""
    return t[:1] if bool((t == t[0]).all()) else t
