"""Converts rigged characters (GLB) into geoflow's training format.

    python data_prep/characters.py SOURCE... --out OUT.npz

SOURCE is a folder or zip of PACK/NAME.glb; the pack is what splits are made of. The bind pose
comes from the inverse bind matrices, whatever pose the nodes are in. Joints with skin weight and
their ancestors are kept, `_end` and IK bones without weight are not. Parts that hang on a joint
without a skin (weapons, heads) belong to it. Only what is seen from outside is sampled. A file
that cannot be read is named on stderr and left out. Needs numpy, torch, typer.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

from parts.character_file import to_character
from parts.sources import find_sources

from geoflow.cli import script
from geoflow.geometry import fit_frame, sample_outside
from geoflow.joints import Character, write_characters

MAX_FACES = 500_000
LEAST_WEIGHT = 1e-3
_HELPERS = re.compile(r"(_end$|_leaf$|\bik|^ik|ik$|[._]ik[._]|ik[._]|pole|control)", re.IGNORECASE)
_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class Rig:
    """A skinned mesh in its bind pose.

    Attributes:
        vertices: (V, 3); faces: (F, 3).
        joints: (J, 3); parents: (J,) -1 for a root; names: J.
        loads: (J,) sum of skin weights.
    """

    vertices: np.ndarray
    faces: np.ndarray
    joints: np.ndarray
    parents: np.ndarray
    names: tuple[str, ...]
    loads: np.ndarray


class Glb:
    """The parts of a GLB file that a rig is made of.

    Args:
        data: the file's bytes.

    Raises:
        ValueError: not a GLB, or damaged.
    """

    def __init__(self, data: bytes) -> None:
        if data[:4] != b"glTF" or len(data) < 20:
            raise ValueError('a GLB must begin with "glTF"; this file does not')
        chunks, at = {}, 12
        while at + 8 <= len(data):
            length, kind = struct.unpack_from("<II", data, at)
            chunks.setdefault(kind, data[at + 8 : at + 8 + length])
            at += 8 + length
        try:
            self.tree: dict[str, Any] = json.loads(chunks[0x4E4F534A])
            self.nodes: list[dict[str, Any]] = self.tree["nodes"]
        except (KeyError, ValueError, TypeError):
            raise ValueError("a GLB must hold a JSON scene; this one is damaged") from None
        self.binary = chunks.get(0x004E4942, b"")
        self.above = {c: n for n, node in enumerate(self.nodes) for c in node.get("children", ())}

    def array(self, index: int) -> np.ndarray:
        """Accessor -> (N, width), integers scaled to [0, 1] where they are normalised."""
        accessor = self.tree["accessors"][index]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise ValueError("sparse accessors are not read; export the file without them")
        view = self.tree["bufferViews"][accessor["bufferView"]]
        dtype = np.dtype(_DTYPES[accessor["componentType"]])
        width, count = _WIDTHS[accessor["type"]], accessor["count"]
        stride = view.get("byteStride", width * dtype.itemsize)
        begin = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        need = begin + stride * (count - 1) + width * dtype.itemsize
        if view.get("buffer", 0) != 0 or begin < 0 or need > len(self.binary) or count < 1:
            raise ValueError("accessors must lie inside the file; one does not; it is damaged")
        out = np.ndarray((count, width), dtype, self.binary, begin, (stride, dtype.itemsize))
        if accessor.get("normalized"):
            return out / np.float32(np.iinfo(dtype).max)
        return out.copy()

    def local(self, index: int) -> np.ndarray:
        """(4, 4) a node's own transform."""
        node = self.nodes[index]
        if "matrix" in node:
            return np.array(node["matrix"], float).reshape(4, 4).T
        x, y, z, w = node.get("rotation", (0, 0, 0, 1))
        out = np.eye(4)
        out[:3, :3] = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        ) * np.array(node.get("scale", (1, 1, 1)))
        out[:3, 3] = node.get("translation", (0, 0, 0))
        return out

    def path_up(self, index: int) -> list[int]:
        """A node, its parent, and so on to the top."""
        path = [index]
        while path[-1] in self.above:
            path.append(self.above[path[-1]])
            if len(path) > len(self.nodes):
                raise ValueError("nodes must form a tree; they hold a cycle")
        return path

    def world(self, index: int, top: int | None = None) -> np.ndarray:
        """(4, 4) a node's transform in the scene, or relative to its ancestor `top`."""
        out = np.eye(4)
        for node in self.path_up(index):
            if node == top:
                break
            out = self.local(node) @ out
        return out


