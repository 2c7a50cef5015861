"""Distances and winding numbers of all parts at once, against igl and closed forms."""

import numpy as np
import pytest

igl = pytest.importorskip("igl")

from toys.solids import ball, box, box_sdf, join  # noqa: E402

from geoflow.geometry.sdf.bands import (  # noqa: E402
    Boxes,
    band_distances,
    closest_barycentric,
    winding_numbers,
)
from geoflow.geometry.sdf.parts import split_parts  # noqa: E402

R, REACH = 48, 0.2
VOXEL = 2 / R
CUBE = ((0.7, 0.5, 0.6), (0.3, 0.1, 0))


@pytest.fixture(scope="module")
def two():
    """A ball and a box that cut each other: two parts."""
    parts = split_parts(*join(ball(0.5, 3), box(*CUBE)))
    assert len(parts.solid) == 2
    return parts, Boxes.around(parts, R, REACH)


def places(boxes, part):
    return np.arange(boxes.first[part], boxes.first[part + 1])


def test_places_and_grid_indices_are_each_others_inverse(two):
    _, boxes = two
    place = np.arange(boxes.first[-1])
    part, index = boxes.index(place)
    np.testing.assert_array_equal(boxes.place(part, index), place)
    assert (index >= boxes.low[part]).all() and (index < (boxes.low + boxes.shape)[part]).all()
    step = np.eye(3, dtype=np.int64)
    inner = (index + 1 < (boxes.low + boxes.shape)[part]).all(axis=1)
    for axis in range(3):
        ahead = boxes.place(part[inner], index[inner] + step[axis])
        np.testing.assert_array_equal(ahead - place[inner], boxes.strides(part[inner])[:, axis])


def test_boxes_hold_their_part_and_the_margin(two):
    parts, boxes = two
    for part in range(2):
        corners = parts.vertices[parts.faces[parts.part == part]].reshape(-1, 3)
        at = boxes.positions(places(boxes, part))
        assert (at.min(axis=0) <= corners.min(axis=0) - REACH).all()
        assert (at.min(axis=0) > corners.min(axis=0) - REACH - VOXEL).all()
        assert (at.max(axis=0) >= corners.max(axis=0) + REACH).all()
        assert (at.max(axis=0) < corners.max(axis=0) + REACH + VOXEL).all()


def test_distances_are_those_of_the_nearest_face_within_reach(two):
    parts, boxes = two
    distance, nearest = band_distances(parts, boxes, np.full(2, REACH))
    for part in range(2):
        own = places(boxes, part)
        faces = parts.faces[parts.part == part]
        squared, _, _ = igl.point_mesh_squared_distance(boxes.positions(own), parts.vertices, faces)
        exact, found = np.sqrt(squared), distance[own]
        assert (parts.part[nearest[own][nearest[own] >= 0]] == part).all()
        near = exact < REACH
        assert near.sum() > 2000 and np.isfinite(found[near]).all()
        np.testing.assert_allclose(
            found[exact < 0.7 * VOXEL], exact[exact < 0.7 * VOXEL], atol=1e-9
        )
        assert (found >= exact - 1e-9).all()  # handed on: never too near
        assert (found - exact)[near].max() < 0.1 * VOXEL
        far = exact > REACH + 1.01 * VOXEL
        assert far.any() and np.isinf(found[far]).all() and (nearest[own][far] == -1).all()


def test_winding_numbers_are_each_parts_own(two):
    parts, boxes = two
    winding = winding_numbers(parts, boxes)
    for part, sdf in enumerate(
        (lambda p: np.linalg.norm(p, axis=1) - 0.5, lambda p: box_sdf(p, *CUBE))
    ):
        at = sdf(boxes.positions(places(boxes, part)))
        own = winding[places(boxes, part)]
        assert set(own) == {0, 1}
        sure = np.abs(at) > 0.01
        np.testing.assert_array_equal(own[sure], at[sure] < 0)


