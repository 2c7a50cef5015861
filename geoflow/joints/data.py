"""A training set of rigged characters: surface points, and the joint that each belongs to."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from geoflow.checks import one_of
from geoflow.data.source import Source
from geoflow.flow.condition import Condition
from geoflow.geometry.frames import LONGEST
from geoflow.joints.rigs import Character, read_characters
from geoflow.render.quick import draw_clouds

HELD_OUT_PACKS = ("fish_pack", "kaykit")
"""Never trained on, wherever they are found."""
SHARES = {"body": 0.4, "creature": 0.6}
"""Of the categories in a batch."""
PROPORTIONS = {"body": 0.5, "creature": 0.0}
"""Share of a category's samples that get other proportions."""
MOST_JOINTS = 255


def assign_points(points: np.ndarray, joints: np.ndarray, least: int) -> np.ndarray:
    """(N, 3), (J, 3) -> (N,) int64 the nearest joint of every point, but no joint goes empty.

    A joint that is nearest to fewer than `least` points, a finger say, takes the nearest points
    that none like it has taken, up to `least` where there are enough; the smallest first.
    """
    distance = np.linalg.norm(points[:, None] - joints[None], axis=2)
    owner = distance.argmin(1)
    counts = np.bincount(owner, minlength=len(joints))
    free = np.ones(len(points), bool)
    least = min(least, len(points) // len(joints))
    for joint in np.argsort(counts, kind="stable"):
        if counts[joint] >= least:
            break
        order = np.argsort(np.where(free, distance[:, joint], np.inf), kind="stable")[:least]
        owner[order] = joint
        free[order] = False
    return owner


class CharacterSource(Source):
    """Batches of joints (as seen from surface points) with the surface as their condition.

    Args:
        characters, device: any number of points each, at least `size`; where they are kept.
        size: points of a sample; drawn anew each time, half of the samples evenly over the
            surface, half with more of the points whose joint owns few.
        augment: see `augment`, for every sample, with the shares of PROPORTIONS.

    Raises:
        ValueError: no characters, one with too few points or too many joints, another category.
    """

    def __init__(
        self,
        characters: list[Character],
        device: torch.device,
        size: int = 1024,
        *,
        augment: bool = True,
    ) -> None:
        if not characters:
            raise ValueError("a training set must hold characters; got none that may be trained on")
        for c in characters:
            if len(c.points) < size or len(c.joints) > MOST_JOINTS:
                raise ValueError(
                    f"{c.name} must have at least {size} points and at most {MOST_JOINTS} joints; "
                    f"it has {len(c.points)} and {len(c.joints)}; leave it out"
                )
            one_of(f"{c.name}: category", c.category, SHARES)
        self.categories = list(SHARES)
        self.device, self.size, self.augment = device, size, augment
        rows = []
        for c in characters:
            surface = np.concatenate((c.points, c.normals), 1).astype(np.float16)
            owner = assign_points(c.points, c.joints, max(4, len(c.points) // 600))
            rarity = np.bincount(owner)[owner] ** -0.5  # padding has 0
            rows.append((surface, owner.astype(np.uint8), rarity.astype(np.float32), c.joints))
        self.surface, self.owner, self.rarity, self.joints = (
            pad_sequence(list(map(torch.from_numpy, column)), batch_first=True).to(device)
            for column in zip(*rows, strict=True)
        )
        labels = [self.categories.index(c.category) for c in characters]
        self.labels = torch.tensor(labels, device=device)
        self.proportions = torch.tensor([PROPORTIONS[k] for k in self.categories], device=device)
        shares = _weights(characters).double().cumsum(0)
        self.shares = (shares / shares[-1]).float().to(device)

    @classmethod
    def open(cls, folder: Path, device: torch.device) -> CharacterSource:
        """Reads every npz of a folder but the held-out packs; what is no body is a creature.

        Raises:
            ValueError: no such file, or a damaged one.
        """
        files = sorted(folder.glob("*.npz"))
        if not files:
            raise ValueError(
                f"{folder} must hold npz files of characters; it holds none; make them with "
                "data_prep/anny_bodies.py and data_prep/characters.py"
            )
        characters = [c for file in files for c in read_characters(file)]
        kept = [c for c in characters if c.pack not in HELD_OUT_PACKS]
        known = [c if c.category in SHARES else replace(c, category="creature") for c in kept]
        return cls(known, device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Condition]:
        """Draws B samples; on the device of the characters nothing waits for a copy.

        Returns:
            (B, N, 3) float32 the joint of every point, and the condition: labels (B,), and
            (B, N, 6) reference points and unit normals as the context.
        """
        index = torch.searchsorted(self.shares, uniform(generator, self.device, size))
        index = index.clamp(max=len(self) - 1)
        rarity = self.rarity[index]
        even = uniform(generator, self.device, size, 1) < 0.5
        chance = torch.where(even, (rarity > 0).float(), rarity)
        draw = uniform(generator, self.device, *rarity.shape)
        # The largest of u^(1/w) are a draw without replacement in proportion to w.
        keys = draw.clamp(min=1e-9).log() / chance.clamp(min=1e-9)
        pick = keys.topk(self.size, dim=1, sorted=False).indices
        surface = self.surface[index[:, None], pick].float()
        owner = self.owner[index[:, None], pick].long()
        labels, joints = self.labels[index], self.joints[index]
        points, normals = surface.split(3, -1)
        if self.augment:
            share = self.proportions[labels]
            points, normals, joints = augment(points, normals, joints, share, generator)
        target = joints.gather(1, owner[..., None].expand(-1, -1, 3))
        return target, Condition(labels, torch.cat((points, normals), -1))

    def picture(self, samples: Tensor, size: int) -> np.ndarray:
        return draw_clouds(samples, size)

    def describe(self) -> dict[str, Any]:
        return {
            "categories": self.categories,
            "points": self.size,
            "longest": LONGEST,
            "training_shapes": len(self),
            "held_out_packs": list(HELD_OUT_PACKS),
        }


def augment(
    points: Tensor, normals: Tensor, joints: Tensor, share: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Changes proportions, mirrors, bends, stretches, turns and roughens; joints follow.

    Points and normals are (B, N, 3), joints (B, J, 3); returned in the frame again: box of the
    points centred, longest side 1.8. `share` (B,) is the chance of each to get other proportions.
    """
    b, even = len(points), partial(uniform, generator, points.device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=generator.device).to(points.device)

    points, normals, joints = reproportion(points, normals, joints, share, generator)
    waves, phase, height = 2.5 * normal(b, 3, 3), 6.3 * even(b, 1, 3), 0.025 * normal(b, 1, 3)

    def bend(p: Tensor) -> Tensor:
        return p + height * torch.sin(p @ waves + phase)

    points, joints = bend(points), bend(joints)
    side = torch.where(even(b) < 0.5, -1.0, 1.0)
    stretch = torch.exp(0.12 * normal(b, 3))
    stretch[:, 0] *= side
    angle = torch.where(even(b) < 0.6, 0.1 * normal(b), math.pi * (2 * even(b) - 1))
    turn = _turns(angle, 1) @ _turns(0.06 * normal(b), 0) @ _turns(0.06 * normal(b), 2)
    points, joints = ((p * stretch[:, None]) @ turn.mT for p in (points, joints))
    normals = normalize((normals / stretch[:, None]) @ turn.mT, dim=-1)
    points = points + 0.006 * even(b, 1, 1) * normal(*points.shape)
    low, high = points.amin(1, keepdim=True), points.amax(1, keepdim=True)
    scale = LONGEST / (high - low).amax(-1, keepdim=True).clamp(min=1e-6)
    points, joints = ((p - (low + high) / 2) * scale for p in (points, joints))
    return points, normals, joints


def reproportion(
    points: Tensor, normals: Tensor, joints: Tensor, share: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Gives some of the characters other proportions: large heads, short legs, wide hips.

    Heights are stretched by 1 + b sin(k y + c), widths by exp(a sin(q y + d)), with b up to 0.55
    and a up to 0.45: y goes to the integral of its stretch, x and z to a multiple of themselves.

    Arguments as of `augment`; the three come neither centred nor scaled again. Normals follow by
    the inverse transpose.
    """
    draw = uniform(generator, points.device, len(points), 1, 7)
    some = (draw[..., 0] < share[:, None]).float()
    b, a = 0.55 * some * draw[..., 1], 0.45 * some * (2 * draw[..., 2] - 1)
    k, q = 2 + 3 * draw[..., 3], 2 + 3 * draw[..., 4]
    c, d = math.tau * draw[..., 5], math.tau * draw[..., 6]

    def width(y: Tensor) -> Tensor:
        return torch.exp(a * torch.sin(q * y + d))

    def move(p: Tensor) -> Tensor:
        x, y, z = p.unbind(-1)
        return torch.stack((width(y) * x, y - b / k * torch.cos(k * y + c), width(y) * z), -1)

    x, y, z = points.unbind(-1)
    slope = width(y) * a * q * torch.cos(q * y + d)
    across, along = normals[..., 0] / width(y), normals[..., 2] / width(y)
    up = (normals[..., 1] - slope * (x * across + z * along)) / (1 + b * torch.sin(k * y + c))
    turned = normalize(torch.stack((across, up, along), -1), dim=-1)
    return move(points), turned, move(joints)


def uniform(generator: torch.Generator, device: torch.device, *shape: int) -> Tensor:
    """Uniform numbers in [0, 1), drawn where the generator is and brought to a device."""
    return torch.rand(*shape, generator=generator, device=generator.device).to(device)


def _turns(angle: Tensor, axis: int) -> Tensor:
    """(B,) radians -> (B, 3, 3) rotations about a coordinate axis."""
    out = torch.zeros(len(angle), 3, 3, device=angle.device)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, j, j] = angle.cos()
    out[:, i, j], out[:, j, i] = -angle.sin(), angle.sin()
    return out


def _weights(characters: list[Character]) -> Tensor:
    """(C,) how often each is drawn: both categories fixed, packs by the root of their size."""
    packs = Counter((c.category, c.pack) for c in characters)
    share = dict(SHARES)
    for kind in share:
        share[kind] /= sum(n**0.5 for (category, _), n in packs.items() if category == kind) or 1
    return torch.tensor([share[c.category] / packs[c.category, c.pack] ** 0.5 for c in characters])
