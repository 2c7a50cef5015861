"""The one worker for the model: noise in, shape out, and pictures of it. No gradio in here."""

from __future__ import annotations

import io
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from PIL import Image

import geoflow
from geoflow import Noise, ObjectGenerator, SurfaceMesh, reconstruct, write_mesh
from geoflow.files import write_atomically
from geoflow.model import single_threaded_torch
from geoflow.render import trace_grid
from geoflow.shapes import Scan, read_scan
from geoflow_app.server.sessions import Item, Job
from geoflow_app.server.settings import ShapeSettings

P = ParamSpec("P")
T = TypeVar("T")
Check = Callable[..., None]
"""Called between pieces of work: raises to stop."""
PICTURE_SIZE, WALK_SIZE = 168, 168
SHOWN = (0.27, 0.30, 0.27, 1.0)  # the viewer's light bleaches the exports' clay
PAPER = 242  # the pictures' background, of 255


def _always(*_: object) -> None:
    """Somebody waits for the result."""


def _alone(
    method: Callable[Concatenate[Studio, P], T],
) -> Callable[Concatenate[Studio, P], T]:
    """The method, run by the model's worker: one job at a time, whoever asks."""

    @wraps(method)
    def run(self: Studio, *args: P.args, **kwargs: P.kwargs) -> T:
        made = self._worker.submit(method, self, *args, **kwargs)
        self._asked = math.inf  # meanwhile it is busy
        try:
            return made.result()
        finally:
            self._asked = time.monotonic()

    return run


class Studio:
    """Makes shapes; only one at a time, whoever asks.

    Args:
        generator: the model.
    """

    def __init__(self, generator: ObjectGenerator) -> None:
        self.generator = generator
        # A thread of its own: torch keeps caches and helper threads for each thread that calls it.
        self._worker = ThreadPoolExecutor(1, "model")
        self._walkers = _single_threads(2, "walk")
        self._joints: geoflow.JointPredictor | None = None  # loaded when it is first needed
        self._clouds = _cloud_mesher(generator)
        self._asked = 0.0  # when a shape was last asked for or done

    def warm_up(self) -> None:
        """A shape that nobody sees: the first one is several times slower."""
        name = self.generator.categories[0]
        grid, _ = self.grid(Noise.of_shape(0), name, ShapeSettings(), _always)
        self.generator.mesh(grid, name, 64)
        picture(grid, PICTURE_SIZE)
        drawn = [self._walkers.submit(picture, grid, WALK_SIZE) for _ in range(2)]
        futures.wait(drawn)
        if self.generator.reads_clouds:
            points = np.random.default_rng(0).normal(size=(64, 3))
            self.surface(_always, self.scan(points, "y"), None, 0, ShapeSettings())

    # -- the network ------------------------------------------------------------------------

    def _grid(
        self,
        noise: Noise,
        category: str,
        settings: ShapeSettings,
        check: Check,
        cumulative: bool | None = None,
    ) -> tuple[torch.Tensor, float]:
        """Signed distances (R, R, R) and the seconds that the network took.

        Args:
            check: called after every network call too.
            cumulative: see ObjectGenerator.sdf.
        """
        check()
        make = partial(self.generator.sdf, cumulative=cumulative)
        if settings.backbone == "points":
            assert self._clouds is not None and cumulative is None
            make = partial(self._clouds.sdf, noise.draw(self._clouds.cloud_shape())[None])
        begin = time.perf_counter()
        grid = make(
            noise.draw(self.generator.noise_shape())[None],
            [category],
            steps=settings.steps,
            guidance=settings.guidance,
            on_step=check,
        )[0].cpu()
        check()
        return grid, time.perf_counter() - begin

    grid = _alone(_grid)

    @property
    def digests(self) -> dict[str, str]:
        """Of all weights that shapes are made with, for a manifest."""
        known = {"checkpoint": self.generator.digest}
        return known if self._clouds is None else known | {"points": self._clouds.clouds.digest}

    @property
    def backbones(self) -> list[str]:
        """What shapes can be made by."""
        return ["grid"] if self._clouds is None else ["grid", "points"]

    def quiet_seconds(self) -> float:
        """For how long nobody has asked for a shape; negative while one is made."""
        return time.monotonic() - self._asked

    def make(
        self,
        job: Job,
        noise: Noise,
        category: str,
        settings: ShapeSettings,
        title: str,
        cumulative: bool | None = None,
    ) -> tuple[Item, torch.Tensor]:
        """A finished shape with its .glb, not yet in the session, and its grid."""
        grid, network = self.grid(noise, category, settings, job.check, cumulative)
        begin = time.perf_counter()
        maker = self._clouds if settings.backbone == "points" else self.generator
        assert maker is not None
        mesh = maker.mesh(grid, category, settings.resolution)
        meshing = time.perf_counter() - begin
        item = store(job, mesh, title, category, category=category, noise=noise, settings=settings)
        item.facts |= {"network_seconds": round(network, 3), "mesh_seconds": round(meshing, 3)}
        return item, grid

    def add_picture(self, item: Item, grid: torch.Tensor) -> None:
        """Draws the thumbnail of a shape."""
        path = item.glb.with_suffix(".webp")
        write_atomically(path, picture(grid, PICTURE_SIZE), sync=False)
        item.picture = path

    def make_many(
        self, job: Job, orders: list[tuple[Noise, str, str]], settings: ShapeSettings
    ) -> Iterator[tuple[int, Item]]:
        """(noise, category, title) to shapes, added to the front of the gallery.

        Yields:
            (place, item), twice for each: when it can be shown, and when it has its picture.
        """
        for place, (noise, category, title) in enumerate(orders):
            item, grid = self.make(job, noise, category, settings, title)
            job.check()
            yield place, item
            self.add_picture(item, grid)
            job.check()
            job.session.add(item, place)
            yield place, item

    def frame(self, job: Job, noise: Noise, category: str, settings: ShapeSettings) -> bytes:
        """One frame of a walk, drawn; WebP.

        Two can be made at once, in one thread each. Beside a browser that is faster than both
        threads in one frame, which wait for each other.
        """

        def make() -> bytes:
            grid, _ = self._grid(noise, category, settings, job.check)
            return picture(grid, WALK_SIZE)

        return self._walkers.submit(make).result()

    @_alone
    def rig(
        self, check: Check, vertices: np.ndarray, faces: np.ndarray, up: str, kind: str, steps: int
    ) -> tuple[geoflow.RiggedMesh, float]:
        """A mesh with joints and skinning weights, and the seconds that finding them took.

        Args:
            check: as in `grid`.
            up, kind, steps: see geoflow.rig_mesh.

        Raises:
            ValueError: the mesh has no area.
        """
        check()
        if self._joints is None:
            device = self.generator.device.type
            self._joints = geoflow.load_joint_predictor("characters", device)
            check()
        begin = time.perf_counter()
        rig = geoflow.rig_mesh(
            self._joints, vertices, faces, up=up, steps=steps, category=kind, check=check
        )
        check()
        return rig, time.perf_counter() - begin

    @_alone
    def scan(self, points: np.ndarray, up: str) -> Scan:
        """What the network reads of a cloud, see geoflow.shapes.read_scan."""
        return read_scan(points, up)

    @_alone
    def surface(
        self, check: Check, scan: Scan, category: str | None, seed: int, settings: ShapeSettings
    ) -> tuple[SurfaceMesh, float]:
        """A closed mesh in the cloud's frame, and the seconds that it took.

        Raises:
            ValueError: no surface came out.
        """
        check()
        begin = time.perf_counter()
        mesh = reconstruct(
            self.generator,
            scan,
            steps=settings.steps,
            category=category,
            seed=seed,
            resolution=settings.resolution,
            on_step=check,
        )
        return mesh, time.perf_counter() - begin


