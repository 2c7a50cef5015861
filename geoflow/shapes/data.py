"""Training sets of SDF grids that live on the device as int8: alone, or with sparse clouds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from geoflow.data.shards import ShapeDataset
from geoflow.data.source import CategorySource
from geoflow.flow.condition import Condition
from geoflow.render.quick import draw_grids

UNITS = 32767


class GridSource(CategorySource):
    """Batches of standardised grids (B, R, R, R) with labels, every category equally often.

    Args:
        values: (N, R, R, R) int8, SDF / truncation * 127.
        labels, categories, scales, device: see `CategorySource`.
        truncation: of the SDF, in cube units.
    """

    def __init__(
        self,
        values: np.ndarray,
        labels: np.ndarray,
        categories: list[str],
        scales: np.ndarray,
        truncation: float,
        device: torch.device,
    ) -> None:
        super().__init__(values, labels, categories, scales, device)
        self.truncation = truncation
        self.mean, self.std = self._statistics()

    @classmethod
    def open(
        cls, folder: Path, device: torch.device, *, resolution: int = 64, split: str = "train"
    ) -> Self:
        """Reads a folder that data_prep/objects.py wrote.

        Raises:
            ValueError: no shapes of the split.
        """
        dataset = ShapeDataset.open(folder)
        values, labels, names = dataset.load_sdf(resolution=resolution, split=split)
        if not names:
            raise ValueError(f"{folder} holds no shapes of the {split} split; add meshes to it")
        known = values, labels, list(dataset.categories), dataset.scales(split), dataset.truncation
        return cls(*known, device, **cls._more(dataset, split))

    @classmethod
    def _more(cls, dataset: ShapeDataset, split: str) -> dict[str, np.ndarray]:
        """Further arguments of the constructor."""
        return {}

    def _statistics(self) -> tuple[float, float]:
        total, square, n = 0.0, 0.0, self.values.numel()
        for part in self.values.split(64):
            part = part.float() / 127
            total += part.double().sum().item()
            square += part.double().square().sum().item()
        mean = total / n
        return mean, (square / n - mean**2) ** 0.5

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor | Condition]:
        index = self.draw(size, generator)
        return self.standardise(self.values[index].float() / 127), self.labels[index]

    def standardise(self, sdf: Tensor) -> Tensor:
        """SDF / truncation, in [-1, 1] -> zero mean, unit variance."""
        return (sdf - self.mean) / self.std

    def decode(self, samples: Tensor) -> Tensor:
        """The inverse of `standardise`, in cube units: truncated signed distances."""
        return (samples * self.std + self.mean) * self.truncation

    def picture(self, samples: Tensor, size: int) -> np.ndarray:
        return draw_grids(self.decode(samples), size)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {
            "resolution": self.values.shape[-1],
            "truncation": self.truncation,
            "mean": self.mean,
            "std": self.std,
            "training_shapes": len(self),
        }


class ScanSource(GridSource):
    """Batches of standardised grids, each with a sparse, rough cloud of its surface as condition.

    Args:
        grids: arguments of GridSource.
        points: (N, P, 3) on the surfaces, in the cube [-1, 1]^3, in the order of its `values`.

    Attributes:
        size: L, points of a condition; a cloud of fewer points repeats them.
        given: share of the samples that have a cloud. Of those, half have no label.
        noisy, noise: share of the clouds that are noisy, and the largest standard deviation.
        torn: share of the clouds that lack what lies in a random ball.
    """

    size, fewest = 1024, 64
    given, noisy, noise, torn = 0.5, 0.5, 0.02, 0.3

    def __init__(self, *grids: Any, points: np.ndarray) -> None:
        super().__init__(*grids)
        stored = np.rint(points[self.order] * UNITS).astype(np.int16)
        self.points = torch.from_numpy(stored).to(self.device)

    @classmethod
    def _more(cls, dataset: ShapeDataset, split: str) -> dict[str, np.ndarray]:
        return {"points": dataset.load_points(split)[0]}

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Condition]:
        """Draws grids; the condition is labels (B,), context (B, L, 3) in the cube, context_mask.

        Args:
            size: B.
            generator: source of randomness, on the CPU.
        """
        index = self.draw(size, generator)
        on_device = torch.Generator(self.device)
        on_device.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        cloud, real = self._clouds(index, on_device)
        pick = torch.rand(2, size, generator=on_device, device=self.device)
        given = pick[0] < self.given
        labels = self.labels[index].masked_fill(given & (pick[1] < 0.5), len(self.categories))
        grids = self.standardise(self.values[index].float() / 127)
        return grids, Condition(labels, cloud, real & given[:, None])

    def _clouds(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(B,) shapes -> (B, L, 3) and (B, L): between `fewest` and L points of each, repeated."""
        b, stored = len(index), self.points.shape[1]
        most = min(self.size, stored)
        order = torch.rand(b, stored, generator=generator, device=self.device).argsort(1)[:, :most]
        picked = self.points[index].gather(1, order[..., None].expand(-1, -1, 3)).float() / UNITS
        picked = _noisy(picked, self.noise, self.noisy, generator)
        real = _torn(picked, self.torn, generator)
        share = torch.rand(b, 1, generator=generator, device=self.device)
        count = self.fewest * torch.exp(share * math.log(most / self.fewest))
        place = torch.arange(self.size, device=self.device).expand(b, -1) % count.round().long()
        return picked.gather(1, place[..., None].expand(-1, -1, 3)), real.gather(1, place)


def _noisy(points: Tensor, most: float, share: float, generator: torch.Generator) -> Tensor:
    """(B, L, 3) with normal noise of a standard deviation up to `most` on a share of the clouds."""
    pick = torch.rand(2, len(points), 1, 1, generator=generator, device=points.device)
    noise = torch.randn(points.shape, generator=generator, device=points.device)
    return points + most * pick[0] * (pick[1] < share) * noise


def _torn(points: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """(B, L) bool, in a share of the clouds False around one point, for up to half of all."""
    pick = torch.rand(3, len(points), generator=generator, device=points.device)
    middle = (pick[0] * points.shape[1]).long()[:, None, None].expand(-1, -1, 3)
    distance = (points - points.gather(1, middle)).norm(dim=-1)
    lost = (0.5 * pick[1] * (pick[2] < share) * points.shape[1]).long()
    reach = distance.sort(1).values.gather(1, lost[:, None])
    return (distance >= reach) | (lost[:, None] == 0)
