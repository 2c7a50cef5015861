"""geoflow.geometry.sdf against closed forms, on the kinds of damage that objects.zip shows."""

import numpy as np
import pytest

pytest.importorskip("igl")

from toys.solids import ball, box, box_sdf, grid_points, join

from geoflow.geometry.sdf import interpolate, mesh_to_sdf, sample_visible_surface

R, TRUNCATION = 32, 0.1
VOXEL = 2 / R


def clamped(values):
    return np.clip(values, -TRUNCATION, TRUNCATION)


@pytest.fixture(scope="module")
def sphere():
    return ball(0.6)


def test_axes_pitch_and_sign_of_a_box_off_centre():
    extents, centre = (1.2, 0.8, 0.5), (0.2, -0.3, 0.1)
    sdf = mesh_to_sdf(*box(extents, centre), R)
    assert sdf.dtype == np.float32 and sdf.shape == (R, R, R)
    np.testing.assert_allclose(sdf, clamped(box_sdf(grid_points(R), extents, centre)), atol=1e-6)


@pytest.mark.parametrize("damage", ["none", "inside out", "soup", "repeated", "hole"])
def test_sphere(sphere, damage):
    vertices, faces = sphere
    if damage == "inside out":
        faces = faces[:, ::-1]
    elif damage == "soup":  # no shared vertex, every third face turned
        vertices, faces = vertices[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3)
        faces = np.where(np.arange(len(faces))[:, None] % 3 == 0, faces[:, ::-1], faces)
    elif damage == "repeated":
        faces = np.concatenate([faces, faces[::2], faces[::3, ::-1], faces[:5, [0, 0, 1]]])
    elif damage == "hole":
        faces = faces[9:]
    exact = clamped(np.linalg.norm(grid_points(R), axis=-1) - 0.6)
    error = np.abs(mesh_to_sdf(vertices, faces, R) - exact)
    assert np.quantile(error, 0.999) < 0.004
    if damage != "hole":
        assert error.max() < 0.01


def test_open_box_is_hollow_with_walls_of_the_least_thickness():
    vertices, faces = box((1.2, 1.2, 1.2))
    top = (vertices[faces][..., 1] > 0.59).all(1)
    # finer faces, so that the rim is more than 2 % of the edges
    sdf = mesh_to_sdf(vertices, faces[~top], R)
    inside = grid_points(R)[(np.abs(grid_points(R)) < 0.6 - VOXEL).all(-1)]
    assert (interpolate(sdf, inside) > 0).all(), "the box was filled"
    walls = np.array([[0.6, 0, 0], [-0.6, 0.1, 0.2], [0, -0.6, 0], [0.1, 0.2, 0.6]])
    assert (interpolate(sdf, walls) < -0.3 * VOXEL).all()
    assert interpolate(sdf, np.array([[0, 0.6, 0]])) > VOXEL


def test_union_of_overlapping_parts_one_inside_out():
    first, second = ((0.8, 0.6, 0.6), (-0.2, 0, 0)), ((0.8, 0.4, 0.4), (0.3, 0.05, 0))
    vertices, faces = box(*second)
    sdf = mesh_to_sdf(*join(box(*first), (vertices, faces[:, ::-1])), R)
    exact = np.minimum(box_sdf(grid_points(R), *first), box_sdf(grid_points(R), *second))
    assert ((sdf < 0) == (exact < 0)).all()
    outside = exact >= 0
    np.testing.assert_allclose(sdf[outside], clamped(exact)[outside], atol=1e-5)


def test_open_sheet_beside_a_solid_does_not_bulge():
    """The winding number of the whole fails here: DESIGN.md, section 6."""
    solid = ((1.2, 0.2, 1.2), (0, 0.3, 0))
    sheet = np.array([[-0.6, -0.4, 0.6], [0.6, -0.4, 0.6], [0.6, 0.1, 0.6], [-0.6, 0.1, 0.6]])
    sdf = mesh_to_sdf(*join(box(*solid), (sheet, np.array([[0, 1, 2], [0, 2, 3]]))), R)
    below = grid_points(R)[(np.abs(grid_points(R) - [0, -0.1, 0]) < [0.5, 0.2, 0.4]).all(-1)]
    assert (interpolate(sdf, below) > 0).all()


