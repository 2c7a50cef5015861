"""Animals on four legs, dinosaurs on two, birds. Facing +z, y up, feet at 0."""

from __future__ import annotations

import numpy as np

from .creature_parts import Builder, arc, vec


def _tail(b: Builder, start: np.ndarray, long: float, pitch: float, thick: float, parent: int,
          count: int, turn: float | None = None) -> None:  # fmt: skip
    """A tail of `count` joints; bushy, tapered or even."""
    turn = b.u(-60, 60) if turn is None else turn
    path = arc(start, long, pitch, turn, count + 1)
    share = np.linspace(0, 1, count + 1)
    shape = b.pick(taper=0.6, bushy=0.2, even=0.2)
    profile = {
        "taper": 1 - 0.85 * share,
        "bushy": 0.45 + 0.9 * np.sin(np.pi * share.clip(0.05, 0.95)),
        "even": np.full(count + 1, 0.5),
    }[shape]
    b.tube(path, thick * profile)
    ends = b.chance(0.25)
    b.chain("Tail", path if ends else path[:-1], parent)


def _skull(b: Builder, base: np.ndarray, size: float, pitch: float, parent: int) -> int:
    """A head with muzzle, ears or horns and at times a jaw in front of `base`; its joint."""
    way = np.array((0, np.sin(np.radians(pitch)), np.cos(np.radians(pitch))))
    up = vec(0, way[2], -way[1])
    long, wide = size * b.u(1.2, 2.2), size * b.u(0.7, 1.1)
    path = base + np.outer((-0.2 * size, 0.35 * long, 0.7 * long, long), way)
    blunt = b.u(0.35, 0.75)
    radii = np.outer((0.7, 1, (1 + blunt) / 2, blunt), (wide, size)) * np.array((1, b.u(0.8, 1)))
    b.tube(path, radii * 0.62)
    joint = b.joint("Head", base + 0.12 * long * way, parent)
    if b.chance(0.25):
        hinge = base + 0.35 * long * way - 0.45 * size * up
        tip = base + long * b.u(0.85, 1.0) * way - size * b.u(0.45, 0.7) * up
        b.tube(
            (hinge, (hinge + tip) / 2, tip), np.outer((0.5, 0.45, 0.3), (wide, 0.4 * size)) * 0.8
        )
        b.joint("Jaw", hinge, joint)
    if b.chance(0.4):
        b.ball(
            base + 0.45 * long * way + 0.35 * size * up + vec(0.5 * wide, 0, 0),
            b.u(0.08, 0.2) * size,
            True,
        )
    _ears(b, base + 0.15 * long * way, up, way, size, wide, joint)
    return joint


def _ears(
    b: Builder,
    base: np.ndarray,
    up: np.ndarray,
    way: np.ndarray,
    size: float,
    wide: float,
    joint: int,
) -> None:
    kind = b.pick(none=0.2, sharp=0.35, flat=0.25, round=0.2)
    root = base + 0.45 * size * up + vec(0.38 * wide, 0, 0)
    out = up * b.u(0.3, 1) - way * b.u(-0.1, 0.4) + vec(b.u(0.1, 0.9), 0, 0)
    tip = root + size * b.u(0.4, 1.1) * out / np.linalg.norm(out)
    if kind == "sharp":
        b.cone(root - 0.2 * (tip - root), tip, 0.22 * size, True)
    elif kind == "flat":
        b.tube(
            (root, (root + tip) / 2, tip), np.outer((0.6, 1, 0.3), (0.2 * size, 0.07 * size)), True
        )
    elif kind == "round":
        tip = root + 0.4 * (tip - root)
        b.ball(tip, size * vec(0.3, 0.3, 0.12), True)
    count = int(b.rng.choice((0, 1, 2, 4), p=(0.45, 0.2, 0.15, 0.2)))
    if kind in ("sharp", "flat") and count:
        b.limbs("Ear", np.linspace(root, tip, count + 1)[:count] if count < 4
                else np.linspace(root, tip, 4), joint)  # fmt: skip
    if b.chance(0.15):
        start = base + 0.4 * size * up + vec(0.2 * wide, 0, 0) + 0.2 * size * way
        end = start + size * (b.u(0.5, 1.4) * up + vec(b.u(0.1, 0.9), 0, 0) + b.u(-0.3, 0.4) * way)
        b.tube(
            (start, (start + end) / 2 + vec(0.15 * size, 0, 0), end),
            size * vec(0.14, 0.1, 0.04),
            True,
        )


