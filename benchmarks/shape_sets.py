"""The sets that few_steps.py compares: real shapes, and those of every sampler, as clouds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from script import say

from geoflow import ObjectGenerator, PointGenerator, time_grid
from geoflow.data import ShapeDataset
from geoflow.flow import draw_noise, sample_heun
from geoflow.geometry import extract_surface, is_watertight, remove_fragments, sample_surface
from geoflow.model import half_precision
from geoflow.render import draw_clouds, draw_grids

Generator = ObjectGenerator | PointGenerator

POINTS, SEED, ATTEMPTS, SIDE = 2048, 0, 3, 192


@dataclass(frozen=True)
class Sampler:
    """A number of calls, folding the cumulative map or with r = t at every call."""

    calls: int
    cumulative: bool
    heun: bool = False

    @property
    def name(self) -> str:
        calls = f"{self.calls} call{'s' * (self.calls > 1)}"
        if self.cumulative:
            return calls
        return f"r = t, Heun, {calls}" if self.heun else f"r = t, {calls}"


@dataclass(frozen=True)
class Cloud:
    """What is kept of one mesh; points is None where the grid has no surface."""

    points: np.ndarray | None
    watertight: bool = False
    fragments: int = 0
    components: int = 0


@dataclass
class ShapeSet:
    """Grids, their category numbers and clouds, in the same order.

    Attributes:
        grids: (N, R, R, R), int8 in units of truncation / 127, or float32 in cube units; None where
            there were clouds from the start.
        labels: (N,) numbers of the generator's categories.
        clouds: (N, 2048, 3) float32.
        meshes: share of watertight meshes, fragments and so on.
        factor: of grids, to cube units.
    """

    grids: np.ndarray | None
    labels: np.ndarray
    clouds: np.ndarray
    meshes: dict[str, float]
    factor: float = 1.0

    def of(self, category: int) -> np.ndarray:
        """(n, 2048, 3) clouds of a category."""
        return self.clouds[self.labels == category]

    def pictures(self, places: np.ndarray | list[int], device: torch.device) -> np.ndarray:
        """(B, size, size, 3) uint8; a cell that is not finite counts as outside."""
        if self.grids is None:
            return draw_clouds(torch.from_numpy(self.clouds[places]).to(device), SIDE)
        values = torch.from_numpy(self.grids[places]).to(device).float() * self.factor
        return draw_grids(values.nan_to_num(nan=1.0), SIDE)


# -- grids to points, in worker processes ---------------------------------------------------------


def to_cloud(job: tuple[np.ndarray, float, tuple[int, int]]) -> Cloud:
    """(grid, factor to cube units, seed) -> its surface as points. Runs in a worker."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    grid, factor, seed = job
    try:
        surface = extract_surface(grid.astype(np.float32) * factor, backend="skimage")
        vertices, faces, removed = remove_fragments(*surface)
        points, _ = sample_surface(vertices, faces, POINTS, np.random.default_rng(seed))
    except ValueError:  # no surface, or not finite
        return Cloud(None)
    rows, columns = faces[:, :2].ravel(), faces[:, 1:].ravel()
    links = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (len(vertices),) * 2)
    pieces = connected_components(links, directed=False)[0]
    return Cloud(points.astype(np.float32), is_watertight(faces), removed, int(pieces))


def submit(
    pool: ProcessPoolExecutor, grids: np.ndarray, factor: float, number: int
) -> Iterator[Cloud]:
    """Starts the meshing; `number` tells the random points of one set from another's."""
    jobs = ((grid, factor, (number, i)) for i, grid in enumerate(grids))
    return pool.map(to_cloud, jobs, chunksize=4)