def _cloud_mesher(generator: ObjectGenerator) -> geoflow.clouds.CloudMesher | None:
    """Makes shapes by way of clouds; None where the generator cannot make surfaces of them."""
    if not (geoflow.model.has_checkpoint("points") and generator.reads_clouds):
        return None
    points = geoflow.load("points", generator.device.type, (geoflow.PointGenerator,))
    if set(points.categories) != set(generator.categories):
        return None
    return geoflow.clouds.CloudMesher(points, generator)


def _single_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Threads in which a torch operation uses no other thread."""
    begun = threading.Barrier(count)

    def begin() -> None:
        torch.get_num_threads()  # a thread keeps the number that it first sees
        begun.wait()

    with single_threaded_torch():
        pool = ThreadPoolExecutor(count, name)
        futures.wait([pool.submit(begin) for _ in range(count)])
    return pool


def store(job: Job, mesh: SurfaceMesh, title: str, stem: str, **how: Any) -> Item:
    """Writes a mesh's arrays and .glb into the session's folder.

    Args:
        how: the item's category, noise and settings, where it was generated.
    """
    arrays = {"vertices": mesh.vertices, "faces": mesh.faces}
    item = job.item(title, stem, facts_of(mesh), arrays, **how)
    write_mesh(item.glb, mesh.vertices, mesh.faces, mesh.normals, colour=SHOWN)
    return item


def facts_of(mesh: SurfaceMesh) -> dict[str, Any]:
    """What a person wants to know of a mesh; plain numbers."""
    size = 100 * np.ptp(mesh.vertices, axis=0)
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "size_cm": [round(float(side), 2) for side in size],
        "closed": mesh.watertight,
        "volume_litres": round(1000 * mesh.volume, 4) if mesh.watertight else None,
    }


def picture(grid: torch.Tensor, size: int) -> bytes:
    """(R, R, R) signed distances -> a small WebP."""
    tile = trace_grid(grid, size, azimuth=32.0, elevation=20.0)
    tile = np.where((tile == 255).all(-1, keepdims=True), np.uint8(PAPER), tile)
    buffer = io.BytesIO()
    Image.fromarray(tile).save(buffer, "WEBP", quality=86, method=1)
    return buffer.getvalue()