def _leg(
    b: Builder, path, radii, names, parent: int, spine: np.ndarray | None, foot: float
) -> None:
    """A pair of legs along `path`; a first joint beside the spine where that is given."""
    path = np.asarray(path, float)
    b.tube(path, radii, True, caps=(1, 0.5))
    end = path[-1]
    tall = max(0.45 * foot, 0.62 * end[1])
    b.ball((end[0], tall, end[2] + 0.4 * foot), (0.62 * foot, tall, foot), True)
    if spine is not None:
        path, names = (
            np.concatenate(([spine], path)),
            (names[0].replace("Up", "").replace("per", "") + "Root", *names),
        )
    joints = b.limbs(list(names), path, parent)
    if b.chance(0.25):
        b.limbs(
            [names[-1].replace("Foot", "Toes")],
            [(end[0], 0.8 * tall, end[2] + 0.85 * foot)],
            joints[-1],
        )


def quadruped(b: Builder) -> None:
    """Dogs, horses, cows, giraffes, pigs, long-necked dinosaurs, lizards, frogs."""
    kind = b.pick(hoofed=0.5, stout=0.3, sprawl=0.2)
    long = b.scale(0.05, 0.35) if kind != "hoofed" else b.scale(0.3, 0.85)
    thick = b.u(0.12, 0.24) if kind != "stout" else b.u(0.18, 0.34)
    wide = thick * (b.u(0.6, 1.0) if kind != "sprawl" else b.u(1.0, 1.7))
    thick *= 1 if kind != "sprawl" else 0.7
    long = max(long, 0.5 * thick)
    y = long + 0.5 * thick
    slope = b.u(-0.06, 0.1)
    z = np.array((-0.5, -0.38, -0.05, 0.28, 0.46))
    size = np.array((0.55, b.u(0.8, 1.0), b.u(0.75, 1.15), b.u(0.85, 1.1), 0.6))
    height = y + slope * (z + 0.5) + 0.15 * thick
    b.tube(np.stack((0 * z, height, z), 1), np.outer(size, (wide, thick)))
    at = lambda v, up=0.25: np.array((0, float(np.interp(v, z, height)) + up * thick, v))  # noqa: E731

    rig = b.pick(rump=0.42, middle=0.33, simple=0.25)
    if rig == "rump":
        count = int(b.rng.integers(2, 5))
        stops = np.linspace(-0.36, 0.3, count)
        spine = b.chain(["Back", "Torso", "Torso2", "Torso3"][:count], [at(v) for v in stops])
        hips, chest = spine[0], spine[-1]
        front = spine[-2] if count > 2 and b.chance(0.5) else chest
    elif rig == "middle":
        root = b.joint("Body", at(b.u(-0.1, 0.05)))
        hips = b.joint("Hips", at(-0.3), root)
        front = b.joint("Torso", at(b.u(0.1, 0.2)), root)
        chest = b.joint("Shoulders", at(0.33), front)
    else:
        root = b.joint("Root", (0, 0, b.u(-0.3, 0.0))) if b.chance(0.15) else -1
        hips = b.joint("Hips", at(-0.32), root)
        chest = front = b.chain(["Spine", "Chest"], [at(-0.05), at(0.25)], hips)[-1]
    _neck(b, kind, at(0.4, 0.2), thick, wide, chest, rig)
    _quad_legs(b, kind, long, thick, wide, at, (front, hips), rig)
    if b.chance(0.9 if kind != "sprawl" else 0.65):
        count = int(b.rng.integers(1, 4)) if rig == "simple" else int(b.rng.integers(3, 9))
        heavy = b.chance(0.3)
        _tail(
            b,
            at(-0.46, 0.3),
            b.scale(0.15, 1.0),
            180 + b.u(-60, 60),
            thick * (0.6 if heavy else b.u(0.15, 0.35)),
            hips,
            count,
        )
    if b.chance(0.08):  # a shell, a hump or a saddle
        b.ball(at(0, 0.3), (wide * 1.15, thick * b.u(0.8, 1.2), b.u(0.25, 0.45)))
    if b.chance(0.06):
        ridge = np.stack([at(v, 0.7) for v in np.linspace(0.4, -0.45, 11)])
        ridge[1::2, 1] += b.u(0.08, 0.25)
        b.fin(np.concatenate((ridge, [at(0, 0.3)])), thick=0.02, hub=at(0, 0.4))


