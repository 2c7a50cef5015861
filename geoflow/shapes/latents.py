"""Training sets of latents: what `shape-autoencoder` makes of distance grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoflow.data.shards import ShapeDataset
from geoflow.data.source import CategorySource
from geoflow.model.checkpoint import checkpoint_folder, load_checkpoint
from geoflow.model.device import half_precision
from geoflow.networks import build_network
from geoflow.networks.autoencoder import ShapeAutoencoder, on_sphere
from geoflow.render.quick import draw_grids
from geoflow.shapes.scans import Scans

MOST = 2048  # points of a cloud
DECODER = "decoder."
"""Of the names of the decoder's weights in a checkpoint of latents."""


class LatentSource(CategorySource):
    """Batches of standardised latents (B, tokens, channels) with labels, mirrored or not.

    Args:
        latents: (N, 2, tokens, channels) float16 of shapes and of their mirror images.
        labels, categories, scales, device: see `CategorySource`.
        autoencoder: what made them.
        truncation: of the grids that they were, in cube units.
        points: (N, P, 3) on the surfaces, in the cube; if given, batches come with clouds, see
            `Scans`.
    """

    def __init__(
        self,
        latents: np.ndarray,
        labels: np.ndarray,
        categories: list[str],
        scales: np.ndarray,
        device: torch.device,
        *,
        autoencoder: ShapeAutoencoder,
        truncation: float,
        points: np.ndarray | None = None,
    ) -> None:
        super().__init__(latents, labels, categories, scales, device)
        self.scans = None
        if points is not None:
            self.scans = Scans.of(points[self.order], device, size=MOST, fewest=1)
        self.decoder, self.truncation = autoencoder.decoder, truncation
        parts = [part.float().flatten(0, 2) for part in self.values.split(64)]
        count = sum(len(part) for part in parts)
        self.mean = torch.stack([part.sum(0) for part in parts]).sum(0) / count
        off = torch.stack([(part - self.mean).square().sum(0) for part in parts]).sum(0)
        self.std = (off / count).sqrt()

    @classmethod
    def open(
        cls,
        folder: Path,
        device: torch.device,
        *,
        autoencoder: str = "autoencoder",
        clouds: bool = False,
        split: str = "train",
    ) -> LatentSource:
        """Encodes a folder that data_prep/objects.py wrote.

        Args:
            folder, device, split: see `geoflow.shapes.GridSource`.
            autoencoder: a run of shape-autoencoder, or the bundled one.
            clouds: whether batches come with clouds.

        Raises:
            ValueError: no such autoencoder, or grids that it does not read.
        """
        net = load_autoencoder(autoencoder, device)
        dataset = ShapeDataset.open(folder)
        points = dataset.load_points(split)[0] if clouds else None
        grids, labels, _ = dataset.load_sdf(net.sizes.resolution, split)
        latents = encode(net, torch.from_numpy(grids), device)
        known = labels, list(dataset.categories), dataset.scales(split)
        more = {"truncation": dataset.truncation, "points": points}
        return cls(latents, *known, device, autoencoder=net, **more)

    @property
    def arguments(self) -> dict[str, Any]:
        sizes = self.decoder.sizes
        side = sizes.resolution // sizes.patch
        return super().arguments | {"side": side, "channels": sizes.channels}

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Any]:
        index = self.draw(size, generator)
        twin = torch.randint(2, (size,), generator=generator, device=generator.device)
        twin, told = twin.to(self.device), self.labels[index]
        if self.scans is not None:
            told = self.scans.told(index, told, len(self.categories), generator, twin == 1)
        return (self.values[index, twin].float() - self.mean) / self.std, told

    def picture(self, samples: Tensor, size: int) -> np.ndarray:
        with torch.no_grad():
            latents = on_sphere(samples.float() * self.std + self.mean)
            return draw_grids(self.decoder.coarse(latents)[0].float() * self.truncation, size)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {
            "truncation": self.truncation,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "decoder": vars(self.decoder.sizes),
            "training_shapes": len(self),
        }

    def weights(self) -> dict[str, Tensor]:
        return {DECODER + name: value for name, value in self.decoder.state_dict().items()}


def load_autoencoder(run: str | Path, device: torch.device) -> ShapeAutoencoder:
    """The network of a run of `shape-autoencoder`, of its checkpoint, or the bundled "autoencoder".

    Raises:
        ValueError: it is none.
    """
    config, weights, _ = load_checkpoint(checkpoint_folder(run, ("autoencoder",)))
    name, arguments = config["network"]["name"], config["network"]["arguments"]
    if name != "ShapeAutoencoder":
        raise ValueError(f"{run} must be a run of shape-autoencoder; it holds the network {name}")
    net = build_network(name, **arguments)
    net.load_state_dict(weights)
    assert isinstance(net, ShapeAutoencoder)
    return net.to(device).eval().requires_grad_(False)


@torch.no_grad()
def encode(net: ShapeAutoencoder, grids: Tensor, device: torch.device) -> np.ndarray:
    """(N, R, R, R) int8 grids -> (N, 2, tokens, channels) float16, the second mirrored in x."""
    parts = []
    with half_precision(device):
        for part in grids.split(32):
            values = part.to(device).float() / 127
            both = [net.encoder(x).half().cpu() for x in (values, values.flip(1))]
            parts.append(torch.stack(both, 1))
    return torch.cat(parts).numpy()
