"""Insects, spiders and crabs, snakes and worms, heads without bodies. Facing +z, y up."""

from __future__ import annotations

import numpy as np

from .creature_parts import Builder, arc, vec


def insect(b: Builder) -> None:
    """Spiders, beetles, ants, wasps, crabs: three parts, six or eight legs, wings at times."""
    eight, size = b.chance(0.4), b.u(0.12, 0.22)
    y = b.u(0.2, 0.45)
    tail = b.u(0.2, 0.5)
    end = vec(0, y + b.u(-0.1, 0.15), -size - tail)
    middle = vec(0, y, 0)
    b.ball(middle, size * vec(b.u(0.7, 1.2), b.u(0.5, 0.9), 1))
    fat = b.u(0.12, 0.3)
    count = int(b.rng.integers(1, 4))
    path = np.linspace(middle - vec(0, 0, 0.6 * size), end, 5)
    b.tube(path, fat * np.array((0.35, 0.8, 1.0, 0.85, 0.25)))
    head = vec(0, y + b.u(-0.03, 0.06), size * 1.2 + 0.05)
    skull = size * b.u(0.5, 0.95)
    b.ball(head, skull)
    b.tube((middle, head), (0.5 * size, 0.5 * skull))
    root = b.joint("Thorax", middle)
    b.chain("Abdomen", path[[1, 2, 4]][:count] if count > 1 else path[1:2], root)
    neck = b.joint("Neck", (middle + head) / 2, root) if b.chance(0.3) else root
    top = b.joint("Head", head - vec(0, 0, 0.3 * skull), neck)
    _face(b, head, skull, top)
    _insect_legs(b, middle, size, 4 if eight else 3, root)
    if b.chance(0.35):
        _wings(b, middle + vec(0.35 * size, 0.5 * size, 0), root)
    if b.chance(0.12):
        claw = head + vec(0.7 * size, 0, 0.1)
        arm = np.stack(
            (
                middle + vec(0.7 * size, 0, 0.5 * size),
                claw + vec(0.25, 0, 0),
                claw + vec(0.2, 0, 0.3),
            )
        )
        b.tube(arm, (0.03, 0.035, 0.05), True)
        b.ball(arm[-1], (0.09, 0.06, 0.13), True)
        b.limbs("Claw", arm, root)


def _face(b: Builder, head: np.ndarray, skull: float, top: int) -> None:
    """Eyes and feelers at times."""
    if b.chance(0.6):
        b.ball(head + skull * vec(0.6, 0.4, 0.5), skull * b.u(0.2, 0.45), True)
    if b.chance(0.5):
        feeler = head + skull * vec(0.4, 0.7, 0.5)
        way = vec(b.u(0, 0.15), b.u(0.05, 0.3), b.u(0.05, 0.3))
        b.tube(
            (feeler, feeler + 0.6 * way, feeler + way * (1, 0.9, 1.2)), (0.015, 0.012, 0.01), True
        )
        if b.chance(0.4):
            b.limbs("Antenna", (feeler, feeler + 0.6 * way), top)


def _insect_legs(b: Builder, middle: np.ndarray, size: float, pairs: int, root: int) -> None:
    """Pairs of legs around a thorax of half length `size`."""
    reach, knee_up, thin = b.u(0.3, 0.8), b.u(0.05, 0.4), b.u(0.015, 0.04)
    simple = b.chance(0.3)
    for k, angle in enumerate(np.radians(np.linspace(b.u(35, 55), -b.u(35, 60), pairs))):
        way = vec(np.cos(angle), 0, np.sin(angle))
        hip = middle + way * size * 0.75 + vec(0, -0.1 * size, 0)
        knee = hip + way * reach * 0.4 + vec(0, knee_up, 0)
        shin = hip + way * reach * 0.85 + vec(0, 0.1 * knee_up - 0.35 * middle[1], 0)
        foot = hip + way * reach
        foot[1] = 0.015
        legs = np.stack((hip, knee, foot) if simple else (hip, knee, shin, foot))
        b.tube(legs, thin * np.linspace(1.3, 0.7, len(legs)), True)
        b.limbs(f"Leg{k + 1}_", legs if b.chance(0.75) else legs[:-1], root)


def _wings(b: Builder, base: np.ndarray, root: int) -> None:
    """One or two pairs of wings at `base`, on the left."""
    for k in range(1 + b.chance(0.3)):
        way = vec(b.u(0.3, 0.8), b.u(0, 0.3), -b.u(0.1, 0.6))
        wide = vec(0, 0, b.u(0.08, 0.2))
        rim = np.stack(
            (
                base,
                base + 0.6 * way + wide,
                base + way,
                base + 0.7 * way - wide,
                base - 0.2 * wide,
            )
        )
        b.fin(rim, True, 0.01, hub=base + 0.5 * way)
        share = (0.05, 0.5)[: 1 + b.chance(0.3)]
        b.limbs(f"Wing{k + 1}_", [base + v * way for v in share], root)


