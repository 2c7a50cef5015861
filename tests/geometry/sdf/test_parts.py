"""Parts of a mesh: which are solids, which belong together, and where they are too thin."""

import numpy as np
import pytest

pytest.importorskip("igl")

from toys.solids import ball, box, drawn_out, join

from geoflow.geometry.sdf.parts import (
    cut_triangles,
    lattice,
    split_parts,
    thickening,
    without_specks,
)

LEAST = 0.1


def sheet(corner, right, up):
    """A square of two faces."""
    a, b, d = np.array(corner), np.array(right), np.array(up)
    return np.array([a, a + b, a + b + d, a + d], float), np.array([[0, 1, 2], [0, 2, 3]])


# -- solids and sheets ------------------------------------------------------------------------


@pytest.mark.parametrize(("missing", "solid"), [(0, True), (12, True), (20, False), (70, False)])
def test_a_part_with_more_than_2_percent_of_open_edges_is_a_sheet(missing, solid):
    """A ball of 1,280 faces and 1,920 edges without some faces that do not touch."""
    vertices, faces = ball(0.6, 3)
    used, gone = np.zeros(len(vertices), bool), np.zeros(len(faces), bool)
    for i in np.random.default_rng(0).permutation(len(faces)):
        if gone.sum() < missing and not used[faces[i]].any():
            gone[i] = used[faces[i]] = True
    assert gone.sum() == missing
    parts = split_parts(vertices, faces[~gone])
    assert parts.solid.tolist() == [solid]
    assert len(parts.lids) == (3 * missing if solid else 0)


def test_solids_face_outward_closed_by_lids():
    vertices, faces = ball(0.6, 3)
    parts = split_parts(*join((vertices, faces[2:, ::-1]), box((0.2, 0.2, 0.2), (0.8, 0.8, 0.8))))
    assert parts.solid.tolist() == [True, True]
    for part, volume in zip((0, 1), (4 / 3 * np.pi * 0.6**3, 0.008), strict=True):
        closed = np.concatenate(
            [parts.faces[parts.part == part], parts.lids[parts.lid_part == part]]
        )
        a, b, c = parts.vertices[closed].transpose(1, 0, 2)
        assert (a * np.cross(b, c)).sum() / 6 == pytest.approx(volume, rel=0.01)
    # 2 x volume / area: a third of a cube's side, two thirds of a ball's radius
    assert sorted(parts.thickness) == pytest.approx([0.2 / 3, 0.4], rel=0.02)


def test_sheets_that_share_a_rim_are_one_part():
    """Their rims run side by side, 0.002 apart, along a quarter of either's length."""
    left, right = (
        sheet((-0.5, 0, 0), (0.5, 0, 0), (0, 0.5, 0)),
        sheet((0.002, 0, 0), (0.5, 0, 0), (0, 0.5, 0)),
    )
    assert len(split_parts(*join(left, right)).solid) == 1
    turned = (right[0], right[1][:, ::-1])
    parts = split_parts(*join(left, turned))
    assert len(parts.solid) == 1
    a, b, c = parts.vertices[parts.faces].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)[:, 2]
    assert (normals > 0).all() or (normals < 0).all(), "turned against each other"


def test_sheets_that_touch_at_one_point_stay_two():
    """A corner 0.002 from the other's rim, and a corner beside a corner."""
    whole = sheet((-0.5, 0, 0), (0.5, 0, 0), (0, 0.5, 0))
    for corner in ((0.002, 0.25, 0), (0.002, 0.502, 0)):
        touching = sheet(corner, (0.4, 0.3, 0), (-0.0, 0.0, 0.5))
        assert len(split_parts(*join(whole, touching)).solid) == 2


def test_specks_are_left_out_unless_there_is_nothing_else():
    parts = split_parts(*join(box((1, 1, 1)), box((0.05, 0.04, 0.02), (0.8, 0.8, 0.8))))
    kept = without_specks(parts, 0.06)
    assert len(kept.solid) == 1 and np.ptp(kept.vertices[kept.faces], axis=(0, 1)).max() == 1
    assert len(without_specks(parts, 0.04).solid) == 2
    assert without_specks(parts, 2) is parts


