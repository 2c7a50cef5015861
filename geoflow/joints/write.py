"""A rig as a file: a .glb, which Blender and game engines open, RigNet's text, or JSON.

In a .glb the joints are nodes without rotation in the rest pose, children below parents, under one
node "Armature"; the inverse bind matrices move every joint to the origin. So the rest pose is the
mesh itself. Coordinates are written as they are given. A .glb is y up and faces +z by
specification; of a character that is z up and faces -y the root nodes hold the turn.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from geoflow.checks import one_of
from geoflow.files import check_target, write_atomically
from geoflow.geometry.mesh import vertex_normals
from geoflow.io.arrays import check_mesh
from geoflow.io.meshes import CLAY
from geoflow.joints.rig import RiggedMesh
from geoflow.joints.tree import check_tree

_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_CODES = {"<u2": 5123, "<u4": 5125, "<f4": 5126}
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963
_TURNS = {"y": {}, "z": {"rotation": [-(0.5**0.5), 0.0, 0.0, 0.5**0.5]}}  # by -90 degrees about x
_CLAY = {"baseColorFactor": list(CLAY), "metallicFactor": 0.0, "roughnessFactor": 0.8}


def write_rig(path: str | Path, rig: RiggedMesh, *, overwrite: bool = False) -> Path:
    """Writes .glb, .txt (RigNet's) or .json, whole or not at all.

    A .glb is y up for its readers, whatever the mesh's own frame; the others are in that frame.

    Raises:
        ValueError: another suffix, no such folder, the file exists and `overwrite` is False, or the
            rig's arrays do not fit together (`rigged_glb`).
        OSError: the disk is full or the folder not writable.
    """
    path = Path(path)
    writers = {".glb": rigged_glb, ".txt": rignet_text, ".json": skeleton_json}
    if path.suffix.lower() not in writers:
        raise ValueError(f"path must end in one of {' '.join(writers)}; got {path.name!r}")
    check_target(path, overwrite=overwrite)
    write_atomically(path, writers[path.suffix.lower()](rig), sync=False)
    return path


def rignet_text(rig: RiggedMesh) -> bytes:
    """RigNet's text: lines of joints, root, skin and hierarchy."""
    names, above = rig.names, list(zip(rig.names, rig.parents, strict=True))
    places = zip(names, rig.joints, strict=True)
    lines = [f"joints {n} {x:.8g} {y:.8g} {z:.8g}" for n, (x, y, z) in places]
    lines += [f"root {n}" for n, p in above if p < 0]
    for k, (which, weights) in enumerate(zip(rig.skin.joints, rig.skin.weights, strict=True)):
        pairs = [f"{names[j]} {w:.6g}" for j, w in zip(which, weights, strict=True) if w > 0]
        lines.append(f"skin {k} " + " ".join(pairs))
    lines += [f"hier {names[p]} {n}" for n, p in above if p >= 0]
    return ("\n".join(lines) + "\n").encode()


def skeleton_json(rig: RiggedMesh) -> bytes:
    """Joints, parents, names and confidence; no weights."""
    table = {
        "up": rig.up,
        "names": rig.names,
        "parents": rig.parents.tolist(),
        "joints": rig.joints.tolist(),
        "confidence": [round(float(c), 4) for c in rig.confidence],
    }
    return (json.dumps(table, indent=1) + "\n").encode()


def rigged_glb(rig: RiggedMesh) -> bytes:
    """A rig as the bytes of a .glb file; there may be several roots.

    Raises:
        ValueError: arrays that do not fit together, or parents that form no tree.
    """
    _check(rig)
    count, parts = len(rig.joints), _Parts()
    parts.tree["nodes"] = [
        *(_node(rig, k) for k in range(count)),
        {"name": "Armature", "children": np.flatnonzero(rig.parents < 0).tolist()} | _TURNS[rig.up],
        # A reader that knows skins takes the Armature's turn alone, one that does not, this one.
        {"name": "character", "mesh": 0, "skin": 0} | _TURNS[rig.up],
    ]
    parts.tree["materials"] = [{"name": "clay", "doubleSided": True, "pbrMetallicRoughness": _CLAY}]
    parts.tree["meshes"] = [{"name": "mesh", "primitives": [_primitive(parts, rig)]}]
    inverse = np.tile(np.eye(4), (count, 1, 1))
    inverse[:, 3, :3] = -rig.joints  # column by column, as glTF stores matrices
    matrices = parts.array(inverse.reshape(-1, 16), target=None)
    skin = {"inverseBindMatrices": matrices, "joints": list(range(count)), "skeleton": count}
    parts.tree["skins"] = [skin]
    parts.tree["scenes"], parts.tree["scene"] = [{"nodes": [count, count + 1]}], 0
    return parts.bytes()


def _check(rig: RiggedMesh) -> None:
    one_of("up", rig.up, _TURNS)
    check_mesh(rig.vertices, rig.faces)
    check_tree(rig.parents)
    j, shape, skin = len(rig.parents), (len(rig.vertices), 4), rig.skin
    if rig.joints.shape != (j, 3) or not np.isfinite(rig.joints).all() or len(rig.names) != j:
        raise ValueError(
            f"joints and names must be {j}, one a parent, and joints finite (J, 3); got "
            f"{rig.joints.shape} and {len(rig.names)}"
        )
    if skin.joints.shape != shape or skin.weights.shape != shape:
        raise ValueError(
            f"skin must hold 4 joints and weights for each of {shape[0]} vertices; got "
            f"{skin.joints.shape} and {skin.weights.shape}"
        )
    if skin.joints.min() < 0 or skin.joints.max() >= j:
        raise ValueError(f"skin.joints must lie in 0..{j - 1}; they go to {skin.joints.max()}")
    if not (skin.weights >= 0).all() or np.abs(skin.weights.sum(1) - 1).max() > 1e-4:
        raise ValueError("skin.weights must be at least 0 and sum to 1 for every vertex")


def _node(rig: RiggedMesh, k: int) -> dict[str, Any]:
    """A joint as a node, from its parent on."""
    parent, children = rig.parents[k], np.flatnonzero(rig.parents == k).tolist()
    offset = rig.joints[k] - (rig.joints[parent] if parent >= 0 else 0)
    below = {"children": children} if children else {}
    return {"name": rig.names[k], "translation": offset.tolist()} | below


def _primitive(parts: _Parts, rig: RiggedMesh) -> dict[str, Any]:
    """The triangles with their attributes."""
    position, stored = parts.array(rig.vertices), rig.vertices.astype(np.float32)
    extent = {"min": stored.min(0).tolist(), "max": stored.max(0).tolist()}
    parts.tree["accessors"][position] |= extent
    return {
        "attributes": {
            "POSITION": position,
            "NORMAL": parts.array(vertex_normals(rig.vertices, rig.faces)),
            "JOINTS_0": parts.array(rig.skin.joints, "<u2"),
            "WEIGHTS_0": parts.array(rig.skin.weights),
        },
        "indices": parts.array(rig.faces.reshape(-1, 1), "<u4", _INDEX_BUFFER),
        "material": 0,
        "mode": 4,
    }


class _Parts:
    """Collects the JSON and the binary of a GLB."""

    def __init__(self) -> None:
        asset = {"version": "2.0", "generator": "geoflow"}
        self.tree: dict[str, Any] = {"asset": asset, "accessors": [], "bufferViews": []}
        self.binary = bytearray()

    def array(
        self, values: np.ndarray, dtype: str = "<f4", target: int | None = _VERTEX_BUFFER
    ) -> int:
        """Adds (N, width) values, an attribute of vertices unless told; returns the accessor."""
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
        self.tree["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<II", len(text), 0x4E4F534A) + text
        body += struct.pack("<II", len(self.binary), 0x004E4942) + self.binary
        return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body
