"""Upright figures: toys with big heads, animals on two legs, robots. Height about 1, feet at 0."""

from __future__ import annotations

import itertools

import numpy as np

from .creature_figure import RIGHT, Figure, arms, draw_figure, ears, eyes, legs, trunk
from .creature_parts import Builder, arc, vec


def toy(b: Builder) -> None:
    """A big-headed person with hair, hat, cape or things in the hands."""
    f = draw_figure(b, (0.26, 0.52), 0.35)
    ids = trunk(b, f)
    arms(b, f, ids)
    legs(b, f, ids)
    _head(b, f)
    _clothes(b, f, ids)


def animal(b: Builder) -> None:
    """An upright animal: ears, muzzle, tail, sometimes a big belly."""
    f = draw_figure(b, (0.25, 0.5), 0.05)
    ids = trunk(b, f)
    arms(b, f, ids)
    legs(b, f, ids)
    b.ball(f.skull, f.head)
    size = f.head[1]
    if b.chance(0.75):
        nose = f.skull + vec(0, -b.u(0.1, 0.4) * size, f.head[2] * 0.8)
        b.ball(nose, size * vec(b.u(0.25, 0.6), b.u(0.2, 0.4), b.u(0.25, 0.7)))
    ears(b, f, ids["head"])
    eyes(b, f)
    if b.chance(0.6):
        count, long = int(b.rng.integers(2, 6)), b.scale(0.08, 0.6)
        start = (0, f.hip + 0.04, -0.75 * f.deep)
        tail = arc(start, long, 180 + b.u(-30, 50), b.u(-120, 40), count + 1)
        thick = b.u(0.15, 0.5) * f.deep * np.linspace(1, b.u(0.3, 1), count + 1)
        b.tube(tail, thick)
        if b.chance(0.7):
            b.chain("Tail", tail[:-1], ids["hips"])
    if b.chance(0.1):
        _things(b, f, ids)


def robot(b: Builder) -> None:
    """A robot: boxes and cylinders on two legs with arms, or a walker, or a flying head."""
    kind = b.pick(upright=0.5, walker=0.35, flyer=0.15)
    if kind == "upright":
        f = draw_figure(b, (0.14, 0.36), 0.75)
        ids = trunk(b, f)
        arms(b, f, ids)
        legs(b, f, ids)
        b.ball(f.skull, f.head, power=b.hard())
        b.box(f.skull + vec(0, 0, 0.9 * f.head[2]), f.head * (0.7, 0.2, 0.2))
        if b.chance(0.5):
            b.cone(
                f.skull * (1, 1, 0) + vec(0.6 * f.head[0], 0, 0),
                (0.8 * f.head[0], 1.1, 0),
                0.02,
                True,
            )
        for _ in range(int(b.rng.integers(0, 3))):
            place = (b.u(0.5, 0.95) * f.wide, b.u(f.hip, f.neck), b.u(-1, 1) * f.deep)
            b.box(place, vec(b.u(0.02, 0.07), b.u(0.02, 0.07), b.u(0.02, 0.07)), True)
        return
    power = b.hard()
    radii = vec(b.u(0.2, 0.4), b.u(0.18, 0.35), b.u(0.18, 0.4))
    centre = vec(0, b.u(0.55, 0.8) if kind == "walker" else 0.5, 0)
    b.ball(centre, radii, power=power)
    b.ball(centre + vec(0, 0, 0.85 * radii[2]), radii * b.u(0.25, 0.5))
    root = b.joint("Body", centre - vec(0, b.u(0.2, 0.7) * radii[1], 0))
    top = root
    for name, up in (("Chest", -0.1), ("Neck", 0.25), ("Head", 0.5)):
        if name == "Head" or b.chance(0.5):
            top = b.joint(name, centre + vec(0, up * radii[1], 0), top)
    if b.chance(0.35):
        b.joint("Eye", centre + vec(0, 0, 0.8 * radii[2]), top)
    if kind == "walker":
        hip = centre + vec(radii[0] * b.u(0.75, 1.1), -b.u(0.1, 0.6) * radii[1], 0)
        knee = vec(hip[0] * b.u(1, 1.3), hip[1] * b.u(0.5, 0.7), b.u(0.05, 0.3))
        heel = vec(knee[0], 0.35 * knee[1], -b.u(0.05, 0.3))
        foot = vec(knee[0] * b.u(0.95, 1.15), 0.05, b.u(-0.1, 0.12))
        path = [hip, knee, heel, foot] if b.chance(0.5) else [hip, knee, foot]
        names = (
            ["UpperLeg", "MidLeg", "LowerLeg", "Foot"]
            if len(path) == 4
            else ["UpperLeg", "LowerLeg", "Foot"]
        )
        thick = b.u(0.04, 0.09)
        _rods(b, np.stack(path), thick)
        b.box(foot + vec(0, -0.02, 0.05), (thick * 1.4, 0.03, b.u(0.08, 0.16)), True, 0.8)
        b.limbs(names, path, root)
        if b.chance(0.35):
            gun = centre + vec(radii[0] * 1.05, b.u(0, 0.6) * radii[1], 0.1)
            b.box(gun, (0.06, 0.06, b.u(0.15, 0.3)), True)
            if b.chance(0.5):
                b.limbs(["Gun"], [gun], top)
        return
    start = centre + vec(radii[0] * 0.85, -b.u(-0.2, 0.3) * radii[1], 0)
    steps = np.array([(0.02, 0, 0), (0.2, b.u(-0.12, 0.1), 0), (0.4, b.u(-0.2, 0.1), b.u(0, 0.2))])
    path = start + np.concatenate((steps, [steps[-1] * (1.4, 1.2, 1.4)])) * b.u(0.8, 1.2)
    _rods(b, path, b.u(0.03, 0.06))
    b.box(path[-1], (0.05, 0.04, 0.07), True)
    b.limbs(["Shoulder", "UpperArm", "LowerArm", "Hand"], path, root)


