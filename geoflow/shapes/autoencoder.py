"""Training the shape autoencoder: its batches, its loss and its recipe's kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from geoflow.networks.autoencoder import BRICK, NEAR, REACH, nearest_to_surface, windows_of
from geoflow.shapes.data import GridSource
from geoflow.training.recipe import Recipe


class SymmetricGrids(GridSource):
    """Batches of grids in units of the truncation, turned and mirrored about the vertical axis.

    A decoder that has seen every shape in its eight positions knows more shapes.
    """

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, None]:
        """(B, R, R, R) float32 in [-1, 1]."""
        grids = self.values[self.draw(size, generator)]
        pick = torch.rand(3, size, 1, 1, 1, generator=generator, device=generator.device) < 0.5
        in_x, in_z, across = pick.to(self.device)
        grids = torch.where(in_x, grids.flip(1), grids)
        grids = torch.where(in_z, grids.flip(3), grids)
        grids = torch.where(across, grids.transpose(1, 3), grids)
        return grids.float() / 127, None

    @property
    def arguments(self) -> dict[str, Any]:
        return {"resolution": self.values.shape[-1]}

    def _statistics(self) -> tuple[float, float]:
        return 0.0, 1.0  # batches are the grids as they are


@dataclass(frozen=True)
class Rebuild:
    """The loss: values and their differences from cell to cell.

    Attributes:
        latent_noise: largest standard deviation of the noise on the latents, drawn evenly for each
            shape: what a flow gets wrong must decode into another good surface, not into ripples.
        bricks: fine bricks of a shape that a step looks at.
        outside: weight of cells beyond the truncation.
        slope: weight of the differences.
    """

    latent_noise: float = 0.4
    bricks: int = 256
    outside: float = 0.2
    slope: float = 1.5

    def __call__(self, run: Any) -> tuple[Tensor, Tensor]:
        """Scalar to differentiate; (B,) mean errors of fine cells in the band, in truncations."""
        grids, _ = run.source.batch(run.share, run.draws)
        on, s, b = {"generator": run.on_device, "device": grids.device}, run.net.sizes, len(grids)
        noise = torch.randn(b, (s.resolution // s.patch) ** 3, s.channels, **on)
        noise *= self.latent_noise * torch.rand(b, 1, 1, **on)
        half = F.avg_pool3d(grids[:, None], 2)[:, 0]
        near = nearest_to_surface(half) < NEAR
        count = min(self.bricks, near.shape[1])
        bricks = (near + torch.rand(near.shape, **on)).topk(count, dim=1).indices
        coarse, fine = run.call(grids, noise, bricks)
        measure = _compiled() if run.compiled else measured
        return measure(self, coarse, fine, half, grids, bricks)

    def distance(self, x: Tensor, wanted: Tensor) -> Tensor:
        """Of (B, ..., S, S, S) grids, a scalar."""
        weight = torch.where(wanted.abs() < 1, 1.0, self.outside)
        error = x - wanted
        total = (weight * error.abs()).mean()
        for axis in (-3, -2, -1):
            count = x.shape[axis] - 1
            both = torch.maximum(weight.narrow(axis, 0, count), weight.narrow(axis, 1, count))
            total = total + self.slope / 3 * (both * error.diff(dim=axis).abs()).mean()
        return total


def measured(
    how: Rebuild, coarse: Tensor, fine: Tensor, half: Tensor, grids: Tensor, bricks: Tensor
) -> tuple[Tensor, Tensor]:
    """What `Rebuild` gives, of coarse grids and fine windows."""
    wanted = windows_of(grids, bricks, BRICK, REACH)
    loss = how.distance(coarse.float(), half) + how.distance(fine.float(), wanted)
    band = (wanted.abs() < 1).flatten(1)
    error = (fine.float() - wanted).abs().flatten(1) * band
    return loss, (error.sum(1) / band.sum(1).clamp(min=1)).detach()


@cache
def _compiled() -> Any:
    return torch.compile(measured, dynamic=False)


@dataclass(frozen=True)
class AutoencoderRecipe(Recipe):
    """A recipe whose network is no flow: it has no transport to speak of; its loss is `Rebuild`."""

    def losses(self, run: Any, cumulative: bool) -> tuple[Tensor, Tensor]:
        return self.loss(run)

    def samples(self, run: Any) -> list[Tensor]:
        """Shapes, and what becomes of them by way of their latents."""
        grids, _ = run.source.batch(16, torch.Generator().manual_seed(0))
        with torch.no_grad():
            return [grids, run.ema.decoder.fine(run.ema.encoder(grids))]
