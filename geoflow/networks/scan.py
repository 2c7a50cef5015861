"""A sparse cloud as a condition of the grid network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geoflow.networks.layers import SwiGLU, zeroed
from geoflow.networks.points import PointCode


class CloudEncoder(nn.Module):
    """Points of a surface as a sequence for cross-attention, and as features of their patches.

    A point's own patch hears of it directly: the network need not learn where the points are. The
    order of the points does not matter, nor how often one of them is repeated. The cube [-1, 1]^3
    has `side` patches along an axis; features are `width` wide.
    """

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.place = PointCode(width)
        self.inside = PointCode(width, octaves=4)
        self.norm = nn.RMSNorm(width, elementwise_affine=False)
        self.mlp = SwiGLU(width, width)
        self.seen = nn.Parameter(torch.zeros(width))
        self.spread = zeroed(nn.Linear(width, width))

    def forward(self, points: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, L, 3) points -> their features (B, L, width), and those of patches.

        Points outside of the cube count as on its faces; `mask` (B, L) is True where one is real.
        Features of patches are (B, side^3, width), in the order of
        `geoflow.networks.grid.to_patches`: zero where a patch holds no point.
        """
        at = (points.float().clamp(-1, 1) + 1) * (self.side / 2)
        cell = at.floor().clamp(max=self.side - 1)
        feature = self.place(points) + self.inside(2 * (at - cell) - 1)
        feature = feature + self.mlp(self.norm(feature))
        x, y, z = cell.long().unbind(-1)
        patch = (x * self.side + y) * self.side + z
        real = torch.ones_like(patch, dtype=torch.bool) if mask is None else mask
        with torch.autocast(points.device.type, enabled=False):
            weight = real.float()[..., None]
            values = torch.cat((feature.float() * weight, weight), -1)
            sums = values.new_zeros(len(points), self.side**3, values.shape[-1])
            sums = sums.scatter_add(1, patch[..., None].expand_as(values), values)
            count = sums[..., -1:]
            mean = sums[..., :-1] / count.clamp(min=1)
            mean = torch.where(count > 0, mean + self.seen, 0.0)
        return feature, self.spread(mean) * (count > 0)
