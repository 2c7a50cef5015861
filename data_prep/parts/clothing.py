"""Clothes, shoes, hair and hats for bare bodies: displaced skin and simple closed shapes.

A joint is found by the surface around it, so a network trained on bare bodies alone fails on
dressed ones. Everything here is drawn at random and meant to be varied rather than elegant.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

HEAD, NECK = "Head", "Neck"
LEGS = ("UpLeg", "Leg", "Foot")
ARMS = ("Arm", "ForeArm", "Hand")


@dataclass(frozen=True)
class Piece:
    """A closed part that hangs on one joint.

    Attributes:
        vertices: (V, 3) in the rest frame of the body, metres, y up.
        faces: (F, 3) outward.
        joint: name of the joint that carries it.
    """

    vertices: np.ndarray
    faces: np.ndarray
    joint: str


def waves(points: np.ndarray, rng: np.random.Generator, rate: float) -> np.ndarray:
    """(V, 3) -> (V,) smooth noise in about [-1, 1]; `rate` is in radians a metre."""
    total = np.zeros(len(points))
    for _ in range(4):
        direction = rng.normal(size=3) * rate
        total += np.sin(points @ direction + rng.uniform(0, 2 * np.pi))
    return total / 4


def along(points: np.ndarray, stations: np.ndarray) -> np.ndarray:
    """How far along a chain of joints points lie: k at station k, fractions between.

    Args:
        points: (V, 3).
        stations: (K, 3).

    Returns:
        (V,) in [0, K - 1].
    """
    best, place = np.full(len(points), np.inf), np.zeros(len(points))
    for k, (a, b) in enumerate(itertools.pairwise(stations)):
        bone = b - a
        share = np.clip((points - a) @ bone / (bone @ bone), 0, 1)
        distance = np.linalg.norm(points - a - share[:, None] * bone, axis=1)
        near = distance < best
        best, place = np.where(near, distance, best), np.where(near, k + share, place)
    return place


def thickness(
    points: np.ndarray, weights: dict[str, np.ndarray], joints: dict[str, np.ndarray], rng
) -> np.ndarray:
    """How far clothes, shoes and gloves stand off the skin.

    Args:
        points: (V, 3) rest skin, metres.
        weights: joint name -> (V,) skin weight.
        joints: joint name -> (3,) rest position.
        rng: source of randomness.

    Returns:
        (V,) metres along the normal.
    """
    out = np.zeros(len(points))
    torso = sum(weights[n] for n in ("Hips", "Spine", "Spine1", "Spine2"))
    torso = torso + weights["LeftShoulder"] + weights["RightShoulder"]
    fold = waves(points, rng, rng.uniform(8, 30))
    fine = waves(points, rng, rng.uniform(30, 80))
    cloth = 1 + rng.uniform(0, 0.6) * fold + rng.uniform(0, 0.3) * fine
    if rng.random() < 0.9:
        out += torso.clip(0, 1) * rng.uniform(0.003, 0.05) * cloth
    for names, chance, longest in ((ARMS, 0.85, 2.1), (LEGS, 0.85, 2.05)):
        if rng.random() > chance:
            continue
        end, loose = rng.uniform(0.25, longest), rng.uniform(0.003, 0.045)
        flare, cuff = rng.choice([0, 0, rng.uniform(0, 0.08)]), rng.uniform(0.02, 0.15)
        for side in ("Left", "Right"):
            place = along(points, np.stack([joints[side + n] for n in names]))
            limb = sum(weights[side + n] for n in names)
            amount = (loose + flare * (place / end) ** 2) * cloth
            out += limb * amount * np.clip((end - place) / cuff, 0, 1)
    extras = (
        ("Foot", 0.75, 0.025),
        ("ToeBase", 0.75, 0.025),
        ("Hand", 0.2, 0.012),
    )
    shoe = rng.uniform(0.3, 1.4)
    for part, chance, most in extras:
        if rng.random() < chance:
            amount = shoe * most
            out += amount * (weights["Left" + part] + weights["Right" + part])
    if rng.random() < 0.12:  # a helmet or a mask
        out += rng.uniform(0.01, 0.06) * weights[HEAD]
    return out


def ellipsoid(
    centre: np.ndarray, radii: np.ndarray, rng: np.random.Generator, lumps: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and outward faces of a lumpy ellipsoid."""
    return _lathe(
        centre, np.sin(np.linspace(0, np.pi, 11)), -np.cos(np.linspace(0, np.pi, 11)), radii,
        lambda p: 1 + lumps * waves(p, rng, 25),
    )  # fmt: skip


def _lathe(centre, profile, heights, radii, ripple) -> tuple[np.ndarray, np.ndarray]:
    """Rings of radius profile[k] at heights[k] from bottom to top, with caps."""
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack((np.cos(turns), np.sin(turns)), 1)
    unit = np.concatenate(
        [
            np.stack((p * ring[:, 0], np.full(24, h), p * ring[:, 1]), 1)
            for p, h in zip(profile, heights, strict=True)
        ]
    )
    offsets = unit * radii
    vertices = centre + offsets * ripple(centre + offsets)[:, None]
    faces, k = [], np.arange(24)
    following = (k + 1) % 24
    for level in range(len(profile) - 1):
        low, high = 24 * level, 24 * (level + 1)
        faces.append(np.stack((low + k, high + k, high + following), 1))
        faces.append(np.stack((low + k, high + following, low + following), 1))
    for level, flip in ((0, False), (len(profile) - 1, True)):
        base = 24 * level
        cap = np.stack((np.full(22, base), base + k[1:-1], base + k[2:]), 1)
        faces.append(cap[:, ::-1] if flip else cap)
    return vertices, np.concatenate(faces)