def _rods(b: Builder, path: np.ndarray, thick: float) -> None:
    """Stiff segments with a ball at every bend, left and right."""
    for first, last in itertools.pairwise(path):
        b.tube((first, last), (thick, thick * 0.85), True)
    for at in path:
        b.ball(at, thick * 1.25, True)


def _head(b: Builder, f: Figure) -> None:
    """Skull, hair, hat or helmet, eyes and nose."""
    power = b.hard() if f.boxy else (b.u(2, 3) if b.chance(0.6) else 4.0)
    b.ball(f.skull, f.head, power=power)
    eyes(b, f)
    if b.chance(0.3):
        b.ball(f.skull + vec(0, -0.1 * f.head[1], f.head[2]), f.head * b.u(0.08, 0.2))
    if b.chance(0.12):  # ears
        b.ball(f.skull + vec(f.head[0], 0, 0), f.head * (0.15, 0.25, 0.15), True)
    if b.chance(0.6):
        grow, up = b.u(1.03, 1.2), b.u(0.15, 0.35)
        b.ball(
            f.skull + f.head * (0, up, -b.u(0.08, 0.25)),
            f.head * (grow, 1.05 * grow - up * 0.7, grow),
            power=power,
        )
    if b.chance(0.25):  # long hair, a plait or a bun
        drop = b.u(0.3, 1.3)
        path = f.skull + f.head * np.array(
            ((0, 0.3, -0.8), (0, -0.3, -1.1), (0, -0.6 - drop, -1.0))
        )
        wide = f.head[0] * b.u(0.2, 0.95)
        b.tube(path, np.outer((0.8, 1, b.u(0.3, 1)), (wide, min(wide, 0.3 * f.head[2]))))
    hat = b.pick(none=0.62, cone=0.1, brim=0.13, horns=0.08, crest=0.07)
    top = f.skull + f.head * (0, 0.6, 0)
    if hat in ("cone", "brim"):
        tall = f.head[1] * (b.u(0.8, 2.0) if hat == "cone" else b.u(0.4, 0.9))
        brim = f.head[[0, 2]] * b.u(1.05, 1.9)
        b.tube((top, top + vec(0, 0.06, 0)), np.stack((brim, brim * 0.95)), caps=(0, 0))
        tip = 0.05 if hat == "cone" else b.u(0.6, 1.0)
        lean = (0, tall, -b.u(0, 0.3) * tall)
        b.tube(
            (top, top + np.array(lean) * 0.5, top + lean),
            np.outer((0.95, (0.95 + tip) / 2, tip), f.head[[0, 2]]),
            caps=(0, 0),
        )
    elif hat == "horns":
        base = f.skull + f.head * (0.75, 0.5, 0)
        b.cone(base, base + f.head * (b.u(0.1, 0.8), b.u(0.3, 1.0), 0), 0.2 * f.head[1], True)
    elif hat == "crest":
        z = np.linspace(0.7, -1, 7)[:, None]
        rim = f.skull + f.head * np.concatenate(
            (0 * z, 1.35 * np.sqrt(1 - (0.8 * z) ** 2), 1.1 * z), 1
        )
        b.fin(rim, thick=0.03, hub=f.skull)


