"""Rigged GLB files, read back by two readers: the rest pose, a bent elbow, the tree, bad input."""

import io
from dataclasses import replace

import numpy as np
import pytest
from toys.bodies import together, tube
from toys.glbs import posed, prep, read_own

from geoflow.joints.rig import RiggedMesh
from geoflow.joints.skin import Skin, skin_mesh
from geoflow.joints.write import rigged_glb

JOINTS = np.array([[0, 0, 0], [0.35, 0.7, 0], [0.7, 0.7, 0], [1.05, 0.7, 0], [-0.6, 0.7, 0.0]])
PARENTS = np.array([-1, 0, 1, 2, 0])
NAMES = ["hips", "shoulder", "elbow", "wrist", "other"]
ELBOW = 2


@pytest.fixture(scope="module")
def figure():
    """A trunk with an arm to each side, from separate overlapping tubes."""
    trunk, arms = tube((0, -0.9, 0), (0, 0.9, 0), 0.15), tube((-1, 0.7, 0), (1.15, 0.7, 0))
    vertices, faces = together(trunk, arms)
    skin = skin_mesh(vertices, faces, JOINTS, PARENTS)
    return RiggedMesh(vertices, faces, JOINTS, PARENTS, np.ones(5, np.float32), NAMES, skin, "y")


def read_pygltflib(path):
    """The same by pygltflib."""
    pygltflib = pytest.importorskip("pygltflib")
    gltf = pygltflib.GLTF2().load(str(path))
    blob = gltf.binary_blob()
    kinds = {5123: "<u2", 5125: "<u4", 5126: "<f4"}

    def array(index):
        accessor = gltf.accessors[index]
        view = gltf.bufferViews[accessor.bufferView]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
        kind = kinds[accessor.componentType]
        flat = np.frombuffer(blob, kind, accessor.count * width, view.byteOffset)
        return flat.reshape(-1, width)

    attributes, skin = gltf.meshes[0].primitives[0].attributes, gltf.skins[0]
    inverse = array(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    nodes = [
        {"name": gltf.nodes[k].name, "translation": gltf.nodes[k].translation,
         "children": gltf.nodes[k].children}
        for k in skin.joints
    ]  # fmt: skip
    arrays = (attributes.POSITION, attributes.JOINTS_0, attributes.WEIGHTS_0)
    return (*map(array, arrays), inverse, nodes, skin.joints)


@pytest.mark.parametrize("reader", [read_own, read_pygltflib])
def test_rest_is_the_mesh_and_a_bent_elbow_moves_the_forearm_only(figure, tmp_path, reader):
    path, vertices = tmp_path / "a.glb", figure.vertices
    path.write_bytes(rigged_glb(figure))
    read = reader(path)
    assert [node["name"] for node in read[4]] == NAMES
    np.testing.assert_allclose(read[2].sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(posed(read), vertices, atol=1e-5)
    angle = np.radians(30)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    bent = posed(read, {ELBOW: turn})
    moved = np.linalg.norm(bent - vertices, axis=1)
    band = 0.15
    forearm = vertices[:, 0] > JOINTS[ELBOW, 0] + band
    rest = vertices[:, 0] < JOINTS[ELBOW, 0] - band
    want = (vertices - JOINTS[ELBOW]) @ turn.T + JOINTS[ELBOW]
    assert moved[rest].max() < 1e-5
    np.testing.assert_allclose(bent[forearm], want[forearm], atol=1e-5)
    assert forearm.sum() > 50 and moved[forearm].min() > 0.05


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_training_readers_rig_is_what_was_written(figure, scale):
    vertices = scale * figure.vertices
    rig = prep().read_rig(rigged_glb(replace(figure, vertices=vertices, joints=scale * JOINTS)))
    order = [rig.names.index(name) for name in NAMES]
    np.testing.assert_allclose(rig.joints[order], scale * JOINTS, atol=1e-6 * scale)
    np.testing.assert_allclose(rig.vertices, vertices, atol=1e-6 * scale)
    assert np.array_equal(rig.faces, figure.faces)
    parents = [rig.parents[k] for k in order]
    assert [NAMES[order.index(p)] if p >= 0 else None for p in parents] == [
        None if p < 0 else NAMES[p] for p in PARENTS
    ]


def test_trimesh_reads_the_same_triangles(figure):
    import trimesh

    data = io.BytesIO(rigged_glb(figure))
    whole = trimesh.load_scene(data, file_type="glb", process=False).to_geometry()
    np.testing.assert_allclose(whole.vertices, figure.vertices, atol=1e-6)
    assert np.array_equal(whole.faces, figure.faces)


def test_bad_arguments_are_one_line(figure):
    skin = figure.skin
    cases = [
        (dict(joints=JOINTS[:4]), "joints and names must be 5"),
        (dict(names=NAMES[:4]), "joints and names must be 5"),
        (dict(joints=np.full((5, 3), np.nan)), "finite"),
        (dict(parents=np.array([1, 0, 1, 2, 0])), "hold a cycle"),
        (dict(parents=np.array([-1, 0, 1, 2, 9])), "below 5"),
        (dict(skin=Skin(skin.joints[:3], skin.weights[:3])), "each of"),
        (dict(skin=Skin(skin.joints + 5, skin.weights)), "skin.joints"),
        (dict(skin=Skin(skin.joints, skin.weights * 2)), "sum to 1"),
        (dict(up="x"), "up must be one of y, z"),
    ]
    for change, text in cases:
        with pytest.raises(ValueError, match=text):
            rigged_glb(replace(figure, **change))
