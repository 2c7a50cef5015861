"""The joint backbone: carries points from a character's surface to its joints.

Every noisy point is paired with a point of the surface, its reference, and travels to the joint
that this reference belongs to (arXiv 2507.18939). The body of the network is that of
geoflow.networks.points: latents read the points, think, the points read the latents; the cost is
linear in the points, and the output moves with its point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoflow.flow.condition import Condition
from geoflow.networks.points import PointCode, PointSizes, PointTransformer


@dataclass(frozen=True)
class JointSizes(PointSizes):
    """Arguments of `JointTransformer`: see `PointSizes`."""

    latents: int = 128
    rounds: int = 4
    blocks: int = 1
    hidden: int = 384
    point_hidden: int = 320


class JointTransformer(PointTransformer):
    """net(x, t, r, cond) -> raw prediction, all (B, N, 3), for any N.

    cond.context is (B, N, 6): reference points in the frame of longest side 1.8, and their unit
    normals. The output starts as the reference point itself: a linear map of reference and noisy
    point is added to the head, so that a prediction of data needs only the way to the joint.
    """

    null_token = True

    def _add_codes(self, width: int) -> None:
        self.code_noisy, self.code_reference = PointCode(width), PointCode(width)
        self.normal = nn.Linear(3, width, bias=False)

    def _add_heads(self, width: int) -> None:
        super()._add_heads(width)
        self.straight = nn.Linear(6, 3, bias=False)
        with torch.no_grad():
            self.straight.weight.zero_().fill_diagonal_(1)

    def forward(self, x: Tensor, t: Tensor, r: Tensor, cond: Condition | None = None) -> Tensor:
        """Raises ValueError without a reference (B, N, 6) for every point."""
        context = None if cond is None else cond.context
        if context is None or context.shape != (*x.shape[:2], 6):
            found = None if context is None else tuple(context.shape)
            raise ValueError(
                f"cond.context must hold a reference point and normal for each of the points "
                f"{tuple(x.shape)}: shape {(*x.shape[:2], 6)}; got {found}"
            )
        reference, normal = context.split(3, -1)
        with torch.autocast(x.device.type, enabled=False):
            both = torch.cat((reference.float(), x.float()), -1)
            straight = (both[..., None, :] * self.straight.weight).sum(-1)
        # codes of both points and the normal, in one product
        one, two = self.code_reference, self.code_noisy
        features = torch.cat((one.features(reference), two.features(x), normal.float()), -1)
        weight = torch.cat((one.linear.weight, two.linear.weight, self.normal.weight), 1)
        points = padded_linear(features, weight, one.linear.bias + two.linear.bias)
        points = self._read(points, t, r, cond)
        way = padded_linear(points, self.head.weight, self.head.bias)
        return (straight + way.float()).to(x.dtype)


def padded_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """F.linear with both widths padded to multiples of 8.

    Tensor cores want rows of 16 bytes; 131,072 points with 3 or 93 features miss them, and most
    of all in the gradient of the weight, a product as long as there are points.
    """
    rows, columns = weight.shape
    weight = F.pad(weight, (0, -columns % 8, 0, -rows % 8))
    x, bias = F.pad(x, (0, -columns % 8)), F.pad(bias, (0, -rows % 8))
    return F.linear(x, weight, bias)[..., :rows]
