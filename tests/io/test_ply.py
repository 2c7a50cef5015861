"""Clouds as binary .ply, read back by trimesh."""

import io

import numpy as np
import pytest
import trimesh

from geoflow.io.ply import ply_header, ply_rows, write_cloud


@pytest.mark.parametrize("channels", [3, 6])
def test_blocks_join_to_a_file_that_trimesh_reads(channels):
    points = np.random.default_rng(0).uniform(0, 1, (50, channels))
    points[0, 3:] = 1.7  # clipped
    rows = [ply_rows(part) for part in (points[:20], points[20:])]
    data = b"".join([ply_header(50, coloured=channels == 6), *rows])
    cloud = trimesh.load(io.BytesIO(data), file_type="ply", process=False)
    assert np.array_equal(cloud.vertices, points[:, :3].astype(np.float32))
    if channels == 6:
        want = np.rint(255 * points[:, 3:].clip(0, 1))
        assert np.array_equal(cloud.colors[:, :3], want)


def test_bad_points_are_refused():
    with pytest.raises(ValueError, match=r"shape \(N, 3\) or \(N, 6\)"):
        ply_rows(np.zeros((4, 2)))
    points = np.zeros((4, 3))
    points[2, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 4"):
        ply_rows(points)


def test_a_cloud_is_written_whole_or_not_at_all(tmp_path):
    points = np.random.default_rng(0).uniform(0, 1, (50, 3))
    write_cloud(tmp_path / "a.ply", iter((points[:20], points[20:])), 50)
    cloud = trimesh.load(tmp_path / "a.ply", process=False)
    assert np.array_equal(cloud.vertices, points.astype(np.float32))
    for blocks, says in (([points, points * np.nan], "50 of 50"), ([points[:20]], "they held 20")):
        with pytest.raises(ValueError, match=says):
            write_cloud(tmp_path / "b.ply", blocks, 50)
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]