def collect(
    name: str,
    clouds: Iterable[Cloud],
    grids: np.ndarray,
    labels: np.ndarray,
    factor: float = 1.0,
    failed: int = 0,
) -> ShapeSet:
    """Waits for the meshes; a cloud still missing becomes points at the origin."""
    done = list(clouds)
    meshed = [c for c in done if c.points is not None]
    many = max(1, len(meshed))
    meshes = {
        "shapes": len(done),
        "without_surface_at_first": failed,
        "without_surface": len(done) - len(meshed),
        "watertight_share": sum(c.watertight for c in meshed) / max(1, len(done)),
        "mean_fragments_removed": sum(c.fragments for c in meshed) / many,
        "mean_components": sum(c.components for c in meshed) / many,
    }
    origin = np.zeros((POINTS, 3), np.float32)
    points = np.stack([origin if c.points is None else c.points for c in done])
    say(f"{name}: {len(meshed)} of {len(done)} meshed")
    return ShapeSet(grids, labels, points, meshes, factor)


# -- real shapes ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """Which shapes of a data set are compared.

    Attributes:
        dataset: the data set.
        splits: validation and train -> places of the shapes in the split, category by category, and
            their category's number in the generator.
    """

    dataset: ShapeDataset
    splits: dict[str, tuple[np.ndarray, np.ndarray]]


def choose(
    folder: Path, generator: Generator, per_category: int, train_limit: int | None
) -> Chosen:
    """The first validation shapes a category, and of the training shapes all or as many.

    Raises:
        ValueError: the data set lacks a category, or has too few shapes of one.
    """
    dataset, categories = ShapeDataset.open(folder), generator.categories
    absent = sorted(set(categories) - set(dataset.categories))
    if absent:
        raise ValueError(f"{folder} lacks the checkpoint's categories {', '.join(absent)}")
    number = {category: k for k, category in enumerate(categories)}
    known = np.array([number.get(category, -1) for category in dataset.categories])
    splits = {}
    for split, limit in (("validation", per_category), ("train", train_limit)):
        labels = known[dataset.labels(split)]
        places = [np.flatnonzero(labels == k)[:limit] for k in range(len(categories))]
        counts = [len(part) for part in places]
        if min(counts) < per_category:
            raise ValueError(
                f"{folder} has {min(counts)} {split} shapes of "
                f"{categories[int(np.argmin(counts))]}; --per-category {per_category} needs as "
                "many; ask for fewer"
            )
        keep = np.concatenate(places)
        splits[split] = keep, labels[keep]
    return Chosen(dataset, splits)


def read_clouds(chosen: Chosen) -> dict[str, ShapeSet]:
    """Validation and training clouds: stored points, in cube units.

    Raises:
        ValueError: too few points.
    """
    dataset = chosen.dataset
    if dataset.points < POINTS:
        raise ValueError(
            f"{dataset.folder} must have {POINTS} points a shape; it has {dataset.points}"
        )
    rng, sets = np.random.default_rng(SEED), {}
    for split, (keep, labels) in chosen.splits.items():
        drawn = rng.permutation(dataset.points)[:POINTS]
        clouds = dataset.load_points(split)[0][np.ix_(keep, drawn)]
        sets[split] = ShapeSet(None, labels, clouds, {})
    return sets


def read_grids(chosen: Chosen, generator: ObjectGenerator) -> dict[str, np.ndarray]:
    """Validation and training grids (N, R, R, R) int8 in units of truncation / 127.

    Raises:
        ValueError: the data set's truncation is not the checkpoint's.
    """
    dataset = chosen.dataset
    if abs(dataset.truncation - generator.data.truncation) > 1e-6:
        raise ValueError(
            f"{dataset.folder} and the checkpoint differ in the truncation of the grids"
        )
    return {
        split: dataset.load_sdf(generator.resolution, split)[0][keep]
        for split, (keep, _) in chosen.splits.items()
    }


# -- generated shapes -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """The same noise for every sampler: that of `geoflow generate --seed 0 --category all`.

    Attributes:
        noise: (N, ...) standard normal.
        names: N categories.
        labels: (N,) their numbers.
    """

    noise: torch.Tensor
    names: list[str]
    labels: np.ndarray

    @classmethod
    def of(cls, generator: Generator, count: int) -> Request:
        """`count` shapes a category."""
        total = count * len(generator.categories)
        points = isinstance(generator, PointGenerator)
        shape = (POINTS, 3) if points else generator.noise_shape()
        return cls(
            torch.stack([draw_noise(SEED, i, shape) for i in range(total)]),
            [generator.category_of(i) for i in range(total)],
            np.arange(total) % len(generator.categories),
        )


Draw = Callable[[torch.Tensor, list[str]], torch.Tensor]
"""Noise (B, ...) and B categories -> shapes, on any device."""


def draw_all(draw: Draw, noise: torch.Tensor, names: list[str], batch: int) -> np.ndarray:
    """(N, ...) float32, a batch at a time."""
    starts = range(0, len(noise), batch)
    parts = [draw(noise[a : a + batch], names[a : a + batch]).float().cpu().numpy() for a in starts]
    return np.concatenate(parts)


def grid_draw(generator: ObjectGenerator, sampler: Sampler) -> Draw:
    """Draws (B, R, R, R) grids in cube units."""
    return lambda noise, names: generator.sdf(
        noise, names, steps=sampler.calls, cumulative=sampler.cumulative
    )


def cloud_draw(generator: PointGenerator, sampler: Sampler) -> Draw:
    """Draws (B, N, 3) clouds in cube units."""

    def heun(noise: torch.Tensor, names: list[str]) -> torch.Tensor:
        transport, device = generator.transport, generator.device
        times, cond = time_grid(transport, (sampler.calls + 1) // 2), generator.condition(names)
        with half_precision(device):
            made = sample_heun(transport, generator.net, noise.to(device), times, cond)
        return made * generator.data.std

    return (
        heun
        if sampler.heun
        else lambda noise, names: generator.clouds(
            noise, names, steps=sampler.calls, cumulative=sampler.cumulative
        )
    )


def retry(
    generator: ObjectGenerator,
    sampler: Sampler,
    names: list[str],
    grids: np.ndarray,
    clouds: list[Cloud],
    number: int,
) -> int:
    """Draws grids without a surface again, in place; returns how many there were at first."""
    missing = [i for i, cloud in enumerate(clouds) if cloud.points is None]
    failed = len(missing)
    for attempt in range(1, ATTEMPTS + 1):
        if not missing:
            break
        say(f"{sampler.name}: {len(missing)} grids without a surface, attempt {attempt}")
        shape = generator.noise_shape()
        noise = torch.stack([draw_noise(SEED, i, shape, attempt) for i in missing])
        again = draw_all(grid_draw(generator, sampler), noise, [names[i] for i in missing], 16)
        for i, grid in zip(missing, again, strict=True):
            grids[i], clouds[i] = grid, to_cloud((grid, 1.0, (number, i)))
        missing = [i for i in missing if clouds[i].points is None]
    return failed


def generate_clouds(
    generator: PointGenerator, samplers: list[Sampler], count: int
) -> dict[Sampler, ShapeSet]:
    """`count` clouds a category from every sampler; one that is not finite becomes the origin."""
    asked = Request.of(generator, count)
    batch, sets = 100 if generator.device.type == "cuda" else 4, {}
    for sampler in samplers:
        clouds = draw_all(cloud_draw(generator, sampler), asked.noise, asked.names, batch)
        lost = ~np.isfinite(clouds).all((1, 2))
        clouds[lost] = 0
        say(f"{sampler.name}: {len(clouds)} clouds sampled, {lost.sum()} not finite")
        sets[sampler] = ShapeSet(None, asked.labels, clouds, {})
    return sets


def generate_grids(
    generator: ObjectGenerator, samplers: list[Sampler], count: int, pool: ProcessPoolExecutor
) -> dict[Sampler, ShapeSet]:
    """`count` shapes a category from every sampler; meshing runs beside the network."""
    asked = Request.of(generator, count)
    batch = 128 if generator.device.type == "cuda" else 4
    drawn = {}
    for number, sampler in enumerate(samplers, 2):
        grids = draw_all(grid_draw(generator, sampler), asked.noise, asked.names, batch)
        drawn[sampler] = number, grids, submit(pool, grids, 1.0, number)
        say(f"{sampler.name}: {len(grids)} shapes sampled")
    sets = {}
    for sampler, (number, grids, pending) in drawn.items():
        clouds = list(pending)
        failed = retry(generator, sampler, asked.names, grids, clouds, number)
        sets[sampler] = collect(sampler.name, clouds, grids, asked.labels, failed=failed)
    return sets
