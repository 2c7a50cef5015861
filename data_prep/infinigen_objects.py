"""Makes meshes of furniture and household objects with Infinigen's factories.

Writes OUT/CLASS/SUB_SEED.drc (Draco): metres, y up, facing +z, feet on y = 0,
centred in x and z, about 3,000 faces; the format of shared/data/objects.zip.

    python data_prep/infinigen_objects.py OUT --seeds 2000:2800 --processes 2

Runs in a venv of its own (Python 3.11, 2.1 GB; numpy < 2 clashes with geoflow's):

    python3.11 -m venv infinigen-venv
    pip install bpy==4.2.0 "numpy<2" gin_config "trimesh<3.23" tqdm matplotlib \
        "opencv-python-headless<4.9" "scikit-learn<1.4" psutil \
        "scikit-image>=0.22" OpenEXR "shapely<=2.0.5" scipy meshoptimizer DracoPy
    pip install --no-deps infinigen==1.15.5

Cost on one core of a busy machine, seconds an asset: shelf, lamp, monitor, table
0.1-0.4; bottle, bowl, cup, chair, pot 0.7-1.6; toilet, vase, wineglass, sofa, bed
1.5-2.2; kitchen cabinet 2.3. Two processes make 2.7 assets a second: 9,600 in an
hour, 0.7 GB of memory each. A seed gives the mesh of objects.zip up to 2 mm, except
what Infinigen draws unseeded (coffee/side tables, vases, office chairs, bed heads).

Splits: seeds ending in 7 are the test set: never made here, whatever the flags say.
Seeds ending in 3 are for validation; all others are for training.

Licences: Infinigen's code is BSD-3 and its licence claims nothing about assets
made with it. bpy is GPL-3: only this script imports it, geoflow never does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import multiprocessing
import os
import re
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # geoflow's checks need no torch

from parts.infinigen_assets import CLASS_NAMES, SubClass, choose_sub

from geoflow.checks import require
from geoflow.files import write_atomically

WELD_DISTANCE = 1e-5  # metres
TARGET_FACES = 3000
SIMPLIFY_ERROR = 0.004  # of the longest side; simplification stops there
MIN_SIZE = 0.01  # metres, of the longest side
ASSETS_PER_WORKER = 100  # then the process is replaced, so memory cannot grow
SECONDS_PER_ASSET = 180.0  # then the process is killed
report = partial(print, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Task:
    """One mesh to make."""

    sub: SubClass
    seed: int

    def path(self, out: Path) -> Path:
        """The file this mesh is written to."""
        return out / self.sub.class_name / f"{self.sub.name}_{self.seed:05d}.drc"


def list_tasks(class_names: list[str], seeds: range, last_digits: str, out: Path) -> list[Task]:
    """All meshes that are asked for and not there yet, interleaved over classes."""
    wanted = [seed for seed in seeds if str(seed)[-1] in set(last_digits) - {"7"}]
    tasks = [Task(choose_sub(c, seed), seed) for seed in wanted for c in class_names]
    return [t for t in tasks if not t.path(out).exists()]


def prepare_infinigen() -> None:
    """Imports infinigen without Blender's add-ons and corrects its bottles and beds.

    The 'coiled' and 'pad' backs and the 'coiled' leg panels of beds come out torn;
    'wrapped' mattresses need a cloth simulation of four seconds.
    """
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    import infinigen.core.init as init

    init.require_blender_addon = lambda *args, **kwargs: True
    from infinigen.assets.objects.seating import bed
    from infinigen.assets.objects.tableware import bottle
    from infinigen.core.util import blender as butil

    def subsurf_off_limit(obj, levels, simple=False):
        """Like decorate.subsurf; points on the limit surface tear a bottle's neck."""
        if levels > 0:
            kind = "SIMPLE" if simple else "CATMULL_CLARK"
            options = {"subdivision_type": kind, "use_limit_surface": False}
            butil.modify_mesh(obj, "SUBSURF", levels=levels, render_levels=levels, **options)

    bottle.subsurf = subsurf_off_limit
    beds, choice = bed.BedFactory, "weighted_choice"
    beds.back_types = choice, (2, "whole"), (1, "horizontal-bar"), (1, "vertical-bar")
    beds.leg_decor_types = choice, (2, "pad"), (1, "plain"), (2, "legs")
    beds.mattress_types = choice, (1, "coiled")


def build_asset(task: Task) -> None:
    """Leaves one asset, alone, in Blender's scene (z up, facing +x)."""
    from infinigen.core.util import blender as butil
    from infinigen.core.util.math import FixedSeed

    butil.clear_scene()
    module = importlib.import_module(f"infinigen.assets.objects.{task.sub.module}")
    with FixedSeed(task.seed):
        factory = getattr(module, task.sub.factory)(task.seed)
        if task.sub.class_name == "bed":
            build_bed(factory)
        else:
            factory.spawn_asset(0)


