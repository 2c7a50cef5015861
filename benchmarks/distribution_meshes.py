"""Three meshes with thin and curved parts for benchmarks/distribution_table.py; numpy alone.

    python benchmarks/distribution_meshes.py DIR

Writes lamp.npz, chair.npz and knot.npz: vertices (V, 3) in metres, y up; faces (F, 3);
colours (V, 3). Parts overlap, as in most hand-made meshes; thin ones are 1 to 2 % of the height.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from script import argument_parser, run_script

from geoflow.files import write_atomically

Part = tuple[np.ndarray, np.ndarray]
WOOD, METAL, CLOTH = (0.55, 0.36, 0.2), (0.35, 0.37, 0.4), (0.85, 0.3, 0.25)


def lattice(rows: int, columns: int, *, wrap_rows: bool) -> np.ndarray:
    """Faces of a grid of vertices, row by row; columns always wrap around."""
    i = np.arange(rows if wrap_rows else rows - 1)[:, None]
    j = np.arange(columns)[None]
    here, right = i * columns + j, i * columns + (j + 1) % columns
    below, across = (i + 1) % rows * columns + j, (i + 1) % rows * columns + (j + 1) % columns
    return np.stack([here, below, across, here, across, right], -1).reshape(-1, 3)


def revolve(profile: list[tuple[float, float]], sides: int = 96) -> Part:
    """(radius, height) pairs turned around the y axis."""
    radius, height = np.array(profile, float).T[:, :, None]
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None]
    points = np.stack([radius * np.cos(angle), height + 0 * angle, radius * np.sin(angle)], -1)
    return points.reshape(-1, 3), lattice(len(profile), sides, wrap_rows=False)


def tube(curve: np.ndarray, radius: float, *, closed: bool = False, sides: int = 20) -> Part:
    """A pipe along (N, 3); its frame is carried along the curve, so that it does not twist."""
    ahead = np.roll(curve, -1, 0) - np.roll(curve, 1, 0) if closed else np.gradient(curve, axis=0)
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead[0], np.eye(3)[np.abs(ahead[0]).argmin()])
    rings = []
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[:, None]
    for point, way in zip(curve, ahead, strict=True):
        side = side - (side @ way) * way
        side = side / np.linalg.norm(side)
        rings.append(point + radius * (np.cos(angle) * side + np.sin(angle) * np.cross(way, side)))
    return np.concatenate(rings), lattice(len(curve), sides, wrap_rows=closed)


def line(start: tuple[float, float, float], end: tuple[float, float, float]) -> np.ndarray:
    return np.linspace(start, end, 8)


def box(centre: tuple[float, float, float], size: tuple[float, float, float]) -> Part:
    """An axis-aligned box of 12 faces."""
    corner = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))]
    return (corner - 0.5) * size + np.array(centre), np.array(faces)


def lamp() -> list[tuple[Part, tuple[float, float, float]]]:
    """A floor lamp: round foot, bent pole of 7 mm radius, open shade without thickness."""
    foot = revolve([(0, 0), (0.16, 0), (0.165, 0.01), (0.15, 0.025), (0.03, 0.035), (0, 0.036)])
    bend = np.linspace(0, np.pi, 60)[:, None]
    arch = np.hstack([0.18 - 0.18 * np.cos(bend), 1.25 + 0.22 * np.sin(bend), 0 * bend])
    straight = np.linspace([0, 0.03, 0], [0, 1.25, 0], 20)[:-1]
    pole = tube(np.concatenate([straight, arch]), 0.007)
    height = np.linspace(0, 1, 24)
    shade, faces = revolve([(0.05 + 0.11 * h**0.6, 1.25 - 0.2 * h) for h in height])
    bulb = revolve(
        [(0.035 * np.sin(a), 1.19 - 0.045 * np.cos(a)) for a in np.linspace(0, np.pi, 20)]
    )
    aside = np.array([0.36, 0, 0])
    return [(foot, METAL), (pole, METAL), ((shade + aside, faces), CLOTH),
            ((bulb[0] + aside, bulb[1]), (0.95, 0.9, 0.7))]  # fmt: skip


def chair() -> list[tuple[Part, tuple[float, float, float]]]:
    """A chair on legs of 9 mm radius with stretchers, a bent back and six thin rods in it."""
    parts = [(box((0, 0.45, 0), (0.44, 0.03, 0.42)), CLOTH)]
    for x in (-1, 1):
        for z in (-1, 1):
            parts.append(
                (tube(line((0.23 * x, 0, 0.22 * z), (0.18 * x, 0.44, 0.17 * z)), 0.009), WOOD)
            )
        parts.append((tube(line((0.208 * x, 0.2, -0.198), (0.208 * x, 0.2, 0.198)), 0.006), WOOD))
        parts.append((tube(line((0.19 * x, 0.46, -0.19), (0.2 * x, 0.9, -0.27)), 0.011), WOOD))
    parts.append((tube(line((-0.208, 0.2, 0), (0.208, 0.2, 0)), 0.006), WOOD))
    s = np.linspace(-1, 1, 40)[:, None]
    rail = np.hstack([0.2 * s, 0.9 + 0.05 * (1 - s**2), -0.27 - 0.05 * (1 - s**2)])
    parts.append((tube(rail, 0.014), WOOD))
    for x in np.linspace(-0.14, 0.14, 6):
        end = (1.02 * x, 0.9 + 0.05 * (1 - (x / 0.2) ** 2), -0.27 - 0.05 * (1 - (x / 0.2) ** 2))
        parts.append((tube(line((0.9 * x, 0.46, -0.19), end), 0.005), WOOD))
    return parts


def knot() -> list[tuple[Part, tuple[float, float, float]]]:
    """A trefoil knot of thin pipe that hovers in an open bowl of double wall."""
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)[:, None]
    curve = np.hstack([np.sin(t) + 2 * np.sin(2 * t), -1.2 * np.sin(3 * t),
                       np.cos(t) - 2 * np.cos(2 * t)])  # fmt: skip
    pipe = tube(0.075 * curve + np.array([0, 0.3, 0]), 0.016, closed=True)
    angle = np.linspace(0.0, np.pi / 2, 32)
    outer = [(0.34 * np.sin(a), 0.34 - 0.34 * np.cos(a)) for a in angle]
    inner = [(0.325 * np.sin(a), 0.34 - 0.325 * np.cos(a)) for a in angle[::-1]]
    return [(pipe, METAL), (revolve(outer + inner), CLOTH)]


SHAPES = {"lamp": lamp, "chair": chair, "knot": knot}


def build(name: str) -> dict[str, np.ndarray]:
    """Arrays of a shape by its name."""
    vertices, faces, colours, offset = [], [], [], 0
    for (points, corners), colour in SHAPES[name]():
        vertices.append(points)
        faces.append(corners + offset)
        # Darker towards the ground, so that colours vary within a part.
        colours.append(np.array(colour) * (0.7 + 0.3 * np.clip(points[:, 1:2], 0, 1)))
        offset += len(points)
    return {
        "vertices": np.concatenate(vertices),
        "faces": np.concatenate(faces).astype(np.int64),
        "colours": np.concatenate(colours),
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in SHAPES:
        buffer = io.BytesIO()
        np.savez(buffer, **build(name))
        write_atomically(args.out / f"{name}.npz", buffer.getvalue())
        print(args.out / f"{name}.npz")


if __name__ == "__main__":
    run_script(main)
