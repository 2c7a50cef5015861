"""What upright creatures share: the figure, and its trunk, arms, legs, eyes and ears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .creature_parts import BOX, Builder, vec

RIGHT = vec(-1.0, 1, 1)


@dataclass(frozen=True)
class Figure:
    """Proportions of an upright figure.

    Attributes:
        hip, neck, top: heights of the hips, the neck's base and the top of the skull.
        wide, deep: half axes of the chest.
        arm, leg: radii of the limbs.
        shoulder, elbow, wrist: (3,) the left arm.
        head: (3,) half axes of the head.
        boxy: parts are boxes.
    """

    hip: float
    neck: float
    top: float
    wide: float
    deep: float
    arm: float
    leg: float
    shoulder: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    head: np.ndarray
    boxy: bool

    @property
    def skull(self) -> np.ndarray:
        """The middle of the head."""
        return vec(0, self.top - self.head[1], 0.0)


def draw_figure(b: Builder, head: tuple[float, float], boxy: float) -> Figure:
    """Random proportions; the head takes a share of the height in the range `head`."""
    tall, leg = b.u(*head), b.u(0.32, 0.58)
    hip = (1 - tall) * leg
    neck = 1 - tall
    wide = b.u(0.24, 0.5) * (neck - hip + 0.12)
    arm = wide * b.scale(0.24, 0.5)
    degrees = {"t": b.u(-6, 6), "a": b.u(25, 58), "down": b.u(65, 82)}[
        b.pick(t=0.62, a=0.22, down=0.16)
    ]
    way = np.array((np.cos(np.radians(degrees)), -np.sin(np.radians(degrees)), 0))
    length = b.u(0.6, 1.1) * (neck - hip) + 0.06
    out = max(wide * b.u(0.78, 1.05), wide * 0.8 + (0.25 if degrees > 60 else 0) * arm)
    shoulder = vec(out, neck - max(arm, 0.03) * b.u(0.9, 1.3), 0)
    bow = vec(0, 0, -b.u(0, 0.06) * length)
    elbow, wrist = shoulder + way * length * b.u(0.45, 0.52) + bow, shoulder + way * length
    skull = tall / 2 * vec(b.u(0.8, 1.3), 1, b.u(0.8, 1.15))
    return Figure(
        hip, neck, 1.0, wide, wide * b.u(0.5, 0.95), arm, wide * b.scale(0.32, 0.52),
        shoulder, elbow, wrist, skull, b.chance(boxy),
    )  # fmt: skip


def trunk(b: Builder, f: Figure) -> dict[str, int]:
    """The torso, and the joints from the root to the head."""
    long = f.neck - f.hip
    waist, hips, chest = b.u(0.7, 1.1), b.u(0.75, 1.1), b.u(0.75, 1.0)
    power = BOX if f.boxy and b.chance(0.5) else (4.0 if f.boxy else None)
    y = f.hip + long * np.array((-0.12, 0.1, 0.5, 0.85, 1.0))
    scale = np.array((0.75 * hips, hips, waist, chest, 0.55 * chest))
    b.tube(np.stack((0 * y, y, 0 * y), 1), np.outer(scale, (f.wide, f.deep)), power=power)
    neck = f.top - 2 * f.head[1]
    thick = min(0.35 * f.wide, 0.5 * f.head[0])
    b.tube([(0, f.neck - 0.02, 0), (0, neck + 0.3 * f.head[1], 0)], (thick, thick))
    z = b.u(-0.25, 0.1) * f.deep
    root = -1
    above = b.pick(none=0.74, body=0.16, ground=0.1)
    if above == "body":
        root = b.joint("Body", (0, f.hip + b.u(-0.02, 0.15) * long, z))
    elif above == "ground":
        root = b.joint("Root", (0, 0, 0))
    hips_joint = b.joint("Hips", (0, f.hip + b.u(-0.03, 0.08) * long, z), root)
    names, shares = b.rng.choice(4, p=(0.45, 0.2, 0.2, 0.15)), None
    if names == 0:
        names, shares = ("Abdomen", "Torso"), (0.28, 0.52)
    elif names == 1:
        names, shares = ("Abdomen", "Torso", "Chest"), (0.2, 0.42, 0.68)
    elif names == 2:
        names, shares = ("Spine", "Chest"), (0.22, 0.6)
    else:
        names, shares = ("Torso",), (b.u(0.35, 0.5),)
    spine = b.chain(names, [(0, f.hip + s * long, z) for s in shares], hips_joint)
    chest_joint = spine[-1]
    if b.chance(0.7):
        spine += b.chain(["Neck"], [(0, f.neck - 0.03 * long, z)], spine[-1])
    head = b.joint("Head", (0, neck + b.u(0.04, 0.2) * f.head[1], z), spine[-1])
    hung = root if above == "body" and b.chance(0.5) else hips_joint
    return {"hips": hips_joint, "chest": chest_joint, "head": head, "legs": hung}


def arms(b: Builder, f: Figure, ids: dict[str, int]) -> None:
    """Arms with mitten hands."""
    power = 4.0 if f.boxy else None
    inside = f.shoulder - vec(0.35 * f.wide, 0, 0)
    taper = b.u(0.7, 1.25)
    radii = f.arm * np.array((0.85, 1.0, (1 + taper) / 2, taper))
    if b.chance(0.2):
        radii[-1] *= b.u(1.2, 1.7)
    b.tube((inside, f.shoulder, f.elbow, f.wrist), radii, True, power=power)
    way = f.wrist - f.elbow
    way = way / np.linalg.norm(way)
    hand = f.arm * b.u(1.0, 1.7)
    centre = f.wrist + way * hand * 0.8
    if f.boxy and b.chance(0.6):
        b.box(centre, hand * vec(0.9, 0.8, 0.9), True)
    else:
        b.ball(centre, hand * vec(1.1, b.u(0.6, 1), 1), True, power)
    if b.chance(0.35):
        thumb = centre + vec(0, 0, hand * 0.8)
        b.tube((centre, thumb + 0.5 * hand * way), np.array((0.35, 0.3)) * hand, True)
    names, path = ["UpperArm", "LowerArm", "Hand"], [f.shoulder, f.elbow, f.wrist]
    if b.chance(0.6):
        names.insert(0, "Shoulder")
        path.insert(0, vec(b.u(0.25, 0.5) * f.shoulder[0], f.shoulder[1] - 0.01, 0))
    more = b.pick(none=0.7, tip=0.22, fingers=0.08)
    joints = b.limbs(names, path, ids["chest"])
    ids["left"], ids["right"] = joints[-1]
    if more == "tip":
        b.limbs(
            ["HandSlot" if b.chance(0.5) else "Fingers"], [centre + 0.25 * hand * way], joints[-1]
        )
    elif more == "fingers":
        b.limbs(["Fingers1", "Fingers2"], [centre, centre + 0.55 * hand * way], joints[-1])
        b.limbs(["Thumb"], [centre + vec(0, 0, 0.7 * hand)], joints[-1])


def legs(b: Builder, f: Figure, ids: dict[str, int]) -> None:
    """Legs, shoes."""
    power = 4.0 if f.boxy else None
    x = max(f.leg * 1.02, f.wide * b.u(0.42, 0.6))
    foot = b.u(0.35, 0.75) * f.leg
    ankle = max(foot * 1.1, 0.08 * f.hip)
    apart = b.u(0, 0.25) * f.leg
    hip, knee, end = (
        vec(x + apart * s, y, 0.0) for s, y in ((0, f.hip), (0.5, (f.hip + ankle) / 2), (1, ankle))
    )
    knee[2] = b.u(0, 0.1) * f.leg
    taper = b.u(0.65, 1.2)
    radii = f.leg * vec(1, (1 + taper) / 2, taper)
    b.tube((hip, knee, end), radii, True, caps=(1, 0), power=power)
    long = b.u(1.0, 1.9) * f.leg
    centre = vec(end[0], foot, long - 0.8 * f.leg * taper)
    half = vec(f.leg * max(taper, 0.8) * b.u(1.0, 1.2), foot, long)
    if f.boxy and b.chance(0.7):
        b.box(centre, half, True, b.u(0.8, 1))
    else:
        b.ball(centre, half, True, 4.0 if b.chance(0.5) else None)
    names, path = ["UpperLeg", "LowerLeg", "Foot"], [hip, knee, end]
    joints = b.limbs(names, path, ids["legs"])
    if b.chance(0.3):
        b.limbs(["Toes"], [centre + vec(0, -0.2 * foot, 0.45 * long)], joints[-1])


def eyes(b: Builder, f: Figure) -> None:
    if b.chance(0.5):
        size = f.head[1] * b.u(0.08, 0.25)
        spread = b.u(0.25, 0.5)
        depth = f.head[2] * np.sqrt(1 - spread**2) * 0.95
        b.ball(
            f.skull + vec(spread * f.head[0], b.u(-0.1, 0.2) * f.head[1], depth),
            size * vec(1, b.u(1, 1.4), 0.4),
            True,
        )


def ears(b: Builder, f: Figure, head: int) -> None:
    """Ears or horns, with one to three joints or none."""
    kind = b.pick(long=0.35, round=0.3, sharp=0.25, none=0.1)
    if kind == "none":
        return
    angle = np.radians(b.u(35, 75))
    way = vec(np.cos(angle), np.sin(angle), b.u(-0.3, 0.1))
    base = f.skull + f.head * way * 0.85
    length = (
        f.head[1] * {"long": b.u(0.8, 1.8), "round": b.u(0.3, 0.5), "sharp": b.u(0.4, 0.9)}[kind]
    )
    if kind == "round":
        b.ball(base + way * length * 0.5, length * vec(1, 1, 0.4), True)
        count = int(b.chance(0.4))
    elif kind == "sharp":
        b.cone(base - 0.1 * way, base + way * length, 0.4 * length, True)
        count = int(b.chance(0.4))
    else:
        droop = vec(b.u(-0.1, 0.5), -b.u(0, 0.6), 0) * length
        path = np.stack((base, base + 0.5 * way * length, base + way * length + droop))
        wide = length * b.u(0.12, 0.22)
        b.tube(path, np.outer((0.8, 1.1, 0.8), (wide, wide)), True)
        count = int(b.rng.integers(0, 4))
    if count:
        tip = base + way * length * 0.85
        b.limbs("Ear", np.linspace(base, tip, count + (kind != "long"))[:count] if kind != "long"
                else path[:count], head)  # fmt: skip
