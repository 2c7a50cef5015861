"""The network of single-shape distributions: every point is a sample of its own, an MLP sees it.

Fourier code of the coordinates (float32) -> residual blocks whose scale and shift depend on (t, r).
At width 512 and depth 6 it has 5.5 M parameters, the size of GeomDist's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoflow.flow.condition import Condition
from geoflow.networks.layers import TimeEmbedding, geometric, zeroed


class FourierCode(nn.Module):
    """(B, 3) -> (B, 3 + 2 waves): coordinates, and sine and cosine along fixed directions.

    Directions cover the sphere evenly, so that no axis is preferred; frequencies are spread evenly
    in logarithm from 1 to `max_rate` radians a unit. A denoiser at noise level s turns within s of
    the surface: 200 reaches down to s = 0.005 of unit-variance coordinates.
    """

    directions: Tensor

    def __init__(self, waves: int, max_rate: float) -> None:
        super().__init__()
        # Fibonacci's lattice on the sphere: in closed form, the same on every machine.
        i = torch.arange(waves, dtype=torch.float64, device="cpu")
        turn = i * math.pi * (3 - 5**0.5)
        height = ((i * (5**0.5 - 1) / 2) % 1) * 2 - 1  # any stretch of i covers all heights
        ring = (1 - height**2).sqrt()
        ways = torch.stack((ring * (turn * 2**0.5).cos(), ring * (turn * 2**0.5).sin(), height))
        rates = geometric(max_rate, waves, torch.float64)
        self.register_buffer("directions", (ways * rates).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # Sums of products in plain float32: TF32 and bf16 would blur the fast waves.
        a, b, c = self.directions
        angles = x[:, :1] * a + x[:, 1:2] * b + x[:, 2:] * c
        return torch.cat((x, angles.sin(), angles.cos()), 1)


class PointBlock(nn.Module):
    """Residual block: norm, scale and shift by time, two layers; the sum stays float32."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, elementwise_affine=False)
        self.modulation = zeroed(nn.Linear(time_width, 2 * width))
        self.up, self.down = nn.Linear(width, width), zeroed(nn.Linear(width, width))

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        scale, shift = self.modulation(signal).chunk(2, -1)
        y = self.norm(x) * (1 + scale) + shift
        return x + self.down(F.silu(self.up(y))).float()


@dataclass(frozen=True)
class MLPSizes:
    """Arguments of `PointMLP`; raises ValueError where channels is neither 3 nor 6."""

    channels: int = 3  # C, 3 for positions, 6 with colours
    width: int = 512  # of the residual blocks
    depth: int = 6  # how many blocks
    time_width: int = 256  # of the time embedding
    waves: int = 256  # of the Fourier code of positions, each as sine and cosine
    max_rate: float = 200.0  # the fastest wave, radians a unit of the scaled input

    def __post_init__(self) -> None:
        if self.channels not in (3, 6):
            raise ValueError(f"channels must be 3, or 6 with colours; got {self.channels}")


class PointMLP(nn.Module):
    """net(x, t, r, cond) -> raw prediction, (B, C): points that do not see each other."""

    def __init__(self, sizes: MLPSizes) -> None:
        super().__init__()
        s = sizes
        self.channels = s.channels
        # Colours are smooth where positions are known: fewer and slower waves.
        shapes = [(s.waves, s.max_rate), (s.waves // 4, 10.0)][: s.channels // 3]
        self.codes = nn.ModuleList(FourierCode(*shape) for shape in shapes)
        self.time = TimeEmbedding(s.time_width)
        coded = s.channels + 2 * sum(count for count, _ in shapes)
        self.gains = zeroed(nn.Linear(s.time_width, coded))
        self.embed = nn.Linear(coded, s.width)
        self.blocks = nn.ModuleList(PointBlock(s.width, s.time_width) for _ in range(s.depth))
        self.norm = nn.RMSNorm(s.width, elementwise_affine=False)
        self.head = zeroed(nn.Linear(s.width, s.channels))

    def forward(self, x: Tensor, t: Tensor, r: Tensor, cond: Condition | None = None) -> Tensor:
        if not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            t, r = _one_if_all_equal(t), _one_if_all_equal(r)
            if len(t) != len(r):
                t, r = t.expand(len(x)), r.expand(len(x))
        signal = F.silu(self.time(t, r))
        with torch.autocast(x.device.type, enabled=False):  # coordinates must not round
            places = x.float()
            code = [c(places[:, 3 * i : 3 * i + 3]) for i, c in enumerate(self.codes)]
            h = self.embed(torch.cat(code, 1) * (1 + self.gains(signal)))
        for block in self.blocks:
            h = block(h, signal)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(self.norm(h))


def _one_if_all_equal(t: Tensor) -> Tensor:
    """(B,) -> (1,) where samplers ask for one time: its layers then run once, not B times."""
    return t[:1] if bool((t == t[0]).all()) else t
