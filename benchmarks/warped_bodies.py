"""Bodies of other proportions than any in training: a test of joints on stylised people.

    python benchmarks/warped_bodies.py bodies_held_out.npz OUT
    python benchmarks/joint_scores.py CHECKPOINT --bodies OUT/chibi.npz --bodies OUT/lanky.npz ...

BODIES is a file of data_prep/anny_bodies.py; those in T-pose get a large head, short legs, and so
on. Surface and joints are moved by one map, so the joints stay right. OUT gets one file a kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from script import argument_parser, run_script

from geoflow.geometry import fit_frame
from geoflow.joints import Character, read_characters, write_characters

Move = Callable[[np.ndarray], np.ndarray]
BLEND = 0.03  # half the height over which a head begins


@dataclass(frozen=True)
class Proportions:
    """Factors of the parts of a body; 1 leaves a part alone."""

    head: float = 1.0
    legs: float = 1.0
    arms: float = 1.0
    width: float = 1.0
    depth: float = 1.0


KINDS = {
    "big_head": Proportions(head=1.6),
    "chibi": Proportions(head=2.0, legs=0.65, arms=0.8),
    "lanky": Proportions(legs=1.35, arms=1.15, depth=0.8),
    "stout": Proportions(legs=0.85, width=1.3, depth=1.6),
}


def mover(c: Character, to: Proportions) -> Move:
    """The map of (N, 3) points that gives a T-posed body other proportions, in the body's frame.

    Raises:
        ValueError: the character has not the joints of anny_bodies.py.
    """
    place = dict(zip(c.joint_names, c.joints, strict=True))
    lacking = sorted({"LeftUpLeg", "RightUpLeg", "Neck", "LeftArm", "RightArm"} - place.keys())
    if lacking:
        raise ValueError(f"{c.name} must have the joints of anny_bodies.py; it lacks {lacking[0]}")
    hip = (place["LeftUpLeg"][1] + place["RightUpLeg"][1]) / 2
    neck, middle = place["Neck"][1], place["Neck"][0]
    shoulder = (place["LeftArm"][0] - place["RightArm"][0]) / 2
    knots = np.array([hip - 3, hip, neck, neck + 3])
    heights = hip + np.array([-3 * to.legs, 0, neck - hip, neck - hip + 3 * to.head])

    def move(p: np.ndarray) -> np.ndarray:
        x, y, z = p.T
        x = x - middle
        aside = np.abs(x)
        # shoulders may be as high as the neck, but are further out than a head is wide
        head = np.interp(y, [neck - BLEND, neck + BLEND], [0.0, 1.0])
        head = head * np.interp(aside, [0.8 * shoulder, 1.2 * shoulder], [1.0, 0.0])
        chest = (hip + neck) / 2
        arms = np.interp(y, [chest - BLEND, chest + BLEND], [0.0, 1.0])
        beyond = arms * (aside - shoulder).clip(0)
        x = x + np.sign(x) * (to.arms - to.width) / to.width * beyond
        x = x * (head * to.head + (1 - head) * to.width)
        z = z * (head * to.head + (1 - head) * to.depth)
        return np.stack((x, np.interp(y, knots, heights), z), 1)

    return move


def warp(c: Character, to: Proportions) -> Character:
    """The character with other proportions, box centred, longest side 1.8 again.

    Normals follow by the inverse transpose of the map's derivative; the local diameter of a joint
    grows as the cube root of its volume.
    """
    move, step = mover(c, to), 1e-4

    def derivative(p: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N, 3, 3), rows are coordinates of the moved point."""
        columns = [(move(p + d) - move(p - d)) / (2 * step) for d in step * np.eye(3)]
        return np.stack(columns, -1)

    points = c.points.astype(np.float64)
    joints = c.joints.astype(np.float64)
    normals = np.linalg.solve(
        derivative(points).swapaxes(1, 2), c.normals.astype(np.float64)[..., None]
    )[..., 0]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)
    grown = np.cbrt(np.linalg.det(derivative(joints)))
    points, joints = move(points), move(joints)
    frame = fit_frame(points)
    return replace(
        c,
        points=frame.into_cube(points).astype(np.float32),
        normals=normals.astype(np.float32),
        joints=frame.into_cube(joints).astype(np.float32),
        feature_size=(c.feature_size * grown * (frame.longest / frame.side)).astype(np.float32),
    )


def main() -> None:
    """Writes OUT/KIND.npz."""
    parser = argument_parser(__doc__)
    parser.add_argument("bodies", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    level = [c for c in read_characters(options.bodies) if "-t-" in c.name]
    if not level:
        raise ValueError(f"{options.bodies} must hold bodies in T-pose (-t- in their names)")
    options.out.mkdir(parents=True, exist_ok=True)
    for kind, to in KINDS.items():
        write_characters(options.out / f"{kind}.npz", [warp(c, to) for c in level])
        print(f"{options.out / kind}.npz: {len(level)} bodies")


if __name__ == "__main__":
    run_script(main)