def snake(b: Builder) -> None:
    """A snake, worm or caterpillar: flat, wavy or with a raised head."""
    count = int(b.rng.integers(6, 14))
    thick, raised = b.scale(0.02, 0.11), b.chance(0.45)
    s = np.linspace(0, 1, count)
    if raised:
        low = max(2, count // 2)
        tail = np.linspace((0, thick, -0.6), (0, thick, 0), low)
        neck = arc(tail[-1], b.u(0.4, 0.9), b.u(10, 40), b.u(50, 110), count - low + 1)
        path = np.concatenate((tail, neck[1:]))
    else:
        path = np.stack((0 * s, 0 * s + thick, s - 0.5), 1)
    wave, turns = b.u(0, 0.16) * b.chance(0.6), b.u(1, 2.5)
    path[:, 0] += (
        wave * np.sin(2 * np.pi * turns * s) * (np.linspace(0.6, 0, count) if raised else 1)
    )
    radii = thick * np.interp(s, (0, 0.35, 0.85, 1), (b.u(0.15, 0.9), 1, 1, 0.8))
    b.tube(path, radii)
    way = path[-1] - path[-2]
    way = way / np.linalg.norm(way)
    if raised:
        way = vec(0, b.u(-0.4, 0.2), 1.0)
        way /= np.linalg.norm(way)
    size = thick * b.u(1.0, 1.7)
    nose = path[-1] + way * size * b.u(0.8, 1.8)
    b.tube(
        (path[-1] - way * 0.3 * size, (path[-1] + nose) / 2, nose),
        np.outer((0.8, 1.0, 0.6), (size, 0.75 * size)),
    )
    if b.chance(0.6):
        aside = np.cross((0, 1, 0), way)
        for sign in (-0.7, 0.7):
            b.ball((path[-1] + nose) / 2 + sign * size * aside + vec(0, 0.4 * size, 0), 0.22 * size)
    order = b.pick(tail=0.35, head=0.25, middle=0.4)
    stops = path[:-1]
    if order == "middle":
        k = len(stops) // 2
        root = b.joint("Body", stops[k])
        top = b.chain("Spine", stops[k + 1 :], root)[-1]
        b.chain("Tail", stops[:k][::-1], root)
        head = b.joint("Head", path[-1], top)
    elif order == "tail":
        head = b.joint("Head", path[-1], b.chain("Spine", stops)[-1])
    else:
        head = b.joint("Head", path[-1])
        b.chain("Spine", stops[::-1], head)
    if b.chance(0.35):
        jaw = (path[-1] + nose) / 2 - vec(0, 0.45 * size, 0)
        b.joint("Jaw", jaw, head)


def blob(b: Builder) -> None:
    """A head without a body: slimes, ghosts, monsters; stub limbs, horns or wings."""
    radii = vec(b.u(0.35, 0.55), b.u(0.3, 0.6), b.u(0.3, 0.5))
    power = b.u(2, 4)
    centre = vec(0, radii[1], 0)
    b.ball(centre, radii, power=power)
    at = lambda x, y, z: centre + radii * (x, y, z)  # noqa: E731
    root = b.joint("Head" if b.chance(0.6) else "Body", at(0, b.u(-0.6, -0.3), 0))
    low = b.joint("Body", at(0, -0.9, 0), root) if b.chance(0.6) else root
    if b.chance(0.5):
        b.joint("Mouth", at(0, -0.55, 0.75), low)
    _stack(b, at, root)
    if b.chance(0.85):
        eye = at(b.u(0.25, 0.45), b.u(0, 0.4), 0.82)
        b.ball(eye, b.u(0.1, 0.25) * radii.min(), True)
        if b.chance(0.35):
            b.limbs(["Eyebrow"], [eye + vec(0, 0.05, -0.05)], root)
    if b.chance(0.4):
        base = at(0.6, 0.65, 0)
        b.cone(base, base + vec(b.u(0.05, 0.3), b.u(0.15, 0.4), 0), b.u(0.06, 0.14), True)
    limb = b.pick(none=0.3, arms=0.35, wings=0.35)
    if limb == "arms":
        hand = at(1.0, b.u(-0.5, 0.1), 0.1) + vec(b.u(0.1, 0.3), b.u(-0.1, 0.1), 0)
        start = at(0.8, -0.2, 0)
        b.tube((start, (start + hand) / 2, hand), (0.06, 0.06, 0.06), True)
        b.ball(hand, b.u(0.07, 0.13), True)
        b.limbs("Arm", np.stack((start, (start + hand) / 2, hand))[:: 1 + b.chance(0.5)], root)
    elif limb == "wings":
        base = at(0.85, b.u(-0.1, 0.3), -0.2)
        way, wide = (
            vec(b.u(0.3, 0.6), b.u(-0.05, 0.4), -0.1),
            vec(0, b.u(0.1, 0.2), 0.05),
        )
        rim = np.stack(
            (
                base + 0.4 * wide,
                base + 0.6 * way + wide,
                base + way,
                base + 0.6 * way - wide,
                base - 0.4 * wide,
            )
        )
        b.fin(rim, True, 0.03)
        b.limbs("Wing", [base, base + 0.5 * way][: 1 + b.chance(0.4)], root)
    if b.chance(0.5):
        foot = at(b.u(0.3, 0.5), -1.0, 0.15)
        b.ball(foot, (0.11, 0.07, 0.15), True)
        if b.chance(0.5):
            b.limbs(["Foot"], [foot], low)


def _stack(b: Builder, at, root: int) -> None:
    """Joints one above the other up to the crown."""
    count = int(b.rng.choice((1, 2, 3), p=(0.25, 0.6, 0.15)))
    names = ["Head2", "Head3", "Head4"][:count]
    b.chain(
        names, [at(0, v, 0) for v in np.linspace(0.2, (0.2, 0.65, 0.8)[count - 1], count)], root
    )