def _neck(
    b: Builder, kind: str, base: np.ndarray, thick: float, wide: float, chest: int, rig: str
) -> None:
    if kind == "hoofed":
        long, pitch = b.scale(0.2, 0.75), b.u(25, 80)
    else:
        long, pitch = b.scale(0.1, 0.25 if kind == "sprawl" else 0.5), b.u(-5, 50)
    count = int(b.rng.integers(1, 3)) if rig == "simple" else int(b.rng.integers(1, 4))
    count += int(long > 0.5)
    path = arc(base - vec(0, 0, 0.04), long, pitch, b.u(-40, 15), count + 1)
    size = b.scale(0.55, 1.6) * min(thick, 0.2)
    radii = np.linspace(0.75 * min(wide, thick), max(0.55 * size, 0.03), count + 1)
    b.tube(path, np.stack((radii * 0.85, radii), 1))
    necks = b.chain("Neck", path[:-1], chest)
    _skull(b, path[-1], size, b.u(-40, 5), necks[-1])


def _quad_legs(
    b: Builder, kind: str, long: float, thick: float, wide: float, at, tops, rig: str
) -> None:
    radius = b.u(0.22, 0.42) * min(wide, thick) * (1.3 if kind == "stout" else 1)
    radius = min(radius, 0.55 * wide)
    style = b.pick(root=0.6, plain=0.4)
    foot = radius * b.u(0.7, 1.3)
    x = max(wide * b.u(0.5, 0.75), radius)
    reach = b.u(0.15, 0.4) * (kind == "sprawl")
    for which, (where, top) in enumerate(zip((0.3, -0.36), tops, strict=True)):
        hip = at(where, -0.25) + vec(x, 0, 0)
        drop = hip[1]
        ankle = 0.12 * drop + 0.2 * foot
        out = reach * b.u(0.9, 1.2)
        if which and kind == "hoofed" and b.chance(0.75):  # knee ahead, hock behind
            bent = min(1, 1.6 * drop)
            knee = hip + vec(0, -b.u(0.25, 0.4) * drop, b.u(0.02, 0.13) * bent)
            hock = vec(x, b.u(0.3, 0.42) * drop, hip[2] - b.u(0.04, 0.16) * bent)
            path = (hip, knee, hock, (x, ankle, hock[2] + b.u(0, 0.1) * bent))
            names, radii = (
                ("BackUpLeg", "BackLowLeg", "BackHock", "BackFoot"),
                (1.3, 0.9, 0.5, 0.55),
            )
        else:
            bow = b.u(-0.06, 0.06) if kind != "sprawl" else b.u(-0.15, 0.15)
            knee = np.array((x + out, (0.5 + 0.4 * (reach > 0)) * drop + 0.5 * ankle, hip[2] + bow))
            end = vec(x + 1.3 * out, ankle, hip[2] + b.u(-0.3, 0.6) * bow)
            path, radii = (hip, knee, end), (1.15, b.u(0.6, 0.95), b.u(0.5, 0.9))
            words = (
                ("UpLeg", "LowLeg", "Foot") if rig != "simple" else ("UpperLeg", "LowerLeg", "Foot")
            )
            names = tuple(("Back" if which else "Front") + w for w in words)
        root = None
        if style == "root" and rig != "simple":
            root = at(where, b.u(-0.1, 0.2)) + vec(b.u(0.15, 0.4) * x, 0, 0)
        _leg(b, path, radius * np.array(radii), names, top, root, foot)


