"""A mesh with skeleton and skin as a GLB file, which Blender and game engines open.

The joints are nodes without rotation in the rest pose, children below parents, under one node
"Armature"; the inverse bind matrices move every joint to the origin. So the rest pose is the mesh
itself. Coordinates are written as they are given. A .glb is y up and faces +z by specification; of
a character that is z up and faces -y the root nodes hold the turn.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from geoflow.checks import one_of
from geoflow.geometry.mesh import vertex_normals
from geoflow.io.arrays import check_mesh
from geoflow.io.meshes import CLAY
from geoflow.joints.skin import Skin
from geoflow.joints.tree import check_skeleton

_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_CODES = {"<u2": 5123, "<u4": 5125, "<f4": 5126}
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963
_TURNS = {"y": {}, "z": {"rotation": [-(0.5**0.5), 0.0, 0.0, 0.5**0.5]}}  # by -90 degrees about x
_MATERIAL = {
    "name": "clay",
    "doubleSided": True,
    "pbrMetallicRoughness": {
        "baseColorFactor": list(CLAY),
        "metallicFactor": 0.0,
        "roughnessFactor": 0.8,
    },
}


def rigged_glb(
    vertices: np.ndarray,
    faces: np.ndarray,
    joints: np.ndarray,
    parents: np.ndarray,
    skin: Skin,
    names: Sequence[str] | None = None,
    up: str = "y",
) -> bytes:
    """A rigged mesh as the bytes of a .glb file.

    Args:
        vertices, faces: (V, 3), (F, 3), counter-clockwise seen from outside.
        joints: (J, 3) in the frame of the vertices.
        parents: (J,) -1 for a root; there may be several.
        skin: of every vertex, see geoflow.joints.skin.
        names: J names of the joint nodes; None: joint_0 and so on.
        up: of that frame, "y" or "z"; readers get y up either way.

    Raises:
        ValueError: arrays that do not fit together, or parents that form no tree.
    """
    one_of("up", up, _TURNS)
    vertices, joints = np.asarray(vertices, np.float64), np.asarray(joints, np.float64)
    faces, parents = np.asarray(faces), np.asarray(parents)
    check_mesh(vertices, faces)
    names = [f"joint_{k}" for k in range(len(joints))] if names is None else list(names)
    _check(len(vertices), joints, parents, skin, names)
    count, parts = len(joints), _Parts()
    parts.tree["nodes"] = [
        *_nodes(joints, parents, names),
        {"name": "Armature", "children": np.flatnonzero(parents < 0).tolist()} | _TURNS[up],
        # A reader that knows skins takes the Armature's turn alone, one that does not, this one.
        {"name": "character", "mesh": 0, "skin": 0} | _TURNS[up],
    ]
    parts.tree["materials"] = [_MATERIAL]
    primitive = _primitive(parts, vertices, faces, skin)
    parts.tree["meshes"] = [{"name": "mesh", "primitives": [primitive]}]
    inverse = np.tile(np.eye(4), (count, 1, 1))
    inverse[:, 3, :3] = -joints  # column by column, as glTF stores matrices
    matrices = parts.array(inverse.reshape(-1, 16), "<f4")
    parts.tree["skins"] = [
        {"inverseBindMatrices": matrices, "joints": list(range(count)), "skeleton": count}
    ]
    parts.tree["scenes"], parts.tree["scene"] = [{"nodes": [count, count + 1]}], 0
    return parts.bytes()


def _check(
    count: int, joints: np.ndarray, parents: np.ndarray, skin: Skin, names: list[str]
) -> None:
    check_skeleton(joints, parents)
    j = len(joints)
    if len(names) != j:
        raise ValueError(f"names must be {j}, one a joint; got {len(names)}")
    shape, weights = (count, 4), skin.weights
    if skin.joints.shape != shape or weights.shape != shape:
        raise ValueError(
            f"skin must hold 4 joints and weights for each of {count} vertices; got "
            f"{skin.joints.shape} and {weights.shape}"
        )
    if skin.joints.min() < 0 or skin.joints.max() >= j:
        raise ValueError(f"skin.joints must lie in 0..{j - 1}; they go to {skin.joints.max()}")
    if not (weights >= 0).all() or np.abs(weights.sum(1) - 1).max() > 1e-4:
        raise ValueError("skin.weights must be at least 0 and sum to 1 for every vertex")


def _nodes(joints: np.ndarray, parents: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """The joints as nodes, each from its parent on."""
    nodes: list[dict[str, Any]] = []
    for k, (name, parent) in enumerate(zip(names, parents, strict=True)):
        offset = joints[k] - (joints[parent] if parent >= 0 else 0)
        children = np.flatnonzero(parents == k).tolist()
        below = {"children": children} if children else {}
        nodes.append({"name": name, "translation": offset.tolist()} | below)
    return nodes


def _primitive(
    parts: _Parts, vertices: np.ndarray, faces: np.ndarray, skin: Skin
) -> dict[str, Any]:
    """The triangles with their attributes."""
    normals = vertex_normals(vertices, faces)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    good = np.isfinite(length) & (length > 0.5)  # a vertex without an area has none
    normals = np.where(good, normals / np.where(good, length, 1), (0.0, 1.0, 0.0))
    position, stored = parts.array(vertices, "<f4", _VERTEX_BUFFER), vertices.astype(np.float32)
    parts.tree["accessors"][position] |= {
        "min": stored.min(0).tolist(),
        "max": stored.max(0).tolist(),
    }
    return {
        "attributes": {
            "POSITION": position,
            "NORMAL": parts.array(normals, "<f4", _VERTEX_BUFFER),
            "JOINTS_0": parts.array(skin.joints, "<u2", _VERTEX_BUFFER),
            "WEIGHTS_0": parts.array(skin.weights, "<f4", _VERTEX_BUFFER),
        },
        "indices": parts.array(faces.reshape(-1, 1), "<u4", _INDEX_BUFFER),
        "material": 0,
        "mode": 4,
    }


class _Parts:
    """Collects the JSON and the binary of a GLB."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "geoflow"},
            "accessors": [],
            "bufferViews": [],
        }
        self.binary = bytearray()

    def array(self, values: np.ndarray, dtype: str, target: int | None = None) -> int:
        """Adds (N, width) values; returns the accessor."""
        data = values.astype(dtype).tobytes()
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        accessor = {
            "bufferView": len(self.tree["bufferViews"]),
            "componentType": _CODES[dtype],
            "count": len(values),
            "type": _TYPES[values.shape[1]],
        }
        self.tree["bufferViews"].append(view | ({"target": target} if target else {}))
        self.tree["accessors"].append(accessor)
        self.binary += data + b"\0" * (-len(data) % 4)
        return accessor["bufferView"]

    def bytes(self) -> bytes:
        """The file."""
        self.tree["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<II", len(text), 0x4E4F534A) + text
        body += struct.pack("<II", len(self.binary), 0x004E4942) + self.binary
        return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body