def build_bed(factory) -> None:
    """A bed's frame and mattress, without the cloth (a minute a bed).

    A third of the padded leg panels have vertices far away (an inset of slivers);
    those beds are built again with plain panels.
    """
    from infinigen.assets.objects.seating.bedframe import BedFrameFactory
    from infinigen.core.util import blender as butil

    frame = BedFrameFactory.create_asset(factory, i=0)
    if factory.leg_decor_type == "pad" and is_torn(frame, factory):
        butil.delete(frame)
        factory.leg_decor_type = "plain"
        BedFrameFactory.create_asset(factory, i=0)
    factory.make_mattress(0)


def is_torn(frame, factory) -> bool:
    """Whether a bed's frame leaves the box that its parameters allow (metres)."""
    points = np.array([v.co for v in frame.data.vertices])
    extent = [*np.ptp(points, axis=0)[:2], -points[:, 2].min()]
    limit = [factory.size + 0.2, factory.width + 0.2, factory.leg_height + 0.05]
    return bool(np.greater(extent, limit).any())


def read_scene() -> tuple[np.ndarray, np.ndarray]:
    """The triangles of all evaluated instances in the scene, in world space.

    Returns:
        vertices (V, 3) float64 in metres, z up; faces (F, 3) int64.
    """
    import bpy

    graph = bpy.context.evaluated_depsgraph_get()
    all_vertices, all_faces, offset = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0
    for instance in graph.object_instances:
        if instance.object.type not in ("MESH", "CURVE", "SURFACE"):
            continue
        mesh = instance.object.to_mesh()
        if mesh is None or not len(mesh.vertices):
            continue
        mesh.calc_loop_triangles()
        vertices = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", vertices)
        faces = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("vertices", faces)
        matrix = np.array(instance.matrix_world)
        all_vertices.append(vertices.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
        all_faces.append(faces.reshape(-1, 3).astype(np.int64) + offset)
        offset += len(mesh.vertices)
        instance.object.to_mesh_clear()
    return np.concatenate(all_vertices), np.concatenate(all_faces)


def weld(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merges vertices on a grid of WELD_DISTANCE; drops faces that collapse."""
    keys = np.round(vertices / WELD_DISTANCE)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = inverse.reshape(-1)[faces]
    a, b, c = faces.T
    return vertices[first], faces[(a != b) & (b != c) & (c != a)]


def simplify(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most TARGET_FACES faces unless the error would pass SIMPLIFY_ERROR."""
    import meshoptimizer

    vertices = np.ascontiguousarray(vertices, np.float32)
    indices = np.ascontiguousarray(faces.reshape(-1), np.uint32)
    if len(faces) > TARGET_FACES:
        out = np.zeros_like(indices)
        limits = {"target_index_count": 3 * TARGET_FACES, "target_error": SIMPLIFY_ERROR}
        indices = out[: meshoptimizer.simplify(out, indices, vertices, **limits)]
    used, compact = np.unique(indices, return_inverse=True)
    return vertices[used], compact.reshape(-1, 3).astype(np.uint32)


def to_geoflow_frame(vertices: np.ndarray) -> np.ndarray:
    """From z up, facing +x to y up, facing +z; feet on y = 0, centred in x and z."""
    vertices = vertices[:, [1, 2, 0]]
    low, middle = vertices.min(0), (vertices.min(0) + vertices.max(0)) / 2
    return vertices - np.array([middle[0], low[1], middle[2]])


def check_mesh(vertices: np.ndarray, faces: np.ndarray, max_size: float) -> None:
    """Raises ValueError for a mesh (y up, metres) that must not be kept."""
    if len(faces) < 4:
        raise ValueError(f"the mesh must have at least 4 faces; it has {len(faces)}; skipped")
    if not np.isfinite(vertices).all():
        raise ValueError("all vertices must be finite; skipped")
    size = float(np.ptp(vertices, axis=0).max())
    if not MIN_SIZE <= size <= max_size:
        raise ValueError(f"longest side must be {MIN_SIZE} to {max_size} m; is {size:.4g}; skipped")
    gap = float(vertices[:, 1].min()) / size
    if gap > 0.01:  # simplification removed a stray vertex that had reached the floor
        raise ValueError(f"feet must be within 0.01 of the size of y = 0; at {gap:.3g}; skipped")


def make_one(task: Task, out: Path) -> None:
    """Builds one asset and writes its file, whole or not at all."""
    import DracoPy

    build_asset(task)
    vertices, faces = read_scene()
    vertices, faces = weld(to_geoflow_frame(vertices), faces)
    check_mesh(vertices, faces, task.sub.max_size)
    vertices, faces = simplify(vertices, faces)
    check_mesh(vertices, faces, task.sub.max_size)
    data = DracoPy.encode(vertices, faces, quantization_bits=14, compression_level=7)
    path = task.path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data, sync=False)


def serve(connection, out: Path) -> None:
    """The worker process: receives tasks, answers each with an error text or ''."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Blender and infinigen chatter on stdout
    prepare_infinigen()
    with suppress(EOFError):  # the parent has ended
        while task := connection.recv():
            try:
                make_one(task, out)
                connection.send("")
            except Exception as error:  # any failure of a factory is recorded and the run goes on
                where = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{Path(where.filename).name}:{where.lineno}"
                connection.send(f"{type(error).__name__}: {error} ({where})")


class Worker:
    """A process that makes meshes one by one and is replaced when old, dead or stuck."""

    def __init__(self, out: Path):
        self.out = out
        self.start()

    def start(self) -> None:
        """Starts a fresh process."""
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.out), daemon=True)
        self.process.start()
        theirs.close()  # so that a dead process shows as the end of the stream
        self.made = 0

    def make(self, task: Task) -> str:
        """Makes one mesh; returns '' or what went wrong."""
        self.made += 1
        try:
            self.connection.send(task)
            error = f"took over {SECONDS_PER_ASSET:.0f} s; killed"
            if in_time := self.connection.poll(SECONDS_PER_ASSET):
                error = self.connection.recv()
        except (EOFError, ConnectionError):
            in_time, error = False, "the process died"
        if not in_time or self.made >= ASSETS_PER_WORKER:
            self.process.kill()
            self.process.join()
            self.connection.close()
            self.start()
        return error


def make_all(tasks: list[Task], out: Path, processes: int) -> Iterator[tuple[Task, str, float]]:
    """Makes all meshes; yields the task, '' or what went wrong, and the seconds it took."""
    idle = deque(Worker(out) for _ in range(min(processes, len(tasks))))

    def run(task: Task) -> tuple[Task, str, float]:
        worker, begin = idle.pop(), time.monotonic()
        error = worker.make(task)
        idle.append(worker)
        return task, error, time.monotonic() - begin

    with ThreadPool(max(1, len(idle))) as pool:
        yield from pool.imap_unordered(run, tasks)


def parse_arguments() -> argparse.Namespace:
    """Reads and checks the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--seeds", default="200:800", help="FIRST:END, END not included")
    parser.add_argument("--classes", default="all", help=f"some of {','.join(CLASS_NAMES)}")
    parser.add_argument("--last-digits", default="012345689", help="of seeds; 7 is never made")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    args.classes = CLASS_NAMES if args.classes == "all" else args.classes.split(",")
    if unknown := set(args.classes) - set(CLASS_NAMES):
        parser.error(f"--classes must be among {CLASS_NAMES}; got {sorted(unknown)}")
    if not re.fullmatch(r"\d+:\d+", args.seeds):
        parser.error(f"--seeds must be FIRST:END; got {args.seeds!r}")
    args.seeds = range(*map(int, args.seeds.split(":")))
    return args


def main() -> None:
    """Makes all meshes that the command line asks for."""
    args = parse_arguments()
    try:
        modules = "bpy", "infinigen", "meshoptimizer", "DracoPy"
        require(*modules, install="read the top of data_prep/infinigen_objects.py")
    except RuntimeError as error:
        sys.exit(f"infinigen_objects: {error}")
    if "7" in args.last_digits:
        report("seeds ending in 7 are the test set: they are skipped")
    args.out.mkdir(parents=True, exist_ok=True)
    tasks = list_tasks(args.classes, args.seeds, args.last_digits, args.out)
    begin, failed, costs = time.monotonic(), 0, {}
    results = make_all(tasks, args.out, args.processes)
    for done, (task, error, seconds) in enumerate(results, start=1):
        name = f"{task.sub.class_name}/{task.sub.name}"
        costs.setdefault(name, []).append(seconds)
        if error:
            failed += 1
            with open(args.out / "failures.jsonl", "a") as file:
                file.write(json.dumps({"name": name, "seed": task.seed, "error": error}) + "\n")
        if done % 25 == 0 or done == len(tasks):
            rate = done / (time.monotonic() - begin)
            left = f"{(len(tasks) - done) / rate / 60:.0f} min left"
            report(f"{done}/{len(tasks)} done, {failed} failed, {rate:.2f}/s, {left}")
    for name, seconds in sorted(costs.items()):
        report(f"{name}: {sum(seconds) / len(seconds):.2f} s x {len(seconds)}")


if __name__ == "__main__":
    main()