def dinosaur(b: Builder) -> None:
    """A dinosaur on two legs: level body, long tail, small arms."""
    leg, thick = b.u(0.35, 0.65), b.u(0.12, 0.22)
    wide, lean = thick * b.u(0.7, 1.0), b.u(0, 35)
    hips = vec(0, leg + 0.3 * thick, 0.0)
    way = np.array((0, np.sin(np.radians(lean)), np.cos(np.radians(lean))))
    trunk = b.u(0.3, 0.5)
    stations = hips + np.outer((-0.15, 0, 0.5, 1.0), way) * trunk
    b.tube(stations, np.outer((0.8, 1, b.u(0.8, 1.1), 0.65), (wide, thick)))
    up = vec(0, 0.2 * thick, 0)
    root = b.joint("Back", hips + up)
    spine = _spine(b, hips, way, trunk, up, root)
    count = int(b.rng.integers(1, 3))
    neck = arc(
        stations[-1] - 0.1 * trunk * way + 0.5 * up,
        b.scale(0.15, 0.45),
        lean + b.u(15, 50),
        b.u(-60, 0),
        count + 1,
    )
    size = b.u(0.6, 1.1) * thick
    b.tube(neck, np.linspace(0.65 * thick, 0.6 * size, count + 1))
    necks = b.chain("Neck", neck[:-1], spine[-1])
    _skull(b, neck[-1], size, b.u(-25, 10), necks[-1])
    _tail(
        b,
        stations[0] + 0.5 * up,
        b.u(0.5, 1.1),
        180 + b.u(-15, 20),
        0.75 * thick,
        root,
        int(b.rng.integers(3, 7)),
        b.u(-40, 25),
    )
    x, radius = wide * b.u(0.7, 1.0), thick * b.u(0.3, 0.5)
    hip = hips + vec(x, 0, 0)
    knee, hock = hip + vec(0, -0.4 * leg, b.u(0.02, 0.14)), vec(x, 0.3 * leg, -b.u(0.02, 0.16))
    foot = vec(x, 0.07 * leg + 0.02, b.u(-0.06, 0.08))
    path, names = (hip, knee, hock, foot), ("UpLeg", "LowLeg", "Hock", "Foot")
    if b.chance(0.5):
        path, names = (hip, (knee + hock) / 2, foot), ("UpLeg", "LowLeg", "Foot")
    near = hips + vec(0.2 * x, 0, 0) if b.chance(0.7) else None
    _leg(b, path, radius * np.linspace(1.2, 0.5, len(path)), names, root, near, radius)
    arm = stations[-1] - 0.25 * trunk * way + vec(wide * 0.65, -0.35 * thick, 0)
    long = b.scale(0.08, 0.25)
    arms = arm + long * np.array([(0, 0, 0), (b.u(0, 0.3), -0.5, -0.1), (0.1, -0.6, 0.45)])
    b.tube(arms, 0.2 * thick * vec(1.1, 0.8, 0.6), True)
    b.ball(arms[-1], 0.17 * thick, True)
    b.limbs(["FrontUpLeg", "FrontLowLeg", "FrontFoot"], arms, spine[min(1, len(spine) - 1)])


def _spine(b: Builder, hips, way, trunk: float, up, root: int) -> list[int]:
    shares = (0.5, 0.85) if b.chance(0.7) else (0.6,)
    return b.chain(
        ("Torso", "Shoulders")[: len(shares)], [hips + way * trunk * s + up for s in shares], root
    )


