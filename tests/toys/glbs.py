"""Rigged GLB files: built byte by byte, read by data_prep, and posed."""

import json
import struct
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from loading import load_module

from toys.bodies import box

ROOT = Path(__file__).resolve().parents[2]


TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
CODES = {"float32": 5126, "uint8": 5121, "uint32": 5125}


class GlbBuilder:
    """Collects arrays; `bytes()` gives the file."""

    def __init__(self):
        self.tree = {"asset": {"version": "2.0"}, "accessors": [], "bufferViews": []}
        self.tree |= {"nodes": [], "meshes": [], "skins": []}
        self.binary = b""

    def array(self, values, dtype):
        values = np.asarray(values, dtype)
        values = values.reshape(len(values), -1)
        self.tree["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.binary), "byteLength": values.nbytes}
        )
        self.binary += values.tobytes() + b"\0" * (-values.nbytes % 4)
        self.tree["accessors"].append(
            {
                "bufferView": len(self.tree["bufferViews"]) - 1,
                "componentType": CODES[dtype],
                "count": len(values),
                "type": TYPES[values.shape[1]],
            }
        )
        return len(self.tree["accessors"]) - 1

    def node(self, **parts):
        self.tree["nodes"].append(parts)
        return len(self.tree["nodes"]) - 1

    def mesh(self, vertices, faces, joints=None, weights=None):
        attributes = {"POSITION": self.array(vertices, "float32")}
        if joints is not None:
            attributes["JOINTS_0"] = self.array(joints, "uint8")
            attributes["WEIGHTS_0"] = self.array(weights, "float32")
        part = {"attributes": attributes, "indices": self.array(np.ravel(faces), "uint32")}
        self.tree["meshes"].append({"primitives": [part]})
        return len(self.tree["meshes"]) - 1

    def bytes(self):
        self.tree["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.tree).encode()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<II", len(text), 0x4E4F534A) + text
        body += struct.pack("<II", len(self.binary), 0x004E4942) + self.binary
        return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body


def post(scene_turn=(0, 0, 0, 1), joint_turn=(0, 0, 0, 1)):
    """A post of two bones in a hidden-core box, with helpers, a sword and a pose that is not bind.

    Joints in the bind pose: root (0, 0, 0) without weight, lower (0, 0.5, 0), upper (0, 1, 0),
    upper_end and an IK target without weight. The post is 2 high and 0.4 wide; a core of 0.1 is
    inside it. The sword is a box on `upper`, from (0.2, 1.4, 0) in the bind pose.
    """
    glb = GlbBuilder()
    outer, faces = box((-0.2, 0, -0.2), (0.2, 2, 0.2))
    core, _ = box((-0.05, 0.5, -0.05), (0.05, 1.5, 0.05))
    vertices = np.concatenate((outer, core))
    every = np.concatenate((faces, faces + 8))
    which = np.zeros((16, 4))
    which[:, 0] = np.where(vertices[:, 1] > 1, 2, 1)
    weights = np.tile([1.0, 0, 0, 0], (16, 1))
    body = glb.mesh(vertices, every, which, weights)
    sword = glb.mesh(*box((0, 0, 0), (1, 0.1, 0.1)))
    names = ("root", "lower", "upper", "upper_end", "IK_hand")
    heads = np.array([[0, 0, 0], [0, 0.5, 0], [0, 1, 0], [0, 1.9, 0], [0.7, 0, 0]])
    nodes = [glb.node(name=name) for name in names]
    parent = {1: 0, 2: 1, 3: 2, 4: 0}
    for child, above in parent.items():
        glb.tree["nodes"][above].setdefault("children", []).append(child)
        glb.tree["nodes"][child]["translation"] = (heads[child] - heads[above]).tolist()
    glb.tree["nodes"][2]["rotation"] = list(joint_turn)  # a pose, not the bind
    held = glb.node(mesh=sword, translation=[0.2, 0.4, 0])
    glb.tree["nodes"][2]["children"].append(held)
    glb.node(mesh=body, skin=0)
    inverse = np.tile(np.eye(4), (5, 1, 1))
    inverse[:, :3, 3] = -heads
    inverse = glb.array(inverse.transpose(0, 2, 1).reshape(5, 16), "float32")
    glb.tree["skins"] = [{"joints": nodes, "inverseBindMatrices": inverse}]
    top = glb.node(children=[0], rotation=list(scene_turn))
    assert top
    return glb


@cache
def prep() -> ModuleType:
    """data_prep's reader of rigged files."""
    return load_module("data_prep_characters", ROOT / "data_prep" / "characters.py")


def read_own(path):
    """Arrays of the file by data_prep's reader: positions, joints, weights, inverse, nodes."""
    glb = prep().Glb(path.read_bytes())
    attributes = glb.tree["meshes"][0]["primitives"][0]["attributes"]
    arrays = [glb.array(attributes[k]) for k in ("POSITION", "JOINTS_0", "WEIGHTS_0")]
    skin = glb.tree["skins"][0]
    inverse = glb.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    return (*arrays, inverse, [glb.nodes[k] for k in skin["joints"]], skin["joints"])


def posed(read, turns=None):
    """(V, 3) linear blend skinning of what was read; turns: joint -> (3, 3)."""
    points, which, weights, inverse, nodes, ids = read
    above = {c: k for k, node in zip(ids, nodes, strict=True) for c in node.get("children") or ()}

    def world(node):
        local = np.eye(4)
        local[:3, 3] = nodes[ids.index(node)]["translation"]
        local[:3, :3] = (turns or {}).get(ids.index(node), np.eye(3))
        return local if node not in above else world(above[node]) @ local

    matrices = np.stack([world(node) for node in ids]) @ inverse.astype(float)
    homogeneous = np.concatenate((points, np.ones((len(points), 1))), 1)
    moved = np.einsum("vkij,vj->vki", matrices[which.astype(int)], homogeneous)[..., :3]
    return (moved * weights[..., None]).sum(1)
