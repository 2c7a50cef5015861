"""Colours of users' mesh files: vertices, faces, embedded pictures, and several parts."""

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

from geoflow.io import colours
from geoflow.io import meshes as export
from geoflow.io.colours import read_coloured_mesh, read_npz_mesh


def box(**arguments) -> trimesh.Trimesh:
    return trimesh.creation.box(**arguments)


def painted() -> trimesh.Trimesh:
    """A box whose vertices are coloured by their place."""
    mesh = box()
    rgb = np.rint(255 * (mesh.vertices + 0.5)).astype(np.uint8)
    mesh.visual.vertex_colors = np.hstack([rgb, np.full((8, 1), 255, np.uint8)])
    return mesh


def textured(picture: np.ndarray) -> trimesh.Trimesh:
    mesh = box()
    material = PBRMaterial(baseColorTexture=Image.fromarray(picture))
    mesh.visual = TextureVisuals(uv=mesh.vertices[:, :2] + 0.5, material=material)
    return mesh


PICTURE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".ply", ".glb", ".obj"])
def test_vertex_colours(suffix, tmp_path):
    path = tmp_path / f"box{suffix}"
    painted().export(path)
    vertices, faces, look = read_coloured_mesh(path)
    assert look is not None and look.texels is None
    assert np.abs(look.corners - (vertices[faces] + 0.5)).max() < 0.01


def test_face_colours(tmp_path):
    mesh = box()
    mesh.visual.face_colors = np.tile([[255, 0, 51, 255]], (12, 1))
    mesh.export(tmp_path / "box.ply")
    _, _, look = read_coloured_mesh(tmp_path / "box.ply")
    assert look is not None and np.allclose(look.corners, [1, 0, 0.2])


def test_a_picture_inside_of_a_glb(tmp_path):
    textured(PICTURE).export(tmp_path / "box.glb")
    vertices, faces, look = read_coloured_mesh(tmp_path / "box.glb")
    assert look is not None and look.texels is not None and look.pictures is not None
    assert np.array_equal(look.texels.reshape(4, 6, 3), PICTURE)
    assert (look.pictures == [0, 6, 4]).all()
    assert np.allclose(look.corners, vertices[faces][:, :, :2] + 0.5, atol=1e-5)


def test_parts_with_pictures_vertex_colours_and_a_plain_material(tmp_path):
    plain = box()
    plain.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=[0, 255, 0, 255]))
    parts = {"a": textured(PICTURE), "b": painted(), "c": plain, "d": textured(PICTURE[:2])}
    scene = trimesh.Scene()
    for i, (name, part) in enumerate(parts.items()):
        scene.add_geometry(part.apply_translation([3 * i, 0, 0]), geom_name=name)
    scene.export(tmp_path / "four.glb")
    vertices, faces, look = read_coloured_mesh(tmp_path / "four.glb")
    assert look is not None and look.texels is not None and look.pictures is not None
    first, width, height = look.pictures.T
    assert (first + width * height <= len(look.texels)).all() and len(look.corners) == len(faces)
    place = np.rint(vertices[faces].mean(1)[:, 0] / 3).astype(int)
    for part, size in ((0, (6, 4)), (3, (6, 2)), (1, (1, 1)), (2, (1, 1))):
        assert (look.pictures[place == part, 1:] == size).all()
    assert (look.texels[first[place == 2]] == [0, 255, 0]).all()
    middle = (vertices[faces].mean(1)[place == 1] - [3, 0, 0] + 0.5) * 255
    assert np.abs(look.texels[first[place == 1]] - middle).max() < 1.5


def test_files_without_colours_have_none(tmp_path):
    for name in ("box.stl", "box.ply", "box.obj", "box.glb"):
        export.write_mesh(tmp_path / name, box().vertices, box().faces)
        vertices, faces, look = read_coloured_mesh(tmp_path / name)
        assert look is None
        known = export.read_mesh(tmp_path / name)
        assert np.array_equal(vertices, known[0]) and np.array_equal(faces, known[1])


def test_too_large_pictures_clouds_and_rubbish_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(colours, "MAX_PIXELS", 20)
    textured(PICTURE).export(tmp_path / "box.glb")
    with pytest.raises(ValueError, match="at most 20 pixels; it has 6 x 4"):
        read_coloured_mesh(tmp_path / "box.glb")
    trimesh.PointCloud(np.random.rand(9, 3)).export(tmp_path / "cloud.ply")
    with pytest.raises(export.NoFacesError):
        read_coloured_mesh(tmp_path / "cloud.ply")
    (tmp_path / "bad.glb").write_bytes(b"glTF" + bytes(30))
    with pytest.raises(ValueError, match=r"bad\.glb"):
        read_coloured_mesh(tmp_path / "bad.glb")


def test_arrays_with_colours_of_vertices(tmp_path):
    mesh, rgb = box(), np.random.default_rng(0).uniform(0, 1, (8, 3))
    arrays = {"vertices": mesh.vertices, "faces": mesh.faces}
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez(tmp_path / "painted.npz", **arrays, colours=rgb)
    vertices, faces, look = read_npz_mesh(tmp_path / "plain.npz")
    assert np.array_equal(vertices, mesh.vertices) and np.array_equal(faces, mesh.faces)
    assert look is None
    look = read_npz_mesh(tmp_path / "painted.npz")[2]
    assert look is not None and look.texels is None
    assert np.array_equal(look.corners, rgb.astype(np.float32)[mesh.faces])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"faces": None}, r"must hold the arrays vertices and faces; it has \['vertices'\]"),
        ({"faces": np.array([[0, 1, 8]])}, "face indices must lie in 0..7"),
        ({"vertices": np.full((8, 3), "a")}, "vertices must be numbers"),
        ({"colours": np.full((8, 3), 255)}, r"RGB in \[0, 1\]"),
        ({"colours": np.full((8, 3), 1.5)}, r"RGB in \[0, 1\]"),
        ({"colours": np.full((7, 3), 0.5)}, r"RGB in \[0, 1\]"),
        ({"faces": np.array([object()])}, "cannot be read as .npz"),  # never unpickled
    ],
)
def test_arrays_that_are_no_mesh(tmp_path, change, says):
    arrays = {"vertices": box().vertices, "faces": box().faces} | change
    path = tmp_path / "a.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=f"a.npz: .*{says}"):
        read_npz_mesh(path)
