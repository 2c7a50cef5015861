"""Single-shape distributions: the points of one surface as a distribution, learned and sampled.

    model = load_distribution("runs/vase")
    cloud = np.concatenate(list(model.stream(1_000_000, steps=1)))     # the mesh's own frame

GeomDist's setting [CFM section 6.2]: a sample is one point, so a network of 5 M parameters holds a
surface at any number of points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geoflow.checks import at_least
from geoflow.files import open_atomically
from geoflow.flow.noise import draw_noise
from geoflow.io.ply import ply_header, ply_rows
from geoflow.model.checkpoint import load_checkpoint
from geoflow.model.config import read_sampling, read_transport
from geoflow.model.network import network_with
from geoflow.surface.data import SurfaceSource, read_frame
from geoflow.surface.recipes import DISTRIBUTION, shape_distribution
from geoflow.training.loop import continued
from geoflow.training.recipe import Recipe
from geoflow.training.state import STATE

BLOCK = 16_384  # points that are made at a time, and whose noise is drawn together


# -- training ---------------------------------------------------------------------------------


def plan(
    form: str, source: SurfaceSource, width: int, depth: int, changes: dict[str, Any]
) -> Recipe:
    """The recipe for this surface, with the changes that are not None."""
    recipe = shape_distribution(form)
    size = {"channels": source.frame.channels, "width": width, "depth": depth}
    chosen = {name: value for name, value in changes.items() if value is not None}
    return replace(recipe, network_arguments=recipe.network_arguments | size, **chosen)


def check_resumable(run: Path, recipe: Recipe, source: SurfaceSource) -> Recipe:
    """The recipe with the length of the interrupted run, if that run is of this recipe and surface.

    Raises:
        ValueError: the run has no state and checkpoint, or was started with something else.
    """
    if not (run / STATE).is_file():
        raise ValueError(f"{run} holds no run to continue; start it without --resume")
    config, _, _ = load_checkpoint(run / "checkpoint")
    if config.get("kind") != recipe.name:
        raise ValueError(f"{run} is a run of {config.get('kind')!r}, not of {recipe.name!r}")
    if read_frame(config) != source.frame:
        raise ValueError(
            f"{run} was started with another value of the mesh; use the same, or another --out"
        )
    return continued(recipe, run)


# -- sampling ---------------------------------------------------------------------------------


class PointDistribution:
    """A trained single-shape distribution.

    Args:
        config: the checkpoint's config.json.
        weights: name -> float32 tensor.
        device: where the network runs.

    Raises:
        ValueError: config is not of such a run, or the weights do not fit its network.
    """

    def __init__(
        self, config: dict[str, Any], weights: dict[str, torch.Tensor], device: torch.device
    ) -> None:
        if config.get("kind") != DISTRIBUTION:
            raise ValueError(
                f"RUN must be a run of geoflow distribution fit; it is of {config.get('kind')!r}"
            )
        self.frame, self.transport = read_frame(config), read_transport(config)
        self.sampling = read_sampling(config)
        self.net = network_with(config, weights).to(device).eval()
        self.device = device
        channels = getattr(self.net, "channels", None)
        if channels != self.frame.channels:
            raise ValueError(
                f"config.json: the network has {channels} channels, the data "
                f"{self.frame.channels}; copy the checkpoint again"
            )

    def stream(
        self, n: int, steps: int = 1, seed: int = 0, *, cumulative: bool = True
    ) -> Iterator[NDArray[np.float32]]:
        """Yields blocks of points, n in all; nothing of a block is kept.

        Point i depends on (seed, i) and `steps` alone on one machine: noise is drawn in blocks of
        16,384 numbered from 0, and a block is always computed whole.

        Args:
            n: points in all, at least 1.
            steps: network calls a point, at least 1.
            seed: not negative.
            cumulative: False is the ordinary sampler, r = t at every call.
                True is the map; see `mean_last` in geoflow.flow.sampling.sample for the last call.

        Yields:
            (at most 16384, 3) float32 in the mesh's own frame; (.., 6) with RGB, about in [0, 1].

        Raises:
            ValueError: n or steps below 1, or a negative seed.
        """
        at_least("n", n, 1)
        at_least("steps", steps, 1)
        at_least("seed", seed, 0)
        for block in range(-(-n // BLOCK)):
            noise = draw_noise(seed, block, (BLOCK, self.frame.channels)).to(self.device)
            made = self.sampling.sample(
                self.transport, self.net, noise, steps, cumulative=cumulative
            )
            kept = self.frame.decode(made[: n - block * BLOCK].double())
            yield kept.float().cpu().numpy()


def counted(
    blocks: Iterator[NDArray[np.float32]], advance: Callable[[str], None]
) -> Iterator[NDArray[np.float32]]:
    """The same blocks; tells `advance` of each."""
    for block in blocks:
        yield block
        advance("")


def write_cloud(path: Path, blocks: Iterator[NDArray[np.float32]], n: int, coloured: bool) -> None:
    """Writes blocks of points to a binary .ply as they come; whole or not at all.

    Raises:
        ValueError: a point is not finite.
        OSError: the disk is full or the folder not writable.
    """
    with open_atomically(path, sync=False) as file:
        file.write(ply_header(n, coloured=coloured))
        for block in blocks:
            file.write(ply_rows(block))
