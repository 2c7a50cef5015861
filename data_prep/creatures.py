"""Makes rigged creatures out of simple parts: fishes, toy people, animals, robots, insects.

    python data_prep/creatures.py OUT.npz --count 1000 --seed 0

Three in ten are fishes, three are toys with big heads, the others animals on two to eight legs or
none, robots and blobs. Shapes are low-poly and varied; joints are where artists put them. Creature
k depends on (seed, k) alone. About 0.2 s a creature and core; Ctrl-C keeps what is done,
and the same command goes on. --meshes DIR also writes each creature's mesh, to try `geoflow joints`
on.

Needs numpy, torch, typer, rich.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# One thread a process; before numpy loads.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

from parts import character_file as files
from parts import creature_beasts as beasts
from parts import creature_crawlers as crawlers
from parts import creature_fish as swimmers
from parts import creature_toys as toys
from parts.creature_parts import Builder

from geoflow.cli import script
from geoflow.geometry import fit_frame, sample_outside
from geoflow.joints import Character

KINDS: dict[str, tuple[float, Callable[[Builder], None]]] = {
    "fish": (0.265, swimmers.fish),
    "ray": (0.035, swimmers.ray),
    "toy": (0.3, toys.toy),
    "animal": (0.07, toys.animal),
    "robot": (0.05, toys.robot),
    "quadruped": (0.12, beasts.quadruped),
    "dinosaur": (0.03, beasts.dinosaur),
    "bird": (0.04, beasts.bird),
    "insect": (0.04, crawlers.insect),
    "snake": (0.025, crawlers.snake),
    "blob": (0.025, crawlers.blob),
}
"""Kind -> its share and what builds it."""


@dataclass(frozen=True)
class Creature:
    """A mesh with its skeleton: longest side 1.8, y up, facing +z.

    Attributes:
        kind: a key of KINDS.
        vertices, faces: (V, 3), (F, 3); parts are closed and overlap.
        joints, parents, names: (J, 3), (J,) -1 for the root, J.
    """

    kind: str
    vertices: np.ndarray
    faces: np.ndarray
    joints: np.ndarray
    parents: np.ndarray
    names: tuple[str, ...]


def build_creature(rng: np.random.Generator, kind: str | None = None) -> Creature:
    """A creature of a kind, or of one drawn by its share."""
    shares = np.array([share for share, _ in KINDS.values()])
    drawn = str(rng.choice(list(KINDS), p=shares / shares.sum()))
    kind = kind or drawn
    builder = Builder(rng)
    KINDS[kind][1](builder)
    vertices, faces = builder.mesh()
    frame = fit_frame(vertices)
    joints = frame.into_cube(np.stack(builder.joints))
    parents, names = np.array(builder.parents), tuple(builder.names)
    return Creature(kind, frame.into_cube(vertices), faces, joints, parents, names)


def draw_creature(seed: int, number: int, count: int) -> tuple[Character, Creature]:
    """Creature `number` of `seed` with `count` surface points."""
    rng = np.random.default_rng([seed, number])
    made = build_creature(rng)
    points, normals, _ = sample_outside(made.vertices, made.faces, count, rng)
    name = f"creatures_{seed}/{made.kind}_{number:05d}"
    surface, tree = (points, normals), (made.joints, made.parents, made.names)
    return files.to_character(name, "creature", surface, *tree), made


def main(
    out: files.Out,
    count: files.Count = 1000,
    seed: files.Seed = 0,
    points: files.Points = 4096,
    meshes: files.Meshes = None,
) -> None:
    """Write COUNT creatures to OUT."""
    files.check_request(out, meshes)
    files.make_characters(out, count, lambda k: draw_creature(seed, k, points), meshes)


app = script(main)

if __name__ == "__main__":
    app()
