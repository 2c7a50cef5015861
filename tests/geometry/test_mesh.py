"""Cleaning, measuring and placing meshes."""

import dataclasses

import numpy as np
import pytest
import trimesh

from geoflow.geometry import isosurface, mesh


def box(centre=(0, 0, 0), sides=(1, 1, 1), inside_out=False):
    solid = trimesh.creation.box(extents=sides)
    faces = solid.faces[:, ::-1] if inside_out else solid.faces
    return np.asarray(solid.vertices) + centre, np.asarray(faces, dtype=np.int64)


def joined(*parts):
    vertices = np.concatenate([part[0] for part in parts])
    starts = np.cumsum([0] + [len(part[0]) for part in parts[:-1]])
    return vertices, np.concatenate([f + s for (_, f), s in zip(parts, starts, strict=True)])


def sphere_grid(resolution=32, radius=0.6):
    at = -1 + (np.arange(resolution) + 0.5) * 2 / resolution
    x, y, z = np.meshgrid(at, at, at, indexing="ij")
    return np.clip(np.sqrt(x * x + y * y + z * z) - radius, -0.1, 0.1).astype(np.float32)


def damaged_boxes():
    faces = box()[1]
    flipped = faces.copy()
    flipped[0] = flipped[0, ::-1]
    return {
        "whole": faces,
        "one face missing": faces[1:],
        "two faces missing": faces[2:],
        "one face flipped": flipped,
        "one face twice": np.concatenate([faces, faces[:1]]),
        "all faces twice": np.concatenate([faces, faces]),
        "both orientations": np.concatenate([faces, faces[:, ::-1]]),
        "face with a repeated corner": np.concatenate([faces, [[0, 0, 1]]]),
        "inside out": faces[:, ::-1],
    }


@pytest.mark.parametrize("name", damaged_boxes())
def test_is_watertight_agrees_with_trimesh(name):
    faces = damaged_boxes()[name]
    whole = trimesh.Trimesh(box()[0], faces, process=False)
    expected = whole.is_watertight and whole.is_winding_consistent
    assert mesh.is_watertight(faces) == expected
    assert expected == (name in ("whole", "inside out"))


def test_no_faces_are_not_watertight():
    assert not mesh.is_watertight(np.zeros((0, 3), dtype=np.int64))


def test_volume_has_a_sign_and_no_origin():
    vertices, faces = box(centre=(50, -20, 3), sides=(1, 2, 3))
    assert mesh.signed_volume(vertices, faces) == pytest.approx(6)
    assert mesh.signed_volume(vertices, faces[:, ::-1]) == pytest.approx(-6)
    assert mesh.face_areas(vertices, faces).sum() == pytest.approx(22)


def test_normals_of_a_box_do_not_depend_on_its_diagonals():
    vertices, faces = box()
    expected = np.sign(vertices) / np.sqrt(3)  # area weights would lean towards split sides
    np.testing.assert_allclose(mesh.vertex_normals(vertices, faces), expected, atol=1e-12)


def test_normals_of_an_extracted_sphere():
    vertices, faces = isosurface.extract_surface(sphere_grid(48))
    cosine = (mesh.vertex_normals(vertices, faces) * vertices).sum(1)
    angle = np.degrees(np.arccos(np.clip(cosine / np.linalg.norm(vertices, axis=1), -1, 1)))
    assert angle.mean() < 0.8 and angle.max() < 5


def test_normals_are_unit_even_without_faces():
    vertices = np.concatenate([box()[0], [[9.0, 9.0, 9.0]]])
    normals = mesh.vertex_normals(vertices, box()[1])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    np.testing.assert_array_equal(normals[-1], [0, 1, 0])


def test_fragments_go_and_large_parts_stay():
    big, second = box(sides=(2, 2, 2)), box(centre=(5, 0, 0))
    crumbs = [box(centre=(0, 3 + i, 0), sides=(0.1, 0.1, 0.1)) for i in range(3)]
    vertices, faces, removed = mesh.remove_fragments(*joined(crumbs[0], big, *crumbs[1:], second))
    assert removed == 3 and len(vertices) == 16 and len(faces) == 24
    assert mesh.is_watertight(faces) and mesh.signed_volume(vertices, faces) == pytest.approx(9)


@pytest.mark.parametrize("share, dropped", [(0.009, 1), (0.011, 0)])
def test_a_fragment_has_less_than_a_hundredth_of_the_whole_area(share, dropped):
    side = (share / (1 - share)) ** 0.5
    assert mesh.remove_fragments(*joined(box(), box((5, 0, 0), (side,) * 3)))[2] == dropped


def test_the_largest_solid_stays_whatever_its_share(monkeypatch):
    monkeypatch.setattr(mesh, "FRAGMENT", 0.9)
    many = [box(centre=(3 * i, 0, 0), sides=(1 + i / 100,) * 3) for i in range(5)]
    vertices, _, removed = mesh.remove_fragments(*joined(*many))
    assert removed == 4 and np.ptp(vertices[:, 0]) == pytest.approx(1.04)


