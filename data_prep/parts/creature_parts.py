"""Closed parts and the skeleton that creatures are built of.

A mesh is a pair: vertices (V, 3) and outward faces (F, 3). Left is +x; parts and joints that are
added as a pair are made for the left side and mirrored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]
Parent = int | tuple[int, int]
BOX = 20.0
"""A superellipse of this power has corners."""


def vec(x: float, y: float, z: float) -> np.ndarray:
    """(3,) a place or a shift."""
    return np.array((x, y, z), float)


def curve(knots: np.ndarray, steps: int) -> np.ndarray:
    """(K, C) -> ((K - 1) * steps + 1, C): Catmull-Rom spline through the knots."""
    knots = np.asarray(knots, float)
    if steps == 1 or len(knots) < 3:
        steps = 1 if len(knots) < 3 else steps
    ends = (2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1])
    p = np.concatenate(ends)
    t = np.arange(steps)[None, :, None] / steps
    a, b, c, d = (p[k : k + len(knots) - 1, None] for k in range(4))
    out = b + (c - a) * t / 2 + (a - 2.5 * b + 2 * c - d / 2) * t**2
    out = out + (1.5 * (b - c) + (d - a) / 2) * t**3
    return np.concatenate((out.reshape(-1, knots.shape[1]), knots[-1:]))


def section(sides: int, power: float) -> np.ndarray:
    """(sides, 2) a superellipse: power 2 is round, BOX has four corners."""
    first = 0.5 if sides == 4 else 0.25 * sides * (sides % 2)  # symmetric about x = 0
    turn = (np.arange(sides) + first) * 2 * np.pi / sides
    ring = np.stack((np.cos(turn), np.sin(turn)), 1)
    size = (np.abs(ring) ** power).sum(1, keepdims=True) ** (-1 / power)
    return ring * size


def loft(
    path: np.ndarray,
    radii: np.ndarray,
    sides: int,
    power: float = 2.0,
    caps: tuple[float, float] = (0.0, 0.0),
) -> Mesh:
    """A tube of rings around a path, closed at both ends.

    Args:
        path: (K, 3) centres of the rings.
        radii: (K, 2) half axes of the rings: sideways (along x, for a path that keeps off x; else
            along the axis that the path keeps off most), and across.
        sides: corners of a ring.
        power: of the superellipse.
        caps: how far each end bulges, 0 flat, 1 a half sphere.
    """
    path, radii = np.asarray(path, float), np.asarray(radii, float)
    ahead = np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True).clip(1e-9)
    poles = [path[0], path[-1]]
    for end, bulge in ((0, caps[0]), (-1, caps[1])):
        if bulge > 0:
            out = ahead[end] * (1 if end else -1) * bulge * radii[end].min()
            poles[end] = path[end] + out
            more = np.array((0.5, 0.87)) if end else np.array((0.87, 0.5))
            extra = path[end] + np.outer(more, out), np.outer(more[::-1], radii[end])
            old = (path, radii, ahead)
            new = (*extra, np.tile(ahead[end], (2, 1)))
            path, radii, ahead = (
                np.concatenate((a, b) if end else (b, a)) for a, b in zip(old, new, strict=True)
            )
    worst = np.abs(ahead).max(0)
    side = np.eye(3)[0 if worst[0] < 0.8 else worst.argmin()]
    ring, rows = section(sides, power), []
    for centre, way, (wide, tall) in zip(path, ahead, radii, strict=True):
        side = side - (side @ way) * way
        side = side / max(np.linalg.norm(side), 1e-9)
        up = np.cross(way, side)
        rows.append(centre + ring[:, :1] * wide * side + ring[:, 1:] * tall * up)
    vertices = np.concatenate((*rows, np.stack(poles)))
    k, last = np.arange(sides), sides * (len(rows) - 1)
    on = (k + 1) % sides
    faces = []
    for low in range(0, last, sides):
        faces.append(np.stack((low + k, low + on, low + sides + on), 1))
        faces.append(np.stack((low + k, low + sides + on, low + sides + k), 1))
    faces.append(np.stack((np.full(sides, len(vertices) - 2), on, k), 1))
    faces.append(np.stack((np.full(sides, len(vertices) - 1), last + k, last + on), 1))
    return vertices, np.concatenate(faces)


def ball(centre, radii, sides: int, power: float = 2.0) -> Mesh:
    """A superellipsoid: power 2 an ellipsoid, higher a box with soft edges."""
    rings = max(4, sides // 2 + 1)
    turn = np.linspace(-0.47, 0.47, rings) * np.pi
    height, wide = np.sin(turn), np.cos(turn)
    soft = (np.abs(height) ** power + wide**power) ** (-1 / power)
    radii = np.broadcast_to(np.asarray(radii, float), 3)
    path = np.asarray(centre, float) + np.outer(height * soft * radii[1], (0, 1, 0))
    return loft(path, np.outer(wide * soft, radii[[0, 2]]), sides, power)


def plate(outline: np.ndarray, thick: float, hub: np.ndarray | None = None) -> Mesh:
    """A thin fin, wing or sheet.

    Args:
        outline: (K, 3) rim, star-shaped as seen from the hub.
        thick: half the thickness at the hub; the rim has a third of it.
        hub: (3,), the mean of the rim by default.
    """
    outline = np.asarray(outline, float)
    hub = outline.mean(0) if hub is None else np.asarray(hub, float)
    following = np.roll(outline, -1, axis=0)
    normal = np.cross(outline - hub, following - hub).sum(0)
    normal /= max(np.linalg.norm(normal), 1e-9)
    n, k = len(outline), np.arange(len(outline))
    on, rim, core = (k + 1) % n, thick / 3 * normal, thick * normal
    vertices = np.concatenate((outline + rim, outline - rim, [hub + core, hub - core]))
    faces = (
        np.stack((k, on, np.full(n, 2 * n)), 1),
        np.stack((n + on, n + k, np.full(n, 2 * n + 1)), 1),
        np.stack((k, n + k, n + on), 1),
        np.stack((k, n + on, on), 1),
    )
    return vertices, np.concatenate(faces)


def arc(start, length: float, pitch: float, turn: float, count: int) -> np.ndarray:
    """(count, 3) points along an arc in the plane of y and z.

    Args:
        start: (3,) the first point.
        length: of the whole arc.
        pitch: degrees at the start: 0 towards +z, 90 up, 180 towards -z.
        turn: degrees that the pitch changes by along the arc.
        count: points.
    """
    angle = np.radians(pitch + turn * (np.arange(count - 1) + 0.5) / max(count - 1, 1))
    step = np.stack((0 * angle, np.sin(angle), np.cos(angle)), 1) * length / max(count - 1, 1)
    return np.asarray(start, float) + np.concatenate((np.zeros((1, 3)), step.cumsum(0)))


def mirrored(mesh: Mesh) -> Mesh:
    """The mesh on the other side of x = 0."""
    return mesh[0] * (-1, 1, 1), mesh[1][:, ::-1]


class Builder:
    """Collects the parts and joints of one creature.

    Args:
        rng: source of randomness; the style of the whole creature is drawn from it first.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.sides = int(rng.choice((5, 6, 8, 10, 12, 16), p=(0.05, 0.2, 0.3, 0.2, 0.15, 0.1)))
        self.steps = int(rng.choice((1, 2, 3), p=(0.25, 0.45, 0.3)))
        self.power = float(rng.choice((2.0, 2.5, 4.0), p=(0.65, 0.25, 0.1)))
        self.joints: list[np.ndarray] = []
        self.parents: list[int] = []
        self.names: list[str] = []
        self.meshes: list[Mesh] = []

    def u(self, low: float, high: float) -> float:
        """Uniform."""
        return float(self.rng.uniform(low, high))

    def scale(self, low: float, high: float) -> float:
        """Uniform in the logarithm."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def chance(self, share: float) -> bool:
        """True in this share of the draws."""
        return bool(self.rng.random() < share)

    def pick(self, **shares: float) -> str:
        """One of the names, by their shares."""
        p = np.array(list(shares.values()))
        return str(self.rng.choice(list(shares), p=p / p.sum()))

    def hard(self) -> float:
        """The power of a hard part: a soft box to a box."""
        return float(self.rng.choice((3.0, 4.0, 8.0, BOX)))

    def joint(self, name: str, at, parent: int = -1) -> int:
        """Adds a joint; returns its number."""
        self.joints.append(np.array(at, float))
        self.parents.append(parent)
        self.names.append(name)
        return len(self.joints) - 1

    def chain(self, names: str | Sequence[str], path, parent: int = -1) -> list[int]:
        """Adds joints one below the other; a single name is numbered."""
        if isinstance(names, str):
            names = [f"{names}{k + 1}" for k in range(len(path))]
        out = []
        for name, at in zip(names, path, strict=True):
            parent = self.joint(name, at, parent)
            out.append(parent)
        return out

    def limbs(self, names: str | Sequence[str], path, parent: Parent = -1) -> list[tuple[int, int]]:
        """Adds a chain left and its mirror image; returns pairs of numbers."""
        if isinstance(names, str):
            names = [f"{names}{k + 1}" for k in range(len(path))]
        above = (parent, parent) if isinstance(parent, int) else parent
        left, right = (
            self.chain([f"{n}.{mark}" for n in names], np.asarray(path, float) * (sign, 1, 1), top)
            for mark, sign, top in (("L", 1, above[0]), ("R", -1, above[1]))
        )
        return list(zip(left, right, strict=True))

    def add(self, mesh: Mesh, pair: bool = False) -> None:
        """Adds a part, and its mirror image."""
        self.meshes.append(mesh)
        if pair:
            self.meshes.append(mirrored(mesh))

    def tube(
        self, path, radii, pair: bool = False, caps=(1.0, 1.0), power: float | None = None
    ) -> None:
        """Adds a loft through knots; radii (K,) or (K, 2)."""
        radii = np.asarray(radii, float)
        radii = np.stack((radii, radii), 1) if radii.ndim == 1 else radii
        line = curve(np.concatenate((np.asarray(path, float), radii), 1), self.steps)
        thick = line[:, 3:].clip(radii.min() * 0.7)
        self.add(loft(line[:, :3], thick, self._sides(power), power or self.power, caps), pair)

    def ball(self, centre, radii, pair: bool = False, power: float | None = None) -> None:
        """Adds a superellipsoid."""
        self.add(ball(centre, radii, self._sides(power), power or self.power), pair)

    def box(self, centre, half, pair: bool = False, taper: float = 1.0) -> None:
        """Adds a box whose top is `taper` times as wide as its bottom."""
        half = np.asarray(half, float)
        path = np.asarray(centre, float) + np.outer((-half[1], half[1]), (0, 1, 0))
        self.add(loft(path, np.outer((1, taper), half[[0, 2]]), 4, BOX), pair)

    def cone(self, base, tip, radius: float, pair: bool = False) -> None:
        """Adds a horn, beak or spike."""
        path = np.linspace(base, tip, 3)
        self.add(loft(path, np.outer((1, 0.55, 0.04), (radius, radius)), self._sides(None)), pair)

    def fin(self, outline, pair: bool = False, thick: float = 0.012, hub=None) -> None:
        """Adds a plate."""
        self.add(plate(outline, thick, hub), pair)

    def warp(self, move: Callable[[np.ndarray], np.ndarray]) -> None:
        """Moves every vertex and joint."""
        self.meshes = [(move(vertices), faces) for vertices, faces in self.meshes]
        self.joints = list(move(np.stack(self.joints)))

    def mesh(self) -> Mesh:
        """All parts as one."""
        offsets = np.cumsum([0] + [len(vertices) for vertices, _ in self.meshes])
        faces = [faces + k for (_, faces), k in zip(self.meshes, offsets[:-1], strict=True)]
        return np.concatenate([v for v, _ in self.meshes]), np.concatenate(faces)

    def _sides(self, power: float | None) -> int:
        """A box needs sides in fours."""
        boxy = (power or self.power) > 6
        return self.sides if not boxy else (4 if self.sides < 8 else 8)