def upright(matrix: np.ndarray) -> np.ndarray:
    """(3, 3) the turn by right angles nearest to a transform's linear part."""
    u, _, v = np.linalg.svd(matrix[:3, :3])
    turn, out = u @ v, np.zeros((3, 3))
    for _ in range(3):
        i, j = np.unravel_index(np.abs(turn).argmax(), (3, 3))
        out[i, j] = np.sign(turn[i, j])
        turn[i], turn[:, j] = 0, 0
    return out


def read_rig(data: bytes) -> Rig:
    """A GLB's bytes -> mesh and joints in the bind pose, in the scene's axes.

    Raises:
        ValueError: no skin, damaged, too large, or not finite.
    """
    glb = Glb(data)
    skins = glb.tree.get("skins")
    if not skins:
        raise ValueError("a character must have a skin; this file has none; export it rigged")
    bind = _bind_matrices(glb, skins)
    order = sorted(bind, key=lambda node: len(glb.path_up(node)))
    number = {node: k for k, node in enumerate(order)}
    loads = np.zeros(len(order))
    vertices, faces, total = [], [], 0
    for node, item in enumerate(glb.nodes):
        if "mesh" not in item:
            continue
        holder = next((n for n in glb.path_up(node) if n in bind), None)
        for part in glb.tree["meshes"][item["mesh"]]["primitives"]:
            if part.get("mode", 4) != 4 or ("skin" not in item and holder is None):
                continue
            place = glb.array(part["attributes"]["POSITION"]).astype(float)
            if "skin" in item:
                place = _to_first_bind(glb, skins[item["skin"]], bind, place)
                _add_loads(glb, part["attributes"], skins[item["skin"]], number, loads)
            else:
                place = _apply(bind[holder] @ glb.world(node, holder), place)
                loads[number[holder]] += len(place)
            index = glb.array(part["indices"])[:, 0] if "indices" in part else None
            index = np.arange(len(place)) if index is None else index.astype(int)
            if index.max(initial=0) >= len(place):
                raise ValueError("faces must refer to vertices; one does not; the file is damaged")
            faces.append(index[: len(index) // 3 * 3].reshape(-1, 3) + total)
            vertices.append(place)
            total += len(place)
    if not faces or sum(map(len, faces)) > MAX_FACES:
        raise ValueError(f"a character must have 1 to {MAX_FACES:,} faces; simplify it")
    turn = upright(glb.world(order[0]) @ np.linalg.inv(bind[order[0]]))
    joints = np.stack([bind[node][:3, 3] for node in order]) @ turn.T
    every = np.concatenate(vertices) @ turn.T
    if not (np.isfinite(every).all() and np.isfinite(joints).all()):
        raise ValueError("positions must be finite; the file holds NaN or infinity")
    parents = [
        next((number[n] for n in glb.path_up(node)[1:] if n in number), -1) for node in order
    ]
    names = tuple(str(glb.nodes[node].get("name", f"joint{node}")) for node in order)
    return Rig(every, np.concatenate(faces), joints, np.array(parents), names, loads)


def _bind_matrices(glb: Glb, skins: list[dict[str, Any]]) -> dict[int, np.ndarray]:
    """Joint node -> (4, 4) its transform in the bind pose; the first skin that has it decides."""
    bind: dict[int, np.ndarray] = {}
    for skin in skins:
        nodes = skin["joints"]
        if "inverseBindMatrices" in skin:
            inverse = glb.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        else:
            inverse = np.tile(np.eye(4), (len(nodes), 1, 1))
        if len(inverse) < len(nodes) or max(nodes) >= len(glb.nodes):
            raise ValueError("a skin must have a matrix a joint; the file is damaged")
        for node, matrix in zip(nodes, inverse.astype(float), strict=False):
            if not abs(np.linalg.det(matrix)) > 1e-30:
                raise ValueError("bind matrices must be invertible; one is not")
            bind.setdefault(node, np.linalg.inv(matrix))
    return bind


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _to_first_bind(
    glb: Glb, skin: dict[str, Any], bind: dict[int, np.ndarray], place: np.ndarray
) -> np.ndarray:
    """A later skin may be bound in another frame; joints that it shares tell which."""
    if "inverseBindMatrices" not in skin:
        return place
    inverse = glb.array(skin["inverseBindMatrices"])[0].reshape(4, 4).T.astype(float)
    return _apply(bind[skin["joints"][0]] @ inverse, place)


def _add_loads(
    glb: Glb,
    attributes: dict[str, int],
    skin: dict[str, Any],
    number: dict[int, int],
    loads: np.ndarray,
) -> None:
    """Adds the skin weights of a part to its joints."""
    rows = np.array([number[node] for node in skin["joints"]])
    for key in (name for name in attributes if name.startswith("JOINTS_")):
        which = glb.array(attributes[key]).astype(int)
        weight = glb.array(attributes[key.replace("JOINTS", "WEIGHTS")]).astype(float)
        if which.max(initial=0) >= len(rows) or which.shape != weight.shape:
            raise ValueError("skin weights must refer to joints; one does not; it is damaged")
        np.add.at(loads, rows[which], weight)


def used_joints(rig: Rig) -> np.ndarray:
    """Indices of joints with skin weight and their ancestors, without helpers that carry none."""
    carries = rig.loads > LEAST_WEIGHT * max(rig.loads.sum(), 1e-9) / len(rig.loads)
    keep = carries.copy()
    for k in np.flatnonzero(carries):
        at = rig.parents[k]
        while at >= 0:
            keep[at] = True
            at = rig.parents[at]
    helper = np.array([bool(_HELPERS.search(name)) for name in rig.names])
    return np.flatnonzero(keep & (carries | ~helper))


def sample_rig(rig: Rig, name: str, count: int) -> Character:
    """Samples a rig and brings it into the training frame.

    Args:
        rig: from `read_rig`.
        name: "<pack>/<name>"; also seeds the samples.
        count: surface points.

    Raises:
        ValueError: no joint carries weight, or nothing can be sampled.
    """
    keep = used_joints(rig)
    if len(keep) < 2:
        raise ValueError(f"a character must have 2 joints with skin weight; it has {len(keep)}")
    number = {int(old): new for new, old in enumerate(keep)}
    parents = []
    for old in keep:
        at = int(rig.parents[old])
        while at >= 0 and at not in number:
            at = int(rig.parents[at])
        parents.append(number.get(at, -1))
    rng = np.random.default_rng(list(name.encode()))
    frame = fit_frame(rig.vertices[np.unique(rig.faces)])
    vertices = frame.into_cube(rig.vertices)
    points, normals, _ = sample_outside(vertices, rig.faces, count, rng, oversample=64)
    joints = frame.into_cube(rig.joints[keep])
    names = tuple(rig.names[k] for k in keep)
    return to_character(name, "creature", (points, normals), joints, np.array(parents), names)


def main(
    sources: Annotated[list[Path], typer.Argument(help="Folders or zips of PACK/NAME.glb.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    points: Annotated[int, typer.Option(help="Surface points a character.", min=64)] = 4096,
) -> None:
    """Write all characters of SOURCES to OUT."""
    characters = []
    for source in find_sources(sources, (".glb",), "PACK"):
        try:
            characters.append(sample_rig(read_rig(source.read()), source.name, points))
        except (ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile) as error:
            print(f"{source.name}: {error}; left out", file=sys.stderr)
    write_characters(out, characters)
    print(f"{out}: {len(characters)} characters")


app = script(main)

if __name__ == "__main__":
    app()
