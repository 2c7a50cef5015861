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

from geoflow.checkpoint import load_checkpoint
from geoflow.checks import at_least
from geoflow.data.surface import SurfaceSource
from geoflow.files import open_atomically
from geoflow.geometry import colours, export
from geoflow.geometry.cloudfile import ply_header, ply_rows
from geoflow.pipelines import draw_noise, pick_device
from geoflow.recipes import DISTRIBUTION, Recipe, shape_distribution
from geoflow.runstate import STATE
from geoflow.settings import network_with, read_frame, read_sampling, read_transport
from geoflow.training import continued

BLOCK = 16_384  # points that are made at a time, and whose noise is drawn together


def read_shape(
    path: Path, *, texture: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64], colours.Colours | None]:
    """A mesh file, or an .npz of arrays -> vertices (V, 3), faces (F, 3), colours or None.

    Args:
        path: .glb, .obj, .ply, .stl, .3mf, .off; or .npz with `vertices`, `faces` and perhaps
            `colours` (V, 3), RGB in [0, 1].
        texture: read colours too.

    Raises:
        ValueError: the file is missing, damaged, without faces or, with `texture`, without colours.
    """
    look = None
    if path.suffix.lower() == ".npz":
        vertices, faces, look = _read_npz(path)
    elif texture:
        vertices, faces, look = colours.read_coloured_mesh(path)
    else:
        vertices, faces = export.read_mesh(path)
    if texture and look is None:
        raise ValueError(
            f"{path.name}: --texture needs colours of vertices or faces or a picture inside of the "
            "file (.glb); it has none; leave --texture out"
        )
    return vertices, faces, look if texture else None


def _read_npz(
    path: Path,
) -> tuple[NDArray[np.float64], NDArray[np.int64], colours.Colours | None]:
    if not path.is_file():
        raise ValueError(f"{str(path)!r} must be an existing file; it is not; check the path")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = {
                name: arrays[name] for name in ("vertices", "faces", "colours") if name in arrays
            }
    except Exception as error:  # numpy and zipfile raise whatever they run into
        reason = (str(error).splitlines() or [""])[0][:120]
        raise ValueError(
            f"{path.name}: cannot be read as .npz ({reason}); save it again"
        ) from error
    if not held.keys() >= {"vertices", "faces"}:
        raise ValueError(
            f"{path.name}: must hold the arrays vertices and faces; it has {sorted(held)}; "
            "save them with numpy.savez"
        )
    if not np.issubdtype(held["vertices"].dtype, np.number):
        raise ValueError(f"{path.name}: vertices must be numbers; given {held['vertices'].dtype}")
    export.check_mesh(held["vertices"], held["faces"], path.name)
    vertices, faces = held["vertices"].astype(np.float64), held["faces"].astype(np.int64)
    if "colours" not in held:
        return vertices, faces, None
    rgb = held["colours"]
    good = rgb.shape == vertices.shape and np.issubdtype(rgb.dtype, np.floating)
    if not (good and (rgb >= 0).all() and (rgb <= 1).all()):
        raise ValueError(f"{path.name}: colours must be (V, 3) RGB in [0, 1]; save them again")
    return vertices, faces, colours.Colours(rgb.astype(np.float32)[faces])


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
                True is the map; see `mean_last` in geoflow.sampling.sample for the last call.

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


def load_distribution(run: str | Path, device: str = "auto") -> PointDistribution:
    """What `geoflow distribution fit` wrote.

    Args:
        run: its folder, or the folder `checkpoint` in it.
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: no such run, a broken one, or one of something else.
    """
    folder = Path(run)
    inner = folder / "checkpoint"
    where = inner if (inner / "config.json").is_file() else folder
    if not (where / "config.json").is_file():
        raise ValueError(f"RUN must be a folder that geoflow distribution fit wrote; {run} is not")
    config, weights, _ = load_checkpoint(where)
    return PointDistribution(config, weights, pick_device(device))


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
