"""A contact sheet of characters with the skeletons found for them, none of them trained on.

    python benchmarks/joint_pictures.py assets/joints.png --meshes DIR --rigs FILE.npz [--rigs ...]

DIR holds meshes (`data_prep/anny_bodies.py --meshes DIR` with a seed of its own); a FILE holds
characters as clouds, of which the held-out packs are drawn. Six of either; for clouds the true
joints are drawn green. Two network calls.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from script import argument_parser, run_script

from geoflow import JointPredictor, load_joint_predictor, read_mesh, rig_mesh
from geoflow.files import write_atomically
from geoflow.geometry import fit_frame
from geoflow.joints import (
    HELD_OUT_PACKS,
    Character,
    read_characters,
    skeleton_parts,
)
from geoflow.render import CLAY, Studio, join_tiles

SIZE, COLUMNS, TRUTH = 320, 6, (0.1, 0.6, 0.2)
VIEW = {"azimuth": 19.3, "elevation": 6.5, "half_height": 1.1}


def tile(
    surface: Any, joints: np.ndarray, parents: np.ndarray, truth: np.ndarray | None
) -> np.ndarray:
    """(SIZE, SIZE, 3) uint8; all in a frame of longest side 1.8."""
    import pyvista

    style = {"opacity": 0.35} if surface.n_cells != surface.n_points else {"point_size": 1.5}
    parts = [(surface, {"color": CLAY, **style}), *skeleton_parts(joints, parents, 0.01, 0.022)]
    for joint in () if truth is None else truth:
        parts.append((pyvista.Sphere(radius=0.016, center=joint), {"color": TRUTH}))
    with Studio(SIZE, soft=False) as studio:
        return studio.draw(parts, **VIEW)


def of_mesh(predictor: JointPredictor, path: Path) -> np.ndarray:
    """A tile of a mesh file."""
    import pyvista

    vertices, faces = read_mesh(path)
    vertices = fit_frame(vertices).into_cube(vertices)
    rig = rig_mesh(predictor, vertices, faces)
    packed = np.column_stack((np.full(len(faces), 3), faces)).ravel()
    return tile(pyvista.PolyData(vertices, packed), rig.joints, rig.parents, None)


def of_cloud(predictor: JointPredictor, character: Character) -> np.ndarray:
    """A tile of a character of which there are only points."""
    import pyvista

    found = predictor.predict(character.points, character.normals)
    cloud = pyvista.PolyData(character.points)
    return tile(cloud, found.joints, found.parents, character.joints)


def main() -> None:
    """Writes the sheet."""
    parser = argument_parser(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--rigs", type=Path, action="append", required=True)
    parser.add_argument("--checkpoint", default="characters")
    options = parser.parse_args()
    predictor = load_joint_predictor(options.checkpoint)
    tiles = [of_mesh(predictor, p) for p in sorted(options.meshes.glob("*.glb"))[:COLUMNS]]
    packs: dict[str, list[Character]] = {}
    for character in (c for path in options.rigs for c in read_characters(path)):
        if character.pack in HELD_OUT_PACKS:
            packs.setdefault(character.pack, []).append(character)
    shown = [c for pack in packs.values() for c in pack[: COLUMNS // len(packs)]]
    tiles += [of_cloud(predictor, c) for c in shown]
    write_atomically(options.out, join_tiles(tiles, COLUMNS), sync=False)
    print(f"{options.out}: {len(tiles)} characters")


if __name__ == "__main__":
    run_script(main)