def bird(b: Builder) -> None:
    """A bird: perching with folded wings or flying with spread ones; ducks, storks, penguins."""
    leg, thick, long = b.scale(0.06, 0.6), b.u(0.14, 0.26), b.u(0.4, 0.65)
    lean = b.u(0, 65)
    way = np.array((0, np.sin(np.radians(lean)), np.cos(np.radians(lean))))
    centre = vec(0, leg + thick * 0.9, 0)
    path = centre + np.outer((-0.5, -0.25, 0.1, 0.4), way) * long
    b.tube(path, np.outer((0.3, 0.8, 1.0, 0.6), (thick * b.u(0.8, 1.1), thick)))
    root = b.joint("Body", centre - 0.15 * long * way)
    chest = b.joint("Chest", centre + 0.2 * long * way, root) if b.chance(0.6) else root
    count = int(b.rng.integers(1, 4))
    neck = arc(
        path[-1] - 0.05 * way, b.scale(0.08, 0.5), lean * 0.5 + b.u(35, 60), b.u(-50, 30), count + 1
    )
    size = thick * b.u(0.5, 0.95)
    b.tube(neck, np.linspace(0.55 * thick, 0.5 * size, count + 1))
    necks = b.chain("Neck", neck[:-1], chest)
    head = neck[-1]
    b.ball(head + vec(0, 0.2 * size, 0.1 * size), size * vec(0.8, 0.85, 0.9))
    joint = b.joint("Head", head + vec(0, 0.1 * size, 0), necks[-1])
    beak = head + vec(0, 0.1 * size, 0.8 * size)
    tip = beak + vec(0, -b.u(-0.1, 0.3) * size, size * b.u(0.5, 1.8))
    b.cone(beak - vec(0, 0, 0.3 * size), tip, size * b.u(0.2, 0.4))
    if b.chance(0.2):
        b.joint("Jaw", beak - vec(0, 0.1 * size, 0.1 * size), joint)
    if b.chance(0.5):
        b.ball(head + vec(0.65 * size, 0.35 * size, 0.5 * size), size * b.u(0.1, 0.25), True)
    _wings(b, centre + 0.2 * long * way + vec(0.8 * thick, 0.2 * thick, 0), way, long, thick, chest)
    back = path[0] - 0.02 * way
    fan, spread = b.u(0.15, 0.45), b.u(0.08, 0.25)
    tail_way = -way * fan + vec(0, b.u(0, 0.2) * fan, 0)
    rim = [
        back + vec(0.05, 0, 0),
        back + tail_way + vec(spread, 0, 0),
        back + 1.1 * tail_way,
        back + tail_way - vec(spread, 0, 0),
        back - vec(0.05, 0, 0),
    ]
    b.fin(np.stack(rim), thick=0.02, hub=back + 0.4 * tail_way)
    if b.chance(0.6):
        b.chain(
            "Tail", np.stack((back + 0.05 * way, back + 0.45 * tail_way))[: 1 + b.chance(0.4)], root
        )
    x = thick * b.u(0.35, 0.6)
    hip = vec(x, centre[1] - 0.3 * thick, -0.05)
    knee = vec(x, 0.55 * hip[1], -0.05 - 0.1 * leg * b.u(0, 1))
    foot = vec(x, 0.025, 0.0)
    thin = b.u(0.015, 0.04)
    _leg(
        b,
        (hip, knee, foot),
        (1.8 * thin, thin, thin),
        ("UpLeg", "LowLeg", "Foot"),
        root,
        None,
        b.u(0.05, 0.1),
    )


def _wings(
    b: Builder, root: np.ndarray, way: np.ndarray, long: float, thick: float, parent: int
) -> None:
    if b.chance(0.5):  # spread
        span = b.u(0.5, 1.1)
        rise = b.u(-0.1, 0.35)
        path = (
            root
            - vec(0.3 * thick, 0, 0)
            + span
            * np.array([(0, 0, 0), (0.35, rise * 0.6, 0.05), (0.7, rise, -0.02), (1, rise, -0.12)])
        )
        chord = long * b.u(0.45, 0.8)
        rear = path[::-1] - np.outer((0.15, 0.7, 0.9, 1.0), (0, 0, chord))
        front = path + vec(0, 0, 0.06)
        b.fin(np.concatenate((front, rear)), True, 0.025, hub=path[1] - vec(0, 0, 0.3 * chord))
        names, joints = ["Wing1", "Wing2", "Wing3"], path[:3]
    else:
        tip = root - way * long * b.u(0.55, 0.95) - vec(0.35 * thick, 0.1 * thick, 0)
        middle = (root + tip) / 2 + vec(0.1 * thick, -0.15 * thick, 0)
        b.tube((root, middle, tip), np.outer((0.5, 0.8, 0.1), (0.3 * thick, 0.7 * thick)), True)
        names, joints = (
            ["Wing1", "Wing2", "Wing3"],
            np.stack((root - vec(0.15 * thick, 0, 0), middle, 0.4 * middle + 0.6 * tip)),
        )
    count = int(b.rng.choice((1, 2, 3), p=(0.2, 0.35, 0.45)))
    b.limbs(names[:count], joints[:count], parent)
