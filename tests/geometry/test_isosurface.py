"""The surface of a grid: where it should be, closed, outward, the same every time."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from geoflow.geometry import isosurface, mesh

BACKENDS = [
    "skimage",
    pytest.param(
        "open3d",
        marks=pytest.mark.skipif(not isosurface.has_open3d(), reason="open3d does not import here"),
    ),
]
CENTRE = np.array([0.05, -0.1, 0.2])


def sphere(resolution, centre=CENTRE, radius=0.6):
    """A truncated sphere on cell centres, written out from the convention."""
    at = -1 + (np.arange(resolution) + 0.5) * 2 / resolution
    x, y, z = np.meshgrid(at, at, at, indexing="ij")
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    return np.clip(distance - radius, -0.1, 0.1).astype(np.float32)


def noise(kind, seed=0, side=20):
    values = np.random.default_rng(seed).normal(size=(side,) * 3).astype(np.float32)
    if kind == "exactly at the level":
        values[np.abs(values) < 0.4] = 0.0
    if kind == "two values":
        values = np.sign(values)
    return values


@pytest.mark.parametrize("backend", BACKENDS)
def test_sphere_lies_where_it_should(backend):
    vertices, faces = isosurface.extract_surface(sphere(48), backend=backend)
    assert vertices.dtype == np.float64 and faces.dtype == np.int64
    radii = np.linalg.norm(vertices - CENTRE, axis=1)
    assert np.abs(radii - 0.6).max() < 0.02 * (2 / 48)
    assert mesh.signed_volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 0.6**3, rel=0.005)


@pytest.mark.parametrize("backend", BACKENDS)
def test_axes_are_x_y_z(backend):
    grid = np.full((16, 16, 16), 0.1, dtype=np.float32)
    grid[2:14, 5:11, 7:9] = -0.1
    vertices, _ = isosurface.extract_surface(grid, backend=backend)
    # Between cells 1 and 2 lies -1 + 2 * 2 / 16; the others alike.
    np.testing.assert_allclose(vertices.min(axis=0), [-0.75, -0.375, -0.125], atol=1e-6)
    np.testing.assert_allclose(vertices.max(axis=0), [0.75, 0.375, 0.125], atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["smooth noise", "exactly at the level", "two values"])
def test_watertight_on_hostile_grids(backend, kind):
    for seed in range(3):
        vertices, faces = isosurface.extract_surface(noise(kind, seed), backend=backend)
        assert mesh.is_watertight(faces)
        assert mesh.face_areas(vertices, faces).min() > 0
        assert mesh.signed_volume(vertices, faces) > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_near_the_level_keep_their_side(backend):
    """One cell barely inside, one barely outside: the surface is around the first."""
    grid = np.full((8, 8, 8), 0.1, dtype=np.float32)
    grid[4, 5, 2], grid[1, 1, 1] = -1e-6, 1e-6
    vertices, faces = isosurface.extract_surface(grid, backend=backend)
    assert mesh.is_watertight(faces) and mesh.signed_volume(vertices, faces) > 0
    np.testing.assert_allclose(vertices.mean(axis=0), [0.125, 0.375, -0.375], atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_closed_where_the_shape_is_cut_by_the_cube(backend):
    grid = sphere(24, centre=(0.9, 0.9, 0.9), radius=0.8)
    vertices, faces = isosurface.extract_surface(grid, backend=backend)
    assert mesh.is_watertight(faces)
    assert vertices.max() <= 1 + 1 / 24


@pytest.mark.parametrize("backend", BACKENDS)
def test_same_grid_same_bytes(backend):
    grid = noise("smooth noise", side=24)
    outcomes = {
        tuple(part.tobytes() for part in isosurface.extract_surface(grid, backend=backend))
        for _ in range(20)
    }
    assert len(outcomes) == 1


@pytest.mark.skipif(not isosurface.has_open3d(), reason="open3d does not import here")
def test_both_backends_give_one_surface():
    grid = np.minimum(sphere(32), sphere(32, centre=(-0.4, 0.3, -0.2), radius=0.3))
    ours, theirs = (isosurface.extract_surface(grid, backend=b)[0] for b in ("open3d", "skimage"))
    for a, b in ((ours, theirs), (theirs, ours)):
        assert cKDTree(a).query(b)[0].max() < 0.1 * (2 / 32)


def test_default_falls_back_without_open3d(monkeypatch):
    monkeypatch.setattr(isosurface, "has_open3d", lambda: False)
    expected = isosurface.extract_surface(sphere(16), backend="skimage")
    for part, same in zip(isosurface.extract_surface(sphere(16)), expected, strict=True):
        np.testing.assert_array_equal(part, same)
    with pytest.raises(ValueError, match="libusb"):
        isosurface.extract_surface(sphere(16), backend="open3d")


def test_agrees_with_trimesh_on_closedness():
    vertices, faces = isosurface.extract_surface(sphere(24))
    whole = trimesh.Trimesh(vertices, faces, process=False)
    assert whole.is_watertight and whole.is_winding_consistent and whole.volume > 0


@pytest.mark.parametrize("value", [0.1, -0.1, 0.0])
def test_no_surface(value):
    grid = np.full((8, 8, 8), value, dtype=np.float32)
    with pytest.raises(ValueError, match=r"no surface.*range from"):
        isosurface.extract_surface(grid)


@pytest.mark.parametrize("grid, text", [
    (np.zeros((1, 8, 8, 8)), "batch"),
    (np.zeros((8, 8, 9)), "R, R, R"),
    (np.where(np.arange(512).reshape(8, 8, 8) == 7, np.nan, 0.1), "1 of 512"),
    (np.where(np.arange(512).reshape(8, 8, 8) == 7, -np.inf, 0.1), "finite"),
])  # fmt: skip
def test_grids_refused(grid, text):
    with pytest.raises(ValueError, match=text):
        isosurface.extract_surface(grid)
    with pytest.raises(ValueError, match=text):
        isosurface.upsample_tricubic(grid, 16)


def test_unknown_backend():
    with pytest.raises(ValueError, match=r"backend must be one of.*'pymcubes'"):
        isosurface.extract_surface(sphere(8), backend="pymcubes")


@pytest.mark.parametrize("target", [32, 64, 40])
def test_upsampling_is_catmull_rom(target):
    """Against the spline's definition at one axis: four taps, edges repeated."""
    line = np.random.default_rng(1).normal(size=16)
    grid = np.broadcast_to(line[None, :, None], (16, 16, 16))
    fine = isosurface.upsample_tricubic(grid, target)
    assert fine.shape == (target,) * 3 and fine.dtype == np.float32
    for i in range(target):
        x = (i + 0.5) * 16 / target - 0.5
        left, t = int(np.floor(x)), x - np.floor(x)
        p = [line[min(max(left + k, 0), 15)] for k in (-1, 0, 1, 2)]
        value = p[1] + 0.5 * t * (p[2] - p[0] + t * (
            2 * p[0] - 5 * p[1] + 4 * p[2] - p[3] + t * (3 * (p[1] - p[2]) + p[3] - p[0])
        ))  # fmt: skip
        np.testing.assert_allclose(fine[:, i, :], value, atol=2e-6)


def test_upsampling_keeps_the_surface_in_place_and_is_better_than_the_coarse_one():
    coarse = sphere(32)
    errors = []
    for resolution in (32, 64):
        vertices, _ = isosurface.extract_surface(isosurface.upsample_tricubic(coarse, resolution))
        errors.append(np.abs(np.linalg.norm(vertices - CENTRE, axis=1) - 0.6).mean())
    assert errors[1] < 0.5 * errors[0]


def test_upsampling_treats_axes_alike():
    grid = noise("smooth noise", side=8)
    fine = isosurface.upsample_tricubic(grid, 16)
    turned = isosurface.upsample_tricubic(grid.transpose(1, 2, 0), 16)
    np.testing.assert_allclose(turned, fine.transpose(1, 2, 0), atol=2e-6)


@pytest.mark.parametrize("resolution", [16, 8])
def test_no_upsampling_below_the_grid(resolution):
    np.testing.assert_array_equal(isosurface.upsample_tricubic(sphere(16), resolution), sphere(16))


def test_resolution_refused():
    with pytest.raises(ValueError, match="resolution must be at least 1; got 0"):
        isosurface.upsample_tricubic(sphere(8), 0)
