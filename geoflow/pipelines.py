"""From a checkpoint to meshes: `load_generator("objects").generate(n=4, steps=2)`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from geoflow.checkpoint import load_checkpoint
from geoflow.checks import at_least, one_of
from geoflow.geometry.mesh import SurfaceMesh, surface_mesh
from geoflow.networks.layers import Condition
from geoflow.sampling import sample, time_grid
from geoflow.settings import network_with, read_grid_settings, read_transport
from geoflow.threads import single_threaded_torch

if TYPE_CHECKING:
    import trimesh

BUNDLED = ("objects",)
BYTES_PER_SAMPLE = 150_000_000
"""Peak GPU memory of one 64^3 sample in a network call, generously."""


@dataclass(frozen=True)
class Shape:
    """One generated shape.

    Attributes:
        index: its number; with the seed it determines the shape.
        category: what was asked for.
        mesh: vertices in metres, y up, facing +z, feet on y = 0.
        seconds: network and meshing time.
    """

    index: int
    category: str
    mesh: SurfaceMesh
    seconds: float


@dataclass(frozen=True)
class _Request:
    """What `ObjectGenerator.stream` was asked for."""

    seed: int
    category: str
    steps: int
    guidance: float
    resolution: int


def assets_folder() -> Path:
    """Where the bundled checkpoints are: inside the wheel, or at the top of a checkout."""
    here = Path(__file__).parent
    inside = here / "assets"
    return inside if inside.is_dir() else here.parent / "assets"


def has_checkpoint(name: str) -> bool:
    """Whether the bundled checkpoint of that name is part of this installation."""
    return (assets_folder() / "checkpoints" / name / "config.json").is_file()


def checkpoint_folder(name: str | Path, bundled: Sequence[str]) -> Path:
    """The folder of a bundled checkpoint, or the folder that is named.

    Args:
        name: one of `bundled`, or a folder; a Path is always a folder.
        bundled: names that are known.

    Raises:
        ValueError: neither, or the checkpoint was left out of this installation.
    """
    folder = Path(name)
    if isinstance(name, str) and name in bundled:
        folder = assets_folder() / "checkpoints" / name
        if not folder.is_dir():
            raise ValueError(
                f"checkpoint {name} is not part of this installation; give a folder (--checkpoint)"
            )
    if not folder.is_dir():
        raise ValueError(
            f"checkpoint must be a folder or one of {', '.join(bundled)}; {str(name)!r} is neither"
        )
    return folder


def pick_device(name: str = "auto") -> torch.device:
    """ "auto" | "cpu" | "cuda" to a device.

    Raises:
        ValueError: another name, or "cuda" without a GPU that torch can use.
    """
    one_of("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "device cuda needs a GPU that torch can use; it finds none; use cpu or auto"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def draw_noise(seed: int, index: int, shape: Sequence[int], attempt: int = 0) -> Tensor:
    """Standard normal noise that depends on (seed, index, attempt) alone, float32 on the CPU."""
    mixed = np.random.SeedSequence([seed, index, attempt]).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(mixed) & (2**63 - 1))
    return torch.randn(tuple(shape), generator=generator)


class ObjectGenerator:
    """Class-conditional SDF generator.

    Args:
        config: the checkpoint's config.json.
        weights: name -> float32 tensor.
        digest: hash of the weights, for the manifest.
        device: where the network runs.

    Raises:
        ValueError: config is not what it must be, or the weights do not fit its network.
    """

    def __init__(
        self, config: dict[str, Any], weights: dict[str, Tensor], digest: str, device: torch.device
    ) -> None:
        self.settings = read_grid_settings(config)
        self.transport = read_transport(config)
        self.net = network_with(config, weights)
        self.metres = self.settings.metres
        self.categories = list(self.metres)
        self.resolution = self.settings.resolution
        self.config, self.digest, self.device = config, digest, device
        self.net.eval().requires_grad_(False).to(device)

    # -- what is asked for ------------------------------------------------------------------

    def category_of(self, index: int, category: str = "all") -> str:
        """The category of shape `index`: "all" takes the categories in turn.

        Raises:
            ValueError: unknown category; lists them and the nearest.
        """
        if category == "all":
            return self.categories[index % len(self.categories)]
        one_of("category", category, ["all", *self.categories])
        return category

    def batch_size(self) -> int:
        """Samples per network call.

        On a CPU always 1: a result that never depends on what else is in the batch is the same
        to the last bit, and other samples keep the other cores busy. On a GPU as many as fit, at
        most 64.
        """
        if self.device.type != "cuda":
            return 1
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(min(64, max(1, 0.8 * free // BYTES_PER_SAMPLE)))

    # -- sampling ---------------------------------------------------------------------------

    def sdf(
        self,
        noise: Tensor,
        categories: Sequence[str],
        *,
        steps: int = 2,
        guidance: float = 1.0,
        cumulative: bool | None = None,
        on_step: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """Carries noise to signed distances.

        Args:
            noise: (B, R, R, R) standard normal, see `draw_noise`.
            categories: B names.
            steps: network calls.
            guidance: 1 samples the data; above 1 exaggerates the category, at two calls a step.
            cumulative: True folds the map, False samples with r = t, the ordinary multi-step way;
                None does as the checkpoint's config says ("sampling": the map up to
                "cumulative_calls" calls, all where it says nothing; "shift" of the time grid).
            on_step: called with (calls made, state) after each step; may raise to stop.

        Returns:
            (B, R, R, R) float32 truncated SDF over [-1, 1]^3, negative inside, on the device.
        """
        index = [self.categories.index(self.category_of(0, c)) for c in categories]
        labels = torch.tensor(index, device=self.device)
        null = Condition(torch.full_like(labels, len(self.categories)))
        known = self.settings
        times = time_grid(self.transport, steps, shift=known.shift)
        if cumulative is None:
            cumulative = known.cumulative_calls is None or steps <= known.cumulative_calls
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            grids = sample(
                self.transport,
                self.net,
                noise.to(self.device),
                times,
                Condition(labels),
                cumulative=cumulative,
                guidance=guidance,
                null=null,
                on_step=on_step,
            )
        return grids * (known.truncation * known.std) + known.truncation * known.mean

    def mesh(self, grid: Tensor, category: str, resolution: int = 128) -> SurfaceMesh:
        """One grid of `sdf` to a mesh in metres.

        Args:
            grid: (R, R, R) signed distances over [-1, 1]^3.
            category: gives the longest side.
            resolution: cells a side of the grid that is meshed: 64, 128 or 256.

        Raises:
            ValueError: an unknown category, or a grid without a surface.
        """
        name = self.category_of(0, category)
        return surface_mesh(grid.float().cpu().numpy(), resolution, self.metres[name])

    def grid_shape(self) -> tuple[int, int, int]:
        """(R, R, R), the shape of one noise."""
        return self.resolution, self.resolution, self.resolution

    def stream(
        self,
        indices: Sequence[int],
        *,
        steps: int = 2,
        category: str = "all",
        seed: int = 0,
        guidance: float = 1.0,
        resolution: int = 128,
    ) -> Iterator[Shape]:
        """Makes shapes in the order of `indices`, several at a time: on a CPU one a core.

        torch works with one thread an operation until the last shape is taken.

        Args:
            indices: numbers of the shapes; shape i depends on (seed, i) and the options alone.
            steps, guidance: see `sdf`.
            category: a name, or "all" for each in turn.
            seed: not negative.
            resolution: cells a side of the grid that is meshed: 64, 128 or 256.

        Yields:
            shapes as they are finished.

        Raises:
            ValueError: an unknown category, or a number out of range.
        """
        at_least("seed", seed, 0)
        at_least("steps", steps, 1)
        at_least("guidance", guidance, 0)
        one_of("resolution", resolution, (64, 128, 256))
        self.category_of(0, category)
        ask = _Request(seed, category, steps, guidance, resolution)
        with single_threaded_torch() as workers, ThreadPoolExecutor(workers) as pool:
            waiting: list[Future[Shape]] = []
            try:
                for start in range(0, len(indices), size := self.batch_size()):
                    waiting += self._start(ask, indices[start : start + size], pool)
                    ahead = 2 * max(size, workers)
                    while waiting and (waiting[0].done() or len(waiting) > ahead):
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _start(
        self, ask: _Request, part: Sequence[int], pool: ThreadPoolExecutor
    ) -> list[Future[Shape]]:
        """Starts some shapes: on a CPU all of their making, on a GPU their meshing."""
        if self.device.type != "cuda":
            return [pool.submit(self._finish, ask, i) for i in part]
        begin = time.perf_counter()
        grids = self._draw(ask, part)
        spent = (time.perf_counter() - begin) / len(part)
        return [
            pool.submit(self._finish, ask, i, grid, spent)
            for i, grid in zip(part, grids, strict=True)
        ]

    def _draw(self, ask: _Request, part: Sequence[int], attempt: int = 0) -> np.ndarray:
        """(B, R, R, R) signed distances of the shapes `part`."""
        noise = [draw_noise(ask.seed, i, self.grid_shape(), attempt) for i in part]
        names = [self.category_of(i, ask.category) for i in part]
        grids = self.sdf(torch.stack(noise), names, steps=ask.steps, guidance=ask.guidance)
        return grids.cpu().numpy()

    def _finish(
        self, ask: _Request, index: int, grid: np.ndarray | None = None, spent: float = 0.0
    ) -> Shape:
        """Meshes one grid; an empty one (never seen so far) is drawn again from fresh noise."""
        begin, attempt = time.perf_counter(), 0
        values: np.ndarray = self._draw(ask, [index])[0] if grid is None else grid
        while not (values < 0).any() and attempt < 3:
            attempt += 1
            values = self._draw(ask, [index], attempt)[0]
        name = self.category_of(index, ask.category)
        mesh = surface_mesh(values, ask.resolution, self.metres[name])
        return Shape(index, name, mesh, spent + time.perf_counter() - begin)

    def generate(
        self,
        n: int = 1,
        *,
        steps: int = 2,
        category: str = "all",
        seed: int = 0,
        guidance: float = 1.0,
        resolution: int = 128,
    ) -> list[trimesh.Trimesh]:
        """Generates n closed meshes.

        Args:
            n: how many, at least 1.
            steps: network calls for each, at least 1.
            category: one of `categories`, or "all" for each in turn.
            seed: shape i depends on (seed, i) alone.
            guidance: above 1 exaggerates the category, at twice the cost.
            resolution: 64, 128 or 256 cells a side.

        Returns:
            trimesh.Trimesh objects in metres, y up, facing +z, feet on y = 0; `metadata` holds
            category and index.

        Raises:
            ValueError: an argument out of range or an unknown category.
        """
        import trimesh

        at_least("n", n, 1)
        meshes = []
        for shape in self.stream(
            range(n),
            steps=steps,
            category=category,
            seed=seed,
            guidance=guidance,
            resolution=resolution,
        ):
            mesh = shape.mesh
            meshes.append(
                trimesh.Trimesh(
                    mesh.vertices,
                    mesh.faces,
                    vertex_normals=mesh.normals,
                    process=False,
                    metadata={"category": shape.category, "index": shape.index},
                )
            )
        return meshes


def load_generator(name: str | Path = "objects", device: str = "auto") -> ObjectGenerator:
    """Loads a bundled checkpoint by name, or one from a folder.

    Args:
        name: "objects", or a folder with config.json (a training run's `checkpoint`). A folder
            that is called like a bundled checkpoint is "./objects", or a Path.
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: unknown name, a broken checkpoint, or no such device; one line.
    """
    config, weights, digest = load_checkpoint(checkpoint_folder(name, BUNDLED))
    return ObjectGenerator(config, weights, digest, pick_device(device))