def skirt(points, joints, rng) -> Piece:
    """A skirt, dress or coat: an elliptical cone from the waist down."""
    waist = joints["Spine"] * 0.6 + joints["Hips"] * 0.4
    if rng.random() < 0.3:
        waist = joints["Spine1"]
    floor = points[:, 1].min()
    knee = joints["LeftLeg"][1]
    hem = rng.uniform(floor + 0.02, 0.6 * knee + 0.4 * waist[1])
    levels = np.linspace(0, 1, 9)
    near = np.abs(points[:, 1] - waist[1]) < 0.04
    near &= np.abs(points[:, 0]) < np.abs(joints["LeftArm"][0])
    wide = np.abs(points[near] - waist)[:, [0, 2]].max(0) + rng.uniform(0.005, 0.03)
    hips = np.abs(points[:, 1] - joints["LeftUpLeg"][1]) < 0.05
    hips &= np.abs(points[:, 0]) < 2.2 * np.abs(joints["LeftUpLeg"][0])
    full = np.abs(points[hips] - waist)[:, [0, 2]].max(0) + rng.uniform(0.01, 0.05)
    flare = rng.uniform(1.0, 2.0)
    bend = rng.uniform(0.4, 1.0)
    fall = np.linspace(0, 1, 9) ** bend
    radius = wide + (full * flare - wide) * fall[:, None]
    radius = np.maximum(radius, np.where(levels[:, None] > 0.25, full, 0))
    heights = waist[1] + (hem - waist[1]) * levels
    pleats, depth = rng.integers(4, 14), rng.uniform(0, 0.06)
    parts, faces = _lathe(
        np.zeros(3), np.ones(9), heights[::-1], np.ones(3), lambda p: np.ones(len(p))
    )
    parts = parts.reshape(9, 24, 3)
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    fold = 1 + depth * levels[::-1, None] * np.sin(pleats * turn)
    parts[..., 0] = waist[0] + parts[..., 0] * radius[::-1, :1] * fold
    parts[..., 2] = waist[2] + parts[..., 2] * radius[::-1, 1:] * fold
    return Piece(parts.reshape(-1, 3), faces, "Hips")


def head_pieces(points: np.ndarray, weights: dict[str, np.ndarray], rng) -> list[Piece]:
    """Hair, a bun or tail, a hat, ears or horns, on the head's box."""
    head = points[weights[HEAD] > 0.6]
    low, high = head.min(0), head.max(0)
    centre, half = (low + high) / 2, (high - low) / 2
    pieces = []

    def add(offset, size, lumps=0.0) -> None:
        shape = ellipsoid(centre + half * np.array(offset), half * np.array(size), rng, lumps)
        pieces.append(Piece(*shape, HEAD))

    if rng.random() < 0.65:  # hair over the skull
        grow = rng.uniform(1.0, 1.35)
        size = (grow * 1.08, rng.uniform(0.7, 1.0) * grow, grow * 0.95)
        add((0, rng.uniform(0.2, 0.4), rng.uniform(-0.35, -0.1)), size, rng.uniform(0, 0.12))
    if rng.random() < 0.3:  # long hair
        drop = rng.uniform(0.3, 1.8)
        place = (0, 0.1 - drop / 2, rng.uniform(-0.75, -0.45))
        add(place, (rng.uniform(0.8, 1.3), 0.8 + drop / 2, rng.uniform(0.35, 0.6)), 0.08)
    if rng.random() < 0.15:  # a tail or a bun
        add((0, rng.uniform(-0.3, 1.1), -1.3), rng.uniform(0.25, 0.7, 3), 0.08)
    if rng.random() < 0.2:
        brim = rng.uniform(1.05, 2.2)
        tall = rng.uniform(0.2, 1.3)
        base = centre + half * np.array((0, rng.uniform(0.35, 0.6), -0.1))
        shape = _lathe(
            base,
            np.array([brim, brim, 1.12, 1.12, rng.uniform(0.1, 1.15)]),
            np.array([0, 0.05, 0.08, tall / 2, tall]),
            half,
            lambda p: np.ones(len(p)),
        )
        pieces.append(Piece(*shape, HEAD))
    if rng.random() < 0.12:  # ears, horns, headphones
        spread, up = rng.uniform(0.4, 1.1), rng.uniform(-0.1, 1.2)
        size = rng.uniform(0.1, 0.45, 3)
        for side in (-1, 1):
            add((side * spread, up, -0.1), size)
    return pieces


def body_pieces(points: np.ndarray, joints: dict[str, np.ndarray], rng) -> list[Piece]:
    """A bag or cape on the back, shoulder pads, a belt."""
    pieces = []
    chest, hips = joints["Spine2"], joints["Hips"]
    back = points[np.abs(points[:, 1] - chest[1]) < 0.05][:, 2].min()
    if rng.random() < 0.12:
        size = rng.uniform((0.1, 0.12, 0.05), (0.2, 0.25, 0.14))
        place = np.array((0, (chest[1] + hips[1]) / 2, back - size[2] * 0.8))
        pieces.append(Piece(*ellipsoid(place, size, rng, 0.05), "Spine2"))
    if rng.random() < 0.1:
        tall = chest[1] - rng.uniform(points[:, 1].min() + 0.1, hips[1])
        size = np.array((rng.uniform(0.15, 0.35), tall / 2, 0.03))
        place = np.array((0, chest[1] - tall / 2 + 0.1, back - 0.05))
        pieces.append(Piece(*ellipsoid(place, size, rng, 0.1), "Spine2"))
    if rng.random() < 0.12:
        size = rng.uniform(0.06, 0.13, 3)
        for side in ("Left", "Right"):
            place = joints[side + "Arm"] + np.array((0, 0.02, 0))
            pieces.append(Piece(*ellipsoid(place, size, rng), side + "Shoulder"))
    return pieces
