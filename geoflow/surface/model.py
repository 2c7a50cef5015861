"""The points of one surface as a distribution, sampled.

    model = load_surface("runs/vase")
    cloud = np.concatenate(list(model.stream(1_000_000, steps=1)))     # the mesh's own frame

GeomDist's setting [CFM section 6.2]: a sample is one point, so a network of 5 M parameters holds a
surface at any number of points.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from geoflow.checks import at_least
from geoflow.flow.noise import draw_noise
from geoflow.model.config import Number, Part, Positive, check_argument, read_part
from geoflow.model.model import FlowModel
from geoflow.surface.data import Frame

BLOCK = 16_384  # points that are made at a time, and whose noise is drawn together
Triple = Annotated[list[Number], Field(min_length=3, max_length=3)]


class FrameData(Part):
    """The part "data" of config.json: a `Frame`."""

    centre: Triple
    scale: Positive
    colour_mean: Triple | None = None
    colour_std: Positive = 1.0


class SurfaceModel(FlowModel):
    """A trained surface, see `FlowModel`."""

    network, half = "PointMLP", False

    def read(self, config: dict[str, Any]) -> None:
        self.frame = Frame(**read_part(config, "data", FrameData).model_dump())
        check_argument(config, "channels", self.frame.channels)

    def stream(
        self, n: int, steps: int = 1, seed: int = 0, *, cumulative: bool | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Yields blocks of points, n in all; nothing of a block is kept.

        Point i depends on (seed, i) and `steps` alone on one machine: noise is drawn in blocks of
        16,384 numbered from 0, and a block is always computed whole.

        Args:
            n, steps, seed: points in all, at least 1; network calls a point, too; not negative.
            cumulative: see `FlowModel.carry`.

        Yields:
            (at most 16384, 3) float32 in the mesh's own frame; (.., 6) with RGB, about in [0, 1].

        Raises:
            ValueError: n or steps below 1, or a negative seed.
        """
        at_least("n", n, 1)
        at_least("steps", steps, 1)
        at_least("seed", seed, 0)
        for block in range(-(-n // BLOCK)):
            noise = draw_noise(seed, block, (BLOCK, self.frame.channels))
            made = self.carry(noise, steps, cumulative=cumulative)
            kept = self.frame.decode(made[: n - block * BLOCK].double())
            yield kept.float().cpu().numpy()