def test_solid_left_in_three_patches_with_unlike_rims_is_closed():
    """Table tops in objects.zip: a band and two lids whose rims have other vertices."""
    x = np.linspace(-0.7, 0.7, 8)
    ring = np.array([[a, -0.7] for a in x] + [[0.7, a] for a in x[1:]])
    ring = np.concatenate([ring, -ring[1:-1] if len(ring) % 2 else -ring[1:]])
    count, up = len(ring), np.array([0, 0.25, 0])
    low = np.column_stack([ring[:, 0], np.full(count, -0.125), ring[:, 1]])
    i = np.arange(count)
    j = (i + 1) % count
    band = np.concatenate([np.stack([i, j, j + count], 1), np.stack([i, j + count, i + count], 1)])
    corner = 0.7 * np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]) - [0, 0.125, 0]
    lid = np.array([[0, 1, 2], [0, 2, 3]])
    shift = np.array([0, 0.002, 0])  # not weldable
    mesh = join((np.concatenate([low, low + up]), band), (corner - shift, lid), (corner + up, lid))
    sdf = mesh_to_sdf(*mesh, R)
    exact = clamped(box_sdf(grid_points(R), (1.4, 0.25, 1.4)))
    np.testing.assert_allclose(sdf, exact, atol=0.004)


@pytest.mark.parametrize("place", np.linspace(0, VOXEL, 5))
def test_thin_plate_survives_wherever_it_lies(place):
    sdf = mesh_to_sdf(*box((1.2, 0.01, 1.2), (0, place, 0)), R)
    seen = (sdf < 0).any(axis=1)
    assert seen[8:24, 8:24].all(), "the plate has holes"
    thickness = 2 * -interpolate(mesh_to_sdf(*box((1.2, 0.01, 1.2)), 128), np.zeros((1, 3)))
    assert thickness < 0.035  # 1.65 voxels at 128, not at 32


@pytest.mark.parametrize("place", [0, VOXEL / 2, VOXEL / 3])
def test_thin_leg_survives_and_the_thick_seat_keeps_its_size(place):
    leg, seat = ((0.02, 0.8, 0.02), (place, -0.3, place)), ((1.0, 0.3, 1.0), (0, 0.2, 0))
    sdf = mesh_to_sdf(*join(box(*leg), box(*seat)), R)
    below = [j for j in range(R) if -0.65 < grid_points(R)[0, j, 0, 1] < 0.0]
    assert (sdf[:, below] < 0).any(axis=(0, 2)).all(), "the leg is cut"
    far = np.abs(grid_points(R)[..., 0]) > 0.3
    exact = clamped(box_sdf(grid_points(R), *seat))
    np.testing.assert_allclose(sdf[far], exact[far], atol=1e-5)


def test_touching_parts_leave_no_seam_inside():
    sdf = mesh_to_sdf(*join(box((0.8, 1, 1), (-0.4, 0, 0)), box((0.8, 1, 1), (0.4, 0, 0))), R)
    assert sdf[R // 2, R // 2, R // 2] < -0.9 * VOXEL


def test_visible_points_lie_on_the_union_and_point_outward():
    first, second = ((0.8, 0.6, 0.6), (-0.2, 0, 0)), ((0.8, 0.4, 0.4), (0.3, 0, 0))
    vertices, faces = box(*second)
    mesh = join(box(*first), (vertices, faces[:, ::-1]))
    sdf = mesh_to_sdf(*mesh, 64)
    points, normals = sample_visible_surface(*mesh, sdf, 2000, np.random.default_rng(0))
    assert points.shape == normals.shape == (2000, 3)
    exact = np.minimum(box_sdf(points, *first), box_sdf(points, *second))
    assert exact.min() > -2 * 2 / 64  # the hidden end of the second box reaches 0.3 deep
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    ahead = points + 0.05 * normals
    assert (np.minimum(box_sdf(ahead, *first), box_sdf(ahead, *second)) > 0).mean() > 0.97


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (np.zeros((3, 2)), np.zeros((1, 3), int), "must be"),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]]), "finite"),
        (np.eye(3) * 2, np.array([[0, 1, 2]]), "fit_frame"),
        (np.eye(3) / 2, np.array([[0, 1, 3]]), "faces must index"),
        (np.eye(3) / 2, np.array([[0, 1, 1]]), "area"),
        (np.zeros((0, 3)), np.zeros((0, 3), int), "area"),
    ],
)
def test_bad_meshes_are_refused(vertices, faces, message):
    with pytest.raises(ValueError, match=message):
        mesh_to_sdf(vertices, faces, R)
