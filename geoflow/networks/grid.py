"""The SDF backbone: a plain transformer over patches of a truncated SDF grid.

64^3 values -> 8^3 patches -> 512 tokens -> blocks -> overlapping output patches, added up. There
is no autoencoder. All work stays at token resolution; a convolution at grid resolution made a
training step 2.5 times slower.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoflow.flow.condition import Condition
from geoflow.networks.layers import Block, TimeEmbedding
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


class GridTransformer(nn.Module):
    """net(x, t, r, cond) -> raw prediction, all (B, R, R, R).

    Args:
        resolution: R.
        patch: side of a patch; R must be a multiple of it.
        overlap: cells that an output patch reaches into each neighbour.
        width, depth, hidden: token width, blocks, feed-forward width.
        bottleneck: rank of the patch embedding.
        categories: number of labels; label `categories` means none.
        context_width: width of the condition sequence, or None for a network without one.
        context_every: cross-attention in every such block.
        cloud: the condition sequence is a cloud, (B, L, 3) in [-1, 1]^3; `context_width` is width.

    Raises:
        ValueError: resolution is not a multiple of patch, or the overlap is over half a patch.
    """

    def __init__(
        self,
        resolution: int = 64,
        patch: int = 8,
        overlap: int = 2,
        width: int = 320,
        depth: int = 10,
        hidden: int = 832,
        bottleneck: int = 128,
        categories: int = 0,
        context_width: int | None = None,
        context_every: int = 2,
        cloud: bool = False,
    ) -> None:
        super().__init__()
        if resolution % patch:
            raise ValueError(
                f"resolution must be a multiple of patch; got resolution={resolution}, "
                f"patch={patch}"
            )
        if 2 * overlap > patch:
            raise ValueError(
                f"overlap must be at most half a patch; got overlap={overlap}, patch={patch}"
            )
        self.patch, self.overlap, self.categories = patch, overlap, categories
        self.cloud = CloudEncoder(width, resolution // patch) if cloud else None
        context_width = width if cloud else context_width
        tokens, window = (resolution // patch) ** 3, patch + 2 * overlap
        self.embed = nn.Sequential(
            nn.Linear(patch**3, bottleneck, bias=False), nn.Linear(bottleneck, width)
        )
        self.positions = nn.Parameter(torch.empty(tokens, width).normal_(std=0.02))
        self.time = TimeEmbedding(width)
        self.label = nn.Embedding(categories + 1, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.final_modulation = nn.Linear(width, 2 * width)
        self.blocks = nn.ModuleList(
            Block(width, hidden, context_width if i % context_every == 0 else None)
            for i in range(depth)
        )
        self.norm = nn.RMSNorm(width, elementwise_affine=False)
        self.head = nn.Linear(width, window**3)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.label.weight, std=0.02)
        for layer in (self.modulation, self.final_modulation, self.head):
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
            scale, shift = self.final_modulation(signal).unsqueeze(1).chunk(2, -1)
        tokens = self.embed(to_patches(x, self.patch)) + self.positions
        if self.cloud is not None and cond.context is not None:
            features, at_patches = self.cloud(cond.context, cond.context_mask)
            cond, tokens = replace(cond, context=features), tokens + at_patches
        for block in self.blocks:
            tokens = block(tokens, modulation, cond)
        out = self.head(self.norm(tokens) * (1 + scale) + shift)
        return from_overlapping_patches(out, self.patch, self.overlap).to(x.dtype)
