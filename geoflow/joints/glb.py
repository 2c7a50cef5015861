"""A mesh with skeleton and skin as a GLB file, which Blender and game engines open.

The joints are nodes without rotation in the rest pose, children below parents, under one node
"Armature"; the inverse bind matrices move every joint to the origin. So the rest pose is the mesh
itself. Coordinates are written as they are given; glTF readers take y as up and +z as front.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from geoflow.geometry.mesh import vertex_normals
from geoflow.io.meshes import CLAY, check_mesh
from geoflow.joints.skin import Skin
from geoflow.joints.tree import check_tree

_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_CODES = {"<u2": 5123, "<u4": 5125, "<f4": 5126}
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963


def rigged_glb(
    vertices: np.ndarray,
    faces: np.ndarray,
    joints: np.ndarray,
    parents: np.ndarray,
    skin: Skin,
    names: Sequence[str] | None = None,
) -> bytes:
    """A rigged mesh as the bytes of a .glb file.

    Args:
        vertices, faces: (V, 3), (F, 3), counter-clockwise seen from outside.
        joints: (J, 3) in the frame of the vertices.
        parents: (J,) -1 for a root; there may be several.
        skin: of every vertex, see geoflow.joints.skin.
        names: J names of the joint nodes; None: joint_0 and so on.

    Raises:
        ValueError: arrays that do not fit together, or parents that form no tree.
    """
    vertices, joints = np.asarray(vertices, np.float64), np.asarray(joints, np.float64)
    faces, parents = np.asarray(faces), np.asarray(parents)
    check_mesh(vertices, faces)
    names = [f"joint_{k}" for k in range(len(joints))] if names is None else list(names)
    _check(len(vertices), joints, parents, skin, names)
    parts = _Parts()
    skeleton = _nodes(parts, joints, parents, names)
    parts.tree["meshes"] = [
        {"name": "mesh", "primitives": [_primitive(parts, vertices, faces, skin)]}
    ]
    inverse = np.tile(np.eye(4), (len(joints), 1, 1))
    inverse[:, 3, :3] = -joints  # column by column, as glTF stores matrices
    parts.tree["skins"] = [
        {
            "inverseBindMatrices": parts.array(inverse.reshape(-1, 16), "<f4"),
            "joints": list(range(len(joints))),
            "skeleton": skeleton,
        }
    ]
    parts.tree["nodes"].append({"name": "character", "mesh": 0, "skin": 0})
    parts.tree["scenes"] = [{"nodes": [skeleton, skeleton + 1]}]
    parts.tree["scene"] = 0
    return parts.bytes()


def _check(
    count: int, joints: np.ndarray, parents: np.ndarray, skin: Skin, names: list[str]
) -> None:
    j = len(joints)
    if not j or joints.shape != (j, 3) or parents.shape != (j,) or len(names) != j:
        raise ValueError(
            f"joints must be (J, 3), J at least 1, with J parents and J names; got "
            f"{joints.shape}, {parents.shape} and {len(names)}"
        )
    if not np.isfinite(joints).all():
        raise ValueError("joints must be finite; they hold NaN or infinity")
    check_tree(parents)
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


def _nodes(parts: _Parts, joints: np.ndarray, parents: np.ndarray, names: list[str]) -> int:
    """Adds the joints as nodes 0 to J - 1, then the armature; returns its index."""
    nodes: list[dict[str, Any]] = []
    for k, (name, parent) in enumerate(zip(names, parents, strict=True)):
        offset = joints[k] - (joints[parent] if parent >= 0 else 0)
        node: dict[str, Any] = {"name": name, "translation": offset.tolist()}
        children = np.flatnonzero(parents == k).tolist()
        nodes.append(node | ({"children": children} if children else {}))
    nodes.append({"name": "Armature", "children": np.flatnonzero(parents < 0).tolist()})
    parts.tree["nodes"] = nodes
    return len(joints)


def _primitive(
    parts: _Parts, vertices: np.ndarray, faces: np.ndarray, skin: Skin
) -> dict[str, Any]:
    """The triangles with their attributes."""
    normals = vertex_normals(vertices, faces)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    good = np.isfinite(length) & (length > 0.5)  # a vertex without an area has none
    normals = np.where(good, normals / np.where(good, length, 1), (0.0, 1.0, 0.0))
    weights = skin.weights.astype(np.float32)
    position = parts.array(vertices, "<f4", _VERTEX_BUFFER)
    stored = vertices.astype(np.float32)
    parts.tree["accessors"][position] |= {
        "min": stored.min(0).tolist(),
        "max": stored.max(0).tolist(),
    }
    parts.tree["materials"] = [
        {
            "name": "clay",
            "doubleSided": True,
            "pbrMetallicRoughness": {
                "baseColorFactor": list(CLAY),
                "metallicFactor": 0.0,
                "roughnessFactor": 0.8,
            },
        }
    ]
    return {
        "attributes": {
            "POSITION": position,
            "NORMAL": parts.array(normals, "<f4", _VERTEX_BUFFER),
            "JOINTS_0": parts.array(skin.joints, "<u2", _VERTEX_BUFFER),
            "WEIGHTS_0": parts.array(weights, "<f4", _VERTEX_BUFFER),
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
        self.chunks: list[bytes] = []
        self.length = 0

    def array(self, values: np.ndarray, dtype: str, target: int | None = None) -> int:
        """Adds (N, width) values; returns the accessor."""
        data = np.ascontiguousarray(values.astype(dtype)).tobytes()
        view = {"buffer": 0, "byteOffset": self.length, "byteLength": len(data)}
        self.tree["bufferViews"].append(view | ({"target": target} if target else {}))
        self.tree["accessors"].append(
            {
                "bufferView": len(self.tree["bufferViews"]) - 1,
                "componentType": _CODES[dtype],
                "count": len(values),
                "type": _TYPES[values.shape[1]],
            }
        )
        padding = b"\0" * (-len(data) % 4)
        self.chunks += [data, padding]
        self.length += len(data) + len(padding)
        return len(self.tree["accessors"]) - 1

    def bytes(self) -> bytes:
        """The file."""
        self.tree["buffers"] = [{"byteLength": self.length}]
        text = json.dumps(self.tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<II", len(text), 0x4E4F534A) + text
        body += struct.pack("<II", self.length, 0x004E4942) + b"".join(self.chunks)
        return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body