def _clothes(b: Builder, f: Figure, ids: dict[str, int]) -> None:
    """Skirt or robe, cape, shoulder pads, belt, pack, things in the hands."""
    long = f.neck - f.hip
    if b.chance(0.2):
        hem, flare = f.hip * b.u(0.2, 0.8), b.u(1.05, 1.6)
        radii = np.outer((flare, 1.05, 0.9), (f.wide + 0.02, max(f.deep, f.leg) + 0.02))
        b.tube(
            ((0, hem, 0), (0, f.hip + 0.1 * long, 0), (0, f.hip + 0.4 * long, 0)),
            radii,
            caps=(0, 0),
        )
    if b.chance(0.2):
        low, wide = f.neck - b.u(0.6, 1.0) * f.neck * 0.95, f.wide * b.u(0.9, 1.5)
        back = -f.deep * b.u(1.0, 1.2)
        sheet = np.array(
            [(-0.8 * f.wide, f.neck, back), (0.8 * f.wide, f.neck, back),
             (wide, low, back - b.u(0.02, 0.2)), (-wide, low, back - b.u(0.02, 0.2))]
        )  # fmt: skip
        sheet[3, 2] = sheet[2, 2]
        b.fin(sheet, thick=b.u(0.012, 0.03))
        if b.chance(0.25):
            middle = sheet.mean(0)
            b.chain(
                "Cape",
                np.linspace((0, f.neck - 0.05, back), (0, middle[1], middle[2]), 2),
                ids["chest"],
            )
    if b.chance(0.2):
        b.ball(f.shoulder + vec(0, 0.2 * f.arm, 0), f.arm * b.u(1.2, 1.8) * vec(1.1, 0.8, 1), True)
    if b.chance(0.2):
        y = f.hip + 0.12 * long
        b.tube(
            ((0, y - 0.02, 0), (0, y + 0.02, 0)),
            np.full((2, 2), (f.wide * 1.1, f.deep * 1.12)),
            caps=(0, 0),
        )
    if b.chance(0.12):
        half = vec(f.wide * b.u(0.5, 0.9), long * b.u(0.25, 0.4), b.u(0.03, 0.08))
        b.box((0, f.hip + 0.55 * long, -f.deep - half[2] * 0.7), half)
    if b.chance(0.25):
        _things(b, f, ids)


def _things(b: Builder, f: Figure, ids: dict[str, int]) -> None:
    """A sword, staff, shield or gun in the left or right hand."""
    side = RIGHT if b.chance(0.7) else np.ones(3)
    hand = (f.wrist + 0.8 * f.arm * (f.wrist - f.elbow) / np.linalg.norm(f.wrist - f.elbow)) * side
    kind = b.pick(sword=0.35, staff=0.25, shield=0.25, gun=0.15)
    long = b.u(0.25, 0.6)
    if kind == "sword":
        b.box(hand + vec(0, 0, 0.5 * long), (0.012, b.u(0.02, 0.05), 0.5 * long))
        b.box(hand + vec(0, 0, 0.06), (0.02, 0.08, 0.02))
    elif kind == "staff":
        b.tube((hand - vec(0, long, 0), hand + vec(0, long, 0)), (0.018, 0.018))
        b.ball(hand + vec(0, long, 0), b.u(0.03, 0.08))
    elif kind == "shield":
        b.tube(
            (hand + vec(0, 0, 0.07), hand + vec(0, 0, 0.1)),
            np.full((2, 2), b.u(0.1, 0.22)),
            caps=(0, 0.3),
        )
    else:
        b.box(hand + vec(0, 0.03, 0.3 * long), (0.03, 0.04, 0.4 * long))
        b.box(hand - vec(0, 0.03, 0), (0.02, 0.05, 0.03))
    if b.chance(0.25):
        b.joint("Weapon", hand, ids["right" if side[0] < 0 else "left"])