def test_large_hollow_stays_facing_inward_small_one_is_filled():
    outer, hollow = box(sides=(4, 4, 4)), box(sides=(2, 2, 2), inside_out=True)
    bubble = box(centre=(1.5, 1.5, 1.5), sides=(0.2,) * 3, inside_out=True)
    vertices, faces, removed = mesh.remove_fragments(*joined(outer, hollow, bubble))
    assert removed == 1 and mesh.signed_volume(vertices, faces) == pytest.approx(64 - 8)


def test_a_hollow_goes_with_its_solid():
    main, hollow = box(sides=(4, 4, 4)), box(centre=(9, 0, 0), inside_out=True)
    vertices, faces, removed = mesh.remove_fragments(*joined(main, hollow))
    assert removed == 1 and mesh.signed_volume(vertices, faces) == pytest.approx(64)


def test_unused_vertices_are_no_fragments():
    vertices, faces = box()
    cleaned, same, removed = mesh.remove_fragments(
        np.concatenate([[[9.0] * 3], vertices]), faces + 1
    )
    assert removed == 0 and len(cleaned) == 8
    np.testing.assert_array_equal(same, faces)


METHODS = [
    pytest.param(mesh._decimate_open3d, marks=pytest.mark.skipif(
        not isosurface.has_open3d(), reason="open3d does not import here")),
    mesh._decimate_manifold,
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_decimate_stays_closed(method, monkeypatch):
    for other in ("_decimate_open3d", "_decimate_manifold"):
        monkeypatch.setattr(mesh, other, method)
    vertices, faces = isosurface.extract_surface(sphere_grid())
    few_vertices, few = mesh.decimate(vertices, faces, 600)
    assert 300 < len(few) <= 600 and mesh.is_watertight(few)
    assert mesh.signed_volume(few_vertices, few) == pytest.approx(4 / 3 * np.pi * 0.6**3, rel=0.05)
    assert np.abs(np.linalg.norm(few_vertices, axis=1) - 0.6).max() < 0.02
    assert len(np.unique(few)) == len(few_vertices)


def test_decimate_verifies_what_the_libraries_return(monkeypatch):
    vertices, faces = isosurface.extract_surface(sphere_grid(16))
    monkeypatch.setattr(mesh, "_decimate_open3d", lambda v, f, n: (v, f[:n]))  # open
    monkeypatch.setattr(mesh, "_decimate_manifold", lambda v, f, n: (0.5 * box()[0], box()[1]))
    with pytest.raises(ValueError, match="target_faces=100 is not reachable"):
        mesh.decimate(vertices, faces, 100)


def test_decimate_without_either_library(monkeypatch):
    monkeypatch.setattr(isosurface, "has_open3d", lambda: False)
    monkeypatch.setitem(__import__("sys").modules, "manifold3d", None)
    with pytest.raises(ValueError, match="install"):
        mesh.decimate(*isosurface.extract_surface(sphere_grid(16), backend="skimage"), 100)


def test_decimate_returns_small_meshes_and_refuses_bad_input():
    vertices, faces = box()
    assert mesh.decimate(vertices, faces, 12)[1] is faces
    with pytest.raises(ValueError, match="at least 4"):
        mesh.decimate(vertices, faces, 3)
    with pytest.raises(ValueError, match="watertight"):
        mesh.decimate(vertices, faces[1:], 8)


def test_surface_mesh_composes_everything():
    grid = sphere_grid(32)
    grid[2, 2, 2] = -0.08  # a crumb in a corner
    result = mesh.surface_mesh(grid, resolution=64, scale=0.5)
    assert result.fragments_removed == 1 and result.watertight
    np.testing.assert_allclose(result.vertices.min(axis=0), [-0.25, 0, -0.25], atol=2e-4)
    np.testing.assert_allclose(result.vertices.max(axis=0), [0.25, 0.5, 0.25], atol=2e-4)
    assert result.volume == pytest.approx(4 / 3 * np.pi * 0.25**3, rel=0.01)
    outward = result.vertices - [0, 0.25, 0]
    assert ((result.normals * outward).sum(1) > 0).all()
    assert len(mesh.surface_mesh(grid, 32).faces) < len(result.faces) / 3
    few = mesh.simplify(result, 500)
    assert len(few.faces) <= 500 and few.watertight and few.fragments_removed == 1
    assert mesh.simplify(few, 500) is few
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.volume = 1.0


def test_closed_once_equal_vertices_are_one():
    box = trimesh.creation.box()
    soup, faces = box.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3)
    soup = np.where(soup == 0, -0.0, soup)
    assert not mesh.is_watertight(faces) and mesh.is_closed(soup, faces)
    assert mesh.is_closed(box.vertices, box.faces)
    collapsed = np.concatenate([faces, [[0, 0, 1]]])  # no area: no edge of its own
    assert mesh.is_closed(soup, collapsed)
    assert not mesh.is_closed(soup, faces[1:]) and not mesh.is_closed(soup, faces[:0])
