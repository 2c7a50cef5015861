"""Fishes, sharks, whales, eels and rays: length 1 along z, nose at 0.5, tail fin behind -0.5."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .creature_parts import Builder, curve, vec


@dataclass(frozen=True)
class Hull:
    """The body of a fish.

    Attributes:
        z, height, width, middle: (N,) stations from nose to tail: half height, half width and
            the height of the centre line.
    """

    z: np.ndarray
    height: np.ndarray
    width: np.ndarray
    middle: np.ndarray

    def at(self, z: float, up: float = 0.0, out: float = 0.0) -> np.ndarray:
        """The point at z, `up` half heights above the centre line, `out` half widths left."""
        h, w, m = (float(np.interp(-z, -self.z, a)) for a in (self.height, self.width, self.middle))
        return vec(out * w, m + up * h, z)


def hump(t: np.ndarray, peak: float, blunt: float, tail: float, slim: float) -> np.ndarray:
    """Thickness from nose (t = 0) over 1 at `peak` to `tail` (t = 1)."""
    rise = (1 - (1 - (t / peak).clip(0, 1)) ** 2) ** blunt
    fall = ((t - peak) / (1 - peak)).clip(0, 1) ** slim
    return np.where(t < peak, rise, tail + (1 - tail) * (0.5 + 0.5 * np.cos(np.pi * fall)))


def fish(b: Builder) -> None:
    """A fish of one of six families."""
    family = b.pick(cute=0.36, plain=0.24, deep=0.12, shark=0.12, whale=0.08, eel=0.08)
    deep = {
        "cute": (0.38, 0.8), "plain": (0.2, 0.42), "deep": (0.5, 1.15),
        "shark": (0.15, 0.32), "whale": (0.2, 0.5), "eel": (0.05, 0.13),
    }[family]  # fmt: skip
    thin = {"deep": (0.12, 0.4), "cute": (0.6, 1.25), "eel": (0.7, 1.1), "whale": (0.8, 1.3)}
    height = b.scale(*deep) / 2
    width = height * b.u(*thin.get(family, (0.4, 1.0)))
    stations = int(b.rng.integers(6, 9)) * (2 if family == "eel" else 1)
    t = np.linspace(0.0, 1, stations) ** 1.15
    t[0] = 0.015
    peak = b.u(0.25, 0.5) if family != "eel" else b.u(0.1, 0.3)
    blunt, tail = b.u(0.35, 0.8), b.u(0.08, 0.28)
    slim = b.u(0.8, 1.4) if family != "eel" else b.u(1.5, 3)
    thick = hump(t, peak, blunt, tail, slim)
    flat = hump(t, peak * b.u(0.8, 1.1), b.u(0.35, 0.7), tail * b.u(0.4, 1), slim)
    belly = b.u(-0.25, 0.25) * height * (thick - thick[-1])
    hull = Hull(0.5 - t, thick * height, flat * width, belly)
    path = np.stack((0 * t, belly, hull.z), 1)
    b.tube(path, np.stack((hull.width, hull.height), 1), caps=(b.u(0, 1), 0))
    spine = _spine(b, hull, family)
    _fins(b, hull, family, spine)
    _face(b, hull, spine, b.scale(0.3, 1.0) if family == "cute" else b.scale(0.15, 0.6))
    if b.chance(0.12):
        _bend(b)


def _spine(b: Builder, hull: Hull, family: str) -> dict[str, int]:
    """Adds the chain of the back; returns where head, fins and tail hang."""
    whole = family == "eel"
    way = b.pick(nose=0.5, middle=0.24, head=0.16, tail=0.1)
    end = b.u(-0.03, 0.05)
    end = -0.5 + (abs(end) if whole else end)  # an eel may have no fin behind it
    straight = way == "nose" and b.chance(0.85)
    count = (
        int(b.rng.integers(7, 13))
        if whole
        else int(b.rng.choice((4, 5, 6, 7), p=(0.2, 0.2, 0.5, 0.1)))
    )

    def line(first: float, last: float, n: int, shrink: float = 1.0) -> np.ndarray:
        steps = np.concatenate(([0], np.cumsum(shrink ** np.arange(n - 1)))) if n > 1 else [0.0]
        z = first + (last - first) * np.array(steps) / max(steps[-1], 1e-9)
        level = hull.at(0.15)[1] * 0.4
        return np.array([(0, level if straight else hull.at(v)[1], v) for v in z])

    if way in ("nose", "head"):
        first = b.u(0.36, 0.47) if way == "nose" else b.u(0.18, 0.3)
        shrink = b.u(0.78, 0.9) if way == "nose" else b.u(0.85, 1.05)
        names = "Main" if way == "nose" else "Spine"
        points = line(first, end, count, shrink)
        ids = b.chain(names, points)
        if way == "head":
            ids = [b.joint("Head", hull.at(first + b.u(0.06, 0.12)), ids[0]), *ids]
        body = ids[min(1, len(ids) - 1)]
        return {"head": ids[0], "body": body, "tail": ids[-1]}
    if way == "middle":
        root = b.joint("Body", hull.at(b.u(-0.02, 0.12)))
        z = b.joints[root][2]
        ahead = b.chain(
            "Head", line(z + b.u(0.12, 0.2), b.u(0.3, 0.42), 2)[: 1 + b.chance(0.3)], root
        )
        behind = line(z, end, max(3, count - 1), b.u(0.85, 1.0))[1:]
        return {"head": ahead[-1], "body": root, "tail": b.chain("Tail", behind, root)[-1]}
    z = b.u(-0.22, -0.05)
    root = b.joint("Hips", hull.at(z))
    ahead = b.chain("Spine", line(z, b.u(0.24, 0.36), max(3, count // 2 + 1))[1:], root)
    behind = b.chain("Tail", line(z, end, max(3, count // 2 + 1))[1:], root)
    return {"head": ahead[-1], "body": ahead[0], "tail": behind[-1]}


def _edge(b: Builder, base: np.ndarray, reach, sweep: float, kind: str) -> np.ndarray:
    """Outline of a fin: its base (K, 3) and an outer edge in the direction of `reach`."""
    s = np.linspace(0, 1, len(base))
    lift = {
        "round": np.sin(np.pi * s) ** 0.6,
        "sharp": np.interp(s, (0, b.u(0.25, 0.75), 1), (0, 1, 0)),
        "sail": np.interp(s, (0, 0.2, 0.8, 1), (0, 1, b.u(0.3, 0.9), 0)),
        "spines": np.where(np.arange(len(base)) % 2, np.sin(np.pi * s) ** 0.4, 0.12),
    }[kind]
    lift[[0, -1]] = 0
    back = (base[-1] - base[0]) * sweep
    return np.concatenate((base + np.outer(lift, reach) + np.outer(lift, back), base[-2:0:-1]))


def _ridge(b: Builder, hull: Hull, first: float, last: float, up: int, size: float) -> np.ndarray:
    """Adds a fin on the back (up 1) or the belly (-1); returns the middle of its base."""
    kind = b.pick(round=0.35, sharp=0.3, sail=0.25, spines=0.1)
    z = np.linspace(first, last, 9)
    base = np.stack([hull.at(v, up * 0.8) for v in z])
    edge = _edge(b, base, (0, up * size, 0), b.u(0.1, 0.8), kind)
    b.fin(edge, thick=b.u(0.004, 0.015), hub=base.mean(0) + vec(0, up * size * 0.1, 0))
    return base.mean(0)


def _fins(b: Builder, hull: Hull, family: str, spine: dict[str, int]) -> None:
    """Tail, back, belly and paired fins, with joints where the spine is not plain."""
    plain = b.names[0].startswith("Main")
    jointed = b.chance(0.12 if plain else 0.7)
    tall = float(hull.height.max())
    sharky = family in ("shark", "whale")
    if family != "eel" or b.chance(0.3):
        _tail_fin(b, hull, family, spine, jointed)
    for _ in range(int(b.rng.choice((0, 1, 2), p=(0.1, 0.65, 0.25)))):
        first = b.u(-0.2, 0.25)
        long = b.u(0.1, 0.2) if sharky else b.u(0.12, 0.5)
        size = b.u(0.35, 1.1) * max(tall, 0.12) * (1 if b.chance(0.85) else 2)
        middle = _ridge(b, hull, first, max(first - long, -0.46), 1, size)
        if jointed and b.chance(0.3):
            b.joint("Dorsal", middle + vec(0, 0.15 * size, 0), spine["body"])
    if b.chance(0.5):
        first = b.u(-0.3, -0.05)
        _ridge(
            b, hull, first, max(first - b.u(0.1, 0.3), -0.47), -1, b.u(0.3, 0.9) * max(tall, 0.1)
        )
    count = (
        int(b.rng.choice((0, 1, 2), p=(0.07, 0.63, 0.3))) if family != "eel" else int(b.chance(0.4))
    )
    for pair, name in zip(range(count), ("Fin", "Pelvic"), strict=False):
        z = b.u(0.08, 0.25) if pair == 0 else b.u(-0.18, 0.02)
        root = hull.at(
            z, b.u(-0.6, 0) if pair == 0 else b.u(-0.85, -0.6), 0.7 if pair == 0 else 0.4
        )
        cute = family == "cute" and pair == 0 and b.chance(0.6)
        size = b.scale(0.2, 0.4) if cute else b.scale(0.12, 0.35) * (1.3 if sharky else 1)
        size *= 1 if pair == 0 else 0.6
        way = vec(b.u(0.5, 1), b.u(-0.8, 0.1), b.u(-1.0, -0.2) * (0.5 if cute else 1))
        way *= size / np.linalg.norm(way)
        wide = b.u(0.3, 0.6) * size
        base = root + np.outer(np.linspace(0.5, -0.5, 7) * wide, (0, b.u(-0.3, 0.3), 1))
        kind = b.pick(round=0.5, sharp=0.3, sail=0.2)
        b.fin(_edge(b, base, way, b.u(0, 0.6), kind), True, b.u(0.004, 0.016), root + 0.15 * way)
        if jointed:
            share = np.linspace(0.08, 0.6, int(b.rng.choice((1, 2, 3), p=(0.5, 0.4, 0.1))))
            b.limbs(name, root + np.outer(share, way), spine["body"])


def _tail_fin(b: Builder, hull: Hull, family: str, spine: dict[str, int], jointed: bool) -> None:
    length, spread = b.scale(0.1, 0.4), b.u(0.5, 1.1)
    fork = b.u(-0.35, 0.1) if b.chance(0.45) else b.u(0.2, 0.8)
    half = float(hull.height[-1])
    s = np.linspace(1, -1, 9)
    side = max(length * spread, 1.3 * half) * s
    if family == "shark":
        side = np.where(side > 0, side * b.u(1.0, 1.6), side * b.u(0.5, 1))
    behind = -0.5 - length * (1 - fork * (1 - np.abs(s)))
    root = hull.at(-0.49)
    rim = np.stack((0 * s, root[1] + side, behind), 1)
    start = [root + vec(0, half, 0.03), *rim, root + vec(0, -half, 0.03)]
    outline = np.array(start)
    if family == "whale":
        outline = root + (outline - root)[:, [1, 0, 2]]
    b.fin(outline, thick=b.u(0.006, 0.02), hub=root - vec(0, 0, 0.25 * length * (1 - max(fork, 0))))
    if jointed:
        share = (0.08, 0.5)[: 1 + b.chance(0.3)]
        b.chain("TailFin", [root - vec(0, 0, length * v) for v in share], spine["tail"])


def _face(b: Builder, hull: Hull, spine: dict[str, int], eye: float) -> None:
    """Eyes, a jaw, a snout, a lure or whiskers."""
    size = eye * min(hull.height.max(), 1.3 * hull.width.max(), 0.14)
    z = b.u(0.28, 0.42)
    if b.chance(0.85):
        b.ball(hull.at(z, b.u(0.1, 0.5), b.u(0.7, 0.95)), size * vec(b.u(0.4, 1), 1, 1), True)
    jaw = hull.at(b.u(0.3, 0.38), -0.45)
    if b.chance(0.2):
        tip = hull.at(0.49, -0.5) + vec(0, -0.01, b.u(0, 0.04))
        wide = 0.6 * float(np.interp(-jaw[2], -hull.z, hull.width))
        b.tube(np.linspace(jaw, tip, 3), np.outer((1, 0.9, 0.5), (wide, 0.4 * wide)))
        if not b.names[0].startswith("Main") or b.chance(0.3):
            b.joint("Jaw", jaw, spine["head"])
    if b.chance(0.06):
        b.cone(hull.at(0.46), hull.at(0.46) + vec(0, b.u(-0.02, 0.05), b.u(0.15, 0.4)), 0.03)
    if b.chance(0.05):
        start = hull.at(b.u(0.2, 0.35), 0.9)
        end = start + vec(0, b.u(0.1, 0.3), b.u(0.1, 0.3))
        knots = np.stack((start, start + vec(0, end[1] - start[1], 0.05), end))
        b.tube(knots, (0.012, 0.01, 0.008))
        b.ball(end, 0.03)
    if b.chance(0.07):
        start = hull.at(0.44, -0.3, 0.6)
        b.cone(start, start + vec(b.u(0.05, 0.15), b.u(-0.15, 0), b.u(0, 0.15)), 0.012, True)


def _bend(b: Builder) -> None:
    """Bends the fish sideways, as if it swam."""
    size, rate, phase = b.u(0.02, 0.07), b.u(3, 8), b.u(0, 6)

    def move(p: np.ndarray) -> np.ndarray:
        grow = np.interp(-p[:, 2], (-0.5, 0.5), (0.2, 1.5))
        shift = size * grow * np.sin(rate * p[:, 2] + phase)
        return p + np.stack((shift, 0 * shift, 0 * shift), 1)

    b.warp(move)


def ray(b: Builder) -> None:
    """A ray or manta: a flat body, wings, a whip."""
    long, span = b.u(0.5, 0.8), b.scale(0.4, 0.9)
    tall = b.u(0.06, 0.13)
    z = np.array((0.5, 0.42, 0.15, -0.2, -0.5)) * long
    wide = np.array((0.4, 0.6, 1.0, 0.8, 0.15)) * b.u(0.12, 0.25)
    b.tube(
        np.stack((0 * z, 0 * z, z), 1),
        np.stack((wide, tall * np.array((0.4, 0.8, 1, 0.7, 0.2))), 1),
    )
    tip = vec(span, b.u(-0.05, 0.15), long * b.u(-0.35, 0.15))
    front, back = vec(0.1, 0, 0.38 * long), vec(0.03, 0, -0.48 * long)
    bow = front * 0.5 + tip * 0.5 + vec(0, 0, long * b.u(0.05, 0.25))
    hollow = back * 0.5 + tip * 0.5 + vec(0, 0, long * b.u(-0.12, 0.12))
    knots = curve(np.stack((front, bow, tip)), 3)
    rear = curve(np.stack((tip, hollow, back)), 3)[1:]
    middle = vec(0.06, 0, 0.0)
    b.fin(np.concatenate((knots, rear)), True, b.u(0.02, 0.05), hub=middle + 0.2 * tip)
    whip = b.scale(0.2, 1.0)
    count = int(b.rng.integers(2, 6))
    tail = np.linspace((0, 0, -0.45 * long), (0, b.u(-0.05, 0.05), -0.5 * long - whip), count + 1)
    b.tube(tail, np.linspace(0.03, 0.008, count + 1))
    root = b.joint("Body", (0, 0, long * b.u(-0.05, 0.15)))
    head = b.joint("Head", (0, 0, long * b.u(0.28, 0.4)), root)
    hips = b.joint("Hips", (0, 0, -0.25 * long), root) if b.chance(0.6) else root
    b.chain("Tail", tail[:-1], hips)
    share = np.linspace(0.12, 0.75, int(b.rng.integers(2, 4)))
    b.limbs("Wing", middle + np.outer(share, tip - middle), root)
    if b.chance(0.5):
        b.ball((0.5 * wide[2], tall * 0.5, 0.33 * long), b.u(0.015, 0.04), True)
    if b.chance(0.35):
        horn = vec(0.6 * wide[1], 0, 0.44 * long)
        b.cone(horn, horn + vec(0, b.u(-0.03, 0.03), b.u(0.08, 0.2)), 0.03, True)
        if b.chance(0.3):
            b.limbs(["Horn"], [horn], head)
