"""The SDF backbone: a plain transformer over patches of a truncated SDF grid.

64^3 values -> 8^3 patches -> 512 tokens -> blocks -> overlapping output patches, added up. There
is no autoencoder. All work stays at token resolution; a convolution at grid resolution made a
training step 2.5 times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoflow.flow.condition import Condition
from geoflow.networks.layers import Block, Conditioned, normal_, zeroed
from geoflow.networks.scan import CloudEncoder


def to_patches(grid: Tensor, patch: int) -> Tensor:
    """(B, R, R, R) -> (B, (R / patch)^3, patch^3), x slowest."""
    b, size = grid.shape[0], grid.shape[1] // patch
    cut = grid.view(b, size, patch, size, patch, size, patch).permute(0, 1, 3, 5, 2, 4, 6)
    return cut.reshape(b, size**3, patch**3)


def _join(values: Tensor, overlap: int) -> Tensor:
    """(..., n, p + 2 overlap) -> (..., n p): windows at stride p, summed where they overlap."""
    n, window = values.shape[-2:]
    patch = window - 2 * overlap
    body = values[..., :patch].reshape(*values.shape[:-2], n * patch)
    tail = F.pad(values[..., patch:], (0, patch - 2 * overlap))
    tail = tail.reshape(*values.shape[:-2], n * patch)
    total = F.pad(body, (0, patch)) + F.pad(tail, (patch, 0))
    return total[..., overlap : overlap + n * patch]


def from_overlapping_patches(tokens: Tensor, patch: int, overlap: int) -> Tensor:
    """(B, n^3, (patch + 2 overlap)^3) -> (B, n patch, n patch, n patch).

    Each token writes a window that reaches `overlap` cells into its neighbours; sums of windows
    leave no seam. The same sum as a transposed convolution, which is far slower.
    """
    n, window = round(tokens.shape[1] ** (1 / 3)), patch + 2 * overlap
    x = tokens.view(-1, n, n, n, window, window, window)  # b x y z i j k
    x = _join(x.permute(0, 1, 2, 4, 5, 3, 6), overlap)  # b x y i j Z
    x = _join(x.permute(0, 1, 3, 5, 2, 4), overlap)  # b x i Z Y
    return _join(x.permute(0, 3, 4, 1, 2), overlap).permute(0, 3, 2, 1)  # b Z Y X -> b X Y Z


@dataclass(frozen=True)
class TokenSizes:
    """Arguments of every `TokenTransformer`."""

    width: int = 320  # of the tokens
    depth: int = 10  # blocks
    hidden: int = 832  # feed-forward width
    categories: int = 0  # number of labels; label `categories` means none
    context_width: int | None = None  # of the condition sequence, or None for a network without
    context_every: int = 2  # cross-attention in every such block
    cloud: bool = False  # the sequence is a cloud, (B, L, 3) in [-1, 1]^3; `context_width` is width


@dataclass(frozen=True)
class GridSizes(TokenSizes):
    """Arguments of `GridTransformer`; raises ValueError where patch or overlap do not fit."""

    resolution: int = 64  # R, cells a side
    patch: int = 8  # side of a patch; R must be a multiple of it
    overlap: int = 2  # cells that an output patch reaches into each neighbour, at most half of it
    bottleneck: int = 128  # rank of the patch embedding

    def __post_init__(self) -> None:
        if self.resolution % self.patch:
            raise ValueError(
                f"resolution must be a multiple of patch; got resolution={self.resolution}, "
                f"patch={self.patch}"
            )
        if 2 * self.overlap > self.patch:
            raise ValueError(
                f"overlap must be at most half a patch; got overlap={self.overlap}, "
                f"patch={self.patch}"
            )


class TokenTransformer(Conditioned):
    """Tokens on a lattice over the cube, told times, a label, and a cloud or a sequence.

    Args:
        sizes: see `TokenSizes`.
        side: tokens along an axis.
        embed: what a token holds -> width.
        outputs: numbers that a token gives.
    """

    def __init__(self, sizes: TokenSizes, side: int, embed: nn.Module, outputs: int) -> None:
        super().__init__()
        s = sizes
        self.sizes: Any = sizes
        width = s.width
        self.cloud = CloudEncoder(width, side) if s.cloud else None
        context = width if s.cloud else s.context_width
        self.embed = embed
        self.positions = nn.Parameter(normal_(torch.empty(side**3, width), 0.02))
        self._listen(width, s.categories)
        self.final_modulation = zeroed(nn.Linear(width, 2 * width))
        self.blocks = nn.ModuleList(
            Block(width, s.hidden, context if i % s.context_every == 0 else None)
            for i in range(s.depth)
        )
        self.norm = nn.RMSNorm(width, elementwise_affine=False)
        self.head = zeroed(nn.Linear(width, outputs))
        self._draw_labels()

    def forward(self, x: Tensor, t: Tensor, r: Tensor, cond: Condition | None = None) -> Tensor:
        """(B, tokens, C) -> (B, tokens, outputs); cond is all optional."""
        signal, modulation = self._told(t, r, cond)
        with torch.autocast(x.device.type, enabled=False):
            scale, shift = self.final_modulation(signal).unsqueeze(1).chunk(2, -1)
        tokens = self.embed(x) + self.positions
        context, mask = (None, None) if cond is None else (cond.context, cond.context_mask)
        if self.cloud is not None and context is not None:
            context, at_patches = self.cloud(context, mask)
            tokens = tokens + at_patches
        for block in self.blocks:
            tokens = block(tokens, modulation, context, mask)
        return self.head(self.norm(tokens) * (1 + scale) + shift).to(x.dtype)


class GridTransformer(TokenTransformer):
    """net(x, t, r, cond) -> raw prediction, all (B, R, R, R); cond is all optional."""

    def __init__(self, sizes: GridSizes) -> None:
        s, window = sizes, sizes.patch + 2 * sizes.overlap
        embed = nn.Sequential(
            nn.Linear(s.patch**3, s.bottleneck, bias=False), nn.Linear(s.bottleneck, s.width)
        )
        super().__init__(s, s.resolution // s.patch, embed, window**3)

    def forward(self, x: Tensor, t: Tensor, r: Tensor, cond: Condition | None = None) -> Tensor:
        patches = super().forward(to_patches(x, self.sizes.patch), t, r, cond)
        return from_overlapping_patches(patches, self.sizes.patch, self.sizes.overlap)


@dataclass(frozen=True)
class LatentSizes(TokenSizes):
    """Arguments of `LatentTransformer`."""

    side: int = 8  # tokens along an axis of the cube
    channels: int = 32  # numbers of a token


class LatentTransformer(TokenTransformer):
    """net(x, t, r, cond) -> raw prediction, all (B, side^3, channels)."""

    def __init__(self, sizes: LatentSizes) -> None:
        embed = nn.Linear(sizes.channels, sizes.width)
        super().__init__(sizes, sizes.side, embed, sizes.channels)