# -- thin places ------------------------------------------------------------------------------


def offsets(vertices, faces, least=LEAST):
    """How far the corners move out, and where these are: (F, 3), (F, 3, 3)."""
    parts = without_specks(split_parts(vertices, faces), least)
    return thickening(parts, least), parts.vertices[parts.faces]


def test_a_plate_grows_to_the_least_thickness_and_a_block_stays():
    moved, at = offsets(*join(box((1, 0.04, 1)), box((0.5, 0.5, 0.5), (0, 0.5, 0))))
    plate = (at[..., 1] < 0.1).all(axis=1)
    np.testing.assert_allclose(moved[plate].max(axis=1), (LEAST - 0.04) / 2, rtol=1e-4)
    np.testing.assert_array_equal(moved[~plate], 0)


def test_a_sheet_takes_the_whole_thickness():
    moved, _ = offsets(*sheet((0, 0, 0), (0.5, 0, 0), (0, 0.5, 0)))
    np.testing.assert_array_equal(moved, LEAST / 2)


def test_a_rod_of_three_sides_is_thinner_than_a_ray_across_it():
    """From a third of a side, s / sqrt(3) deep; half as deep the nearest wall is s / (4 sqrt(3))
    away, and 1.15 times the circle there counts."""
    side = 0.12
    profile = side * np.array([[-0.5, 0], [0.5, 0], [0, 3**0.5 / 2]])
    moved, at = offsets(*drawn_out(profile, 1.2, 4))
    middle = np.abs(at[..., 2]) < 0.4
    want = (LEAST - 1.15 * 2 * side / (4 * 3**0.5)) / 2
    np.testing.assert_allclose(moved[middle], want, rtol=1e-4)
    assert want > (LEAST - side / 3**0.5) / 2 + 0.01, "as the ray alone would have it"


def test_a_skin_that_looks_the_same_way_is_no_opposite_wall():
    """A bar folded into itself: its arms are 0.3 thick, the other's skin lies 0.05 below."""
    profile = [(0, 0), (1, 0), (1, 0.35), (0, 0.35), (0, 0.05), (0.7, 0.05), (0.7, 0.3), (0, 0.3)]
    moved, _ = offsets(*drawn_out(np.array(profile) - 0.4, 0.8, 8))
    np.testing.assert_array_equal(moved, 0)


def test_a_sliver_in_a_thick_face_takes_nothing_with_it():
    """The rim of a block whose side leans in by 8 degrees: thin, and a tenth of what is near."""
    lean = np.tan(np.radians(8))
    profile = [(0, 0), (0.8 - 0.6 * lean, 0), (0.8, 0.6), (0.8 - 0.1 * LEAST, 0.6), (0, 0.6)]
    moved, at = offsets(*drawn_out(np.array(profile) - 0.4, 1.2, 24))
    inner = np.abs(at[..., 2]) < 0.4
    np.testing.assert_array_equal(moved[inner], 0)


# -- helpers ----------------------------------------------------------------------------------


def test_lattice_by_hand():
    item, point = lattice(np.array([[0, 5], [3, 3], [1, 1]]), np.array([[1, 6], [2, 9], [1, 1]]))
    assert item.tolist() == [0, 0, 0, 0, 2]  # the second box is empty
    assert point.tolist() == [[0, 5], [0, 6], [1, 5], [1, 6], [1, 1]]


def test_cut_triangles_cover_the_same_area_with_short_edges():
    corners = np.array([[[0, 0, 0], [1, 0, 0], [0, 0.3, 0]], [[0, 0, 1], [0.1, 0, 1], [0, 0.1, 1]]])
    pieces, face = cut_triangles(corners, 0.2)
    edges = np.linalg.norm(np.roll(pieces, -1, axis=1) - pieces, axis=2)
    assert edges.max() <= 0.2
    a, b, c = pieces.transpose(1, 0, 2)
    area = np.bincount(face, np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)
    np.testing.assert_allclose(area, [0.15, 0.005])
    np.testing.assert_array_equal(pieces[face == 1], corners[1:])