def test_winding_numbers_of_a_solid_with_a_lid_and_of_a_sheet():
    vertices, faces = ball(0.5, 3)
    rim = np.array([[-0.9, -0.9, -0.8], [0.9, -0.9, -0.8], [0.9, 0.9, -0.8]])
    parts = split_parts(*join((vertices, faces[5:]), (rim, np.array([[0, 1, 2]]))))
    boxes = Boxes.around(parts, R, REACH)
    winding = winding_numbers(parts, boxes)
    solid, sheet = int(parts.solid.argmax()), int(parts.solid.argmin())
    assert solid != sheet and len(parts.lids)
    assert not winding[places(boxes, sheet)].any()
    at = np.linalg.norm(boxes.positions(places(boxes, solid)), axis=1)
    inside = winding[places(boxes, solid)] == 1
    assert inside[at < 0.46].all() and not inside[at > 0.5].any()


def test_columns_through_vertices_and_edges_count_once():
    """A box whose edges and corners lie on grid columns."""
    size = 8 * VOXEL
    parts = split_parts(*box((size, size, size), np.full(3, VOXEL / 2)))
    boxes = Boxes.around(parts, R, REACH)
    winding = winding_numbers(parts, boxes)
    exact = box_sdf(boxes.positions(np.arange(len(winding))), (size,) * 3, np.full(3, VOXEL / 2))
    assert set(winding) == {0, 1}
    sure = np.abs(exact) > 1e-6
    np.testing.assert_array_equal(winding[sure], exact[sure] < 0)


def test_no_column_slips_between_two_faces():
    """Two edges of every one of these solids run along a grid column as nearly as numbers can."""
    rng, shift = np.random.default_rng(0), np.array([3.1e-7, 7.3e-7])  # that of winding_numbers
    solids, columns = [], []
    for _ in range(200):
        i, j = rng.integers(R // 3, 2 * R // 3, 2)
        centre = -1 + (np.array([i, j]) + 0.5) * VOXEL - shift
        along = rng.normal(size=2)
        along *= 0.2 / np.linalg.norm(along)
        across = np.array([-along[1], along[0]])
        s, t, u, v = rng.uniform(0.3, 1, 4)
        flat = [centre - s * along, centre + t * along, centre - u * across, centre + v * across]
        vertices = np.column_stack([flat, [-0.3, -0.3, 0.3, 0.3]])
        solids.append((vertices, np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0], [3, 2, 1]])))
        columns.append((i, j))
    parts = split_parts(*join(*solids))
    boxes = Boxes.around(parts, R, REACH)
    winding = winding_numbers(parts, boxes)
    assert parts.solid.all() and set(winding) == {0, 1}
    middles = np.array([vertices.mean(axis=0) for vertices, _ in solids])
    for part in range(len(solids)):
        middle = parts.vertices[parts.faces[parts.part == part]].mean(axis=(0, 1))
        column = columns[np.abs(middles - middle).sum(axis=1).argmin()]
        inside = boxes.place(np.array([part]), np.array([[*column, R // 2]]))
        assert winding[inside] == 1


def test_the_union_is_the_least_of_the_parts_and_outside_elsewhere(two):
    _, boxes = two
    values = np.random.default_rng(0).uniform(-1, 1, boxes.first[-1])
    grid = boxes.union(values, R, 0.1)
    want = np.full((R,) * 3, 0.1)
    _, index = boxes.index(np.arange(len(values)))
    inside = ((index >= 0) & (index < R)).all(axis=1)
    np.minimum.at(want, tuple(index[inside].T), values[inside])
    np.testing.assert_array_equal(grid, want.clip(-0.1, 0.1))


def test_barycentric_coordinates_of_the_nearest_place(two):
    parts, _ = two
    rng = np.random.default_rng(0)
    face = rng.integers(len(parts.faces), size=50)
    corners = parts.vertices[parts.faces[face]]
    weights = rng.dirichlet(np.ones(3), 50)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    points = (corners * weights[..., None]).sum(axis=1) + normal
    np.testing.assert_allclose(closest_barycentric(parts, points, face), weights, atol=1e-9)
    beyond = 2 * corners[:, 0] - corners[:, 1:].mean(axis=1)
    np.testing.assert_allclose(
        closest_barycentric(parts, beyond, face), [[1, 0, 0]] * 50, atol=1e-9
    )
