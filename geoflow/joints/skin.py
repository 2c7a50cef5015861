"""Skinning weights from a mesh and a skeleton, by distances inside a voxel volume.

The distance from a vertex to a bone is the straight one where the way lies inside the body, and
longer where the shortest way through the volume is: a hand beside a thigh stays apart from it. A
vertex belongs to its nearest bone, and to others that are hardly farther, in a band as wide as the
limb is thick. The volume is made of voxels, so open meshes, holes and parts that overlap do no
harm; a part that touches none with a bone follows the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geoflow.geometry.pointcloud import sample_surface

MOST_WEIGHTS = 4
CELLS = 72
"""Voxels along the longest side; fewer where the body fills more than MOST_VOXELS."""
MOST_VOXELS = 40_000
BAND = 0.6
"""Width of the blend between two bones, in distances to the nearer one."""
SMALL = 0.5
"""Longest extent of a loose part, a sword say, that stays stiff."""
FAR = 1e6


@dataclass(frozen=True)
class Skin:
    """What moves a vertex.

    Attributes:
        joints: (V, 4) int64 indices; 0 where the weight is 0.
        weights: (V, 4) float32 at least 0, the largest first, summing to 1.
    """

    joints: np.ndarray
    weights: np.ndarray


def skin_mesh(
    vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray, parents: np.ndarray
) -> Skin:
    """Binds a mesh to a skeleton.

    A joint moves the bones to its children; one without children the bone that goes on from it to
    the end of the body. Vertices at one place get the same weights; those that no face uses change
    nothing, wherever they are, and go with the first root.

    Args:
        vertices, faces: (V, 3), (F, 3), of any scale, open or closed, of any number of parts.
        joints, parents: (J, 3) in the frame of the vertices; (J,) of a tree, -1 for a root.

    Raises:
        ValueError: a mesh without an area.
    """
    count = len(vertices)
    used, corners = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], corners.reshape(faces.shape)
    low, high = vertices.min(0), vertices.max(0)
    side = float((high - low).max())
    vertices, joints = (vertices - low) / side, (joints - low) / side
    volume = _Volume.of(vertices, faces)
    bones, owner = _bones(joints, parents, volume)
    volume = volume.joined(_along(bones, volume.cell / 2)[0])
    through, anchor = _distances_inside(volume, bones, owner, len(joints))
    # vertices of small loose parts are put where they are held
    holder = anchor[volume.index[tuple(volume.at(vertices).T)]]
    places = (volume.places[holder] - 0.5) * volume.cell
    vertices = np.where(holder[:, None] >= 0, places, vertices)
    indices = np.zeros((count, MOST_WEIGHTS), np.int64)
    weights = np.zeros((count, MOST_WEIGHTS), np.float32)
    indices[:, 0], weights[:, 0] = np.argmin(parents), 1
    for begin in range(0, len(vertices), 16_384):
        part = slice(begin, begin + 16_384)
        reach = volume.nearest(vertices[part], through)
        straight = _distances_straight(vertices[part], bones, owner, len(joints))
        distance = straight + np.maximum(0, reach - 1.15 * straight - 2 * volume.cell)
        indices[used[part]], weights[used[part]] = _blend(distance, volume.cell)
    return Skin(indices, weights)


def _blend(distance: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """(V, J) -> (V, 4) indices and weights."""
    lacking = max(0, MOST_WEIGHTS - distance.shape[1])
    distance = np.pad(distance, ((0, 0), (0, lacking)), constant_values=np.inf)
    near = np.argpartition(distance, MOST_WEIGHTS - 1, axis=1)[:, :MOST_WEIGHTS]
    chosen = np.take_along_axis(distance, near, 1)
    order = np.argsort(chosen, axis=1, kind="stable")
    near, chosen = np.take_along_axis(near, order, 1), np.take_along_axis(chosen, order, 1)
    first = chosen[:, :1]
    weights = np.clip(1 - (chosen - first) / (BAND * first + cell), 0, None) ** 2
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return np.where(weights > 0, near, 0), weights / weights.sum(1, keepdims=True)


class _Volume:
    """The voxels of a body, `cell` wide: its `places` (S, 3) int64.

    `solid` (X, Y, Z) bool is the body, `around` is True in open tubes too, and `index` (X, Y, Z)
    int32 the number of a voxel, -1 outside.
    """

    def __init__(self, solid: np.ndarray, around: np.ndarray, cell: float) -> None:
        self.around, self.cell, self.places = around, cell, np.argwhere(solid)
        self.index = np.full(solid.shape, -1, np.int32)
        self.index[solid] = np.arange(len(self.places))

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray) -> _Volume:
        """Voxels of a mesh in the unit box, surface and inside."""
        for cells in (CELLS, 56, 40, 28):
            count = int(min(400_000, 40_000 + len(faces)))
            rng = np.random.default_rng(0)
            points = np.concatenate((vertices, sample_surface(vertices, faces, count, rng)[0]))
            solid = np.zeros((cells + 3,) * 3, bool)  # a margin of one voxel
            solid[tuple((points * cells).astype(int).T + 1)] = True
            ways = _ways_blocked(solid)
            solid |= ways >= 5  # the inside, even with a hole in it
            if solid.sum() <= MOST_VOXELS:
                break
        return cls(solid, solid | (ways >= 4), 1 / cells)

    def at(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) points -> (N, 3) voxels, those outside of the box at its border."""
        most = np.array(self.index.shape) - 1
        return (np.floor(points / self.cell).astype(int) + 1).clip(0, most)

    def joined(self, points: np.ndarray) -> _Volume:
        """The volume with the voxels of these points."""
        solid = self.index >= 0
        solid[tuple(self.at(points).T)] = True
        return _Volume(solid, self.around, self.cell)

    def nearest(self, points: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(N, 3), (S, J) -> (N, J) the least value of the voxels around a point."""
        corner = np.floor(points / self.cell + 0.5).astype(int)
        best = values[self.index[tuple(self.at(points).T)]]
        for shift in np.ndindex(2, 2, 2):
            voxel = (corner + shift).clip(0, np.array(self.index.shape) - 1)
            where = self.index[tuple(voxel.T)]
            best = np.minimum(best, np.where(where[:, None] >= 0, values[where], FAR))
        return best


def _ways_blocked(solid: np.ndarray) -> np.ndarray:
    """In how many of the 6 directions a voxel has the surface: (X, Y, Z) int8."""
    ways = np.zeros(solid.shape, np.int8)
    for axis in range(3):
        ways += np.maximum.accumulate(solid, axis)
        ways += np.flip(np.maximum.accumulate(np.flip(solid, axis), axis), axis)
    return ways


def _bones(
    joints: np.ndarray, parents: np.ndarray, volume: _Volume
) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2, 3) ends of the bones and (E,) the joint that moves each."""
    child = np.flatnonzero(parents >= 0)
    bones = [np.stack((joints[parents[child]], joints[child]), 1)]
    owner = [parents[child]]
    for leaf in np.setdiff1d(np.arange(len(joints)), parents):
        ahead = joints[leaf] - joints[parents[leaf]] if parents[leaf] >= 0 else np.zeros(3)
        ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-9)
        end = joints[leaf]
        while True:
            after = end + volume.cell * ahead
            outside = not volume.around[tuple(volume.at(after[None])[0])]
            if not ahead.any() or outside or ((after < 0) | (after > 1)).any():
                break
            end = after
        bones.append(np.stack((joints[leaf], end))[None])
        owner.append(np.array([leaf]))
    return np.concatenate(bones), np.concatenate(owner)


def _along(bones: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Points on bones at most a step apart, and the bone of each."""
    lengths = np.linalg.norm(bones[:, 1] - bones[:, 0], axis=1)
    counts = np.ceil(lengths / step).astype(int) + 1
    shares = [np.linspace(0, 1, n)[:, None] for n in counts]
    points = [a + s * (b - a) for s, (a, b) in zip(shares, bones, strict=True)]
    return np.concatenate(points), np.repeat(np.arange(len(bones)), counts)


def _distances_inside(
    volume: _Volume, bones: np.ndarray, owner: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(S, J) shortest ways through the volume to the bones of each joint, FAR where too long.

    And (S,) the voxel that holds each, see `_with_loose_parts`.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import KDTree

    # steps between voxels that share a side, an edge or a corner
    first, second = KDTree(volume.places).query_pairs(1.8, output_type="ndarray").T
    steps = np.linalg.norm(volume.places[first] - volume.places[second], axis=1)
    graph = csr_matrix((volume.cell * steps, (first, second)), (len(volume.places),) * 2)
    points, bone = _along(bones, volume.cell / 2)
    start = volume.index[tuple(volume.at(points).T)]
    near, _, source = dijkstra(
        graph, directed=False, indices=np.unique(start), min_only=True, return_predecessors=True
    )
    out = np.full((len(near), count), FAR, np.float32)
    for joint in range(count):
        seeds = np.unique(start[owner[bone] == joint])
        found = dijkstra(graph, directed=False, indices=seeds, min_only=True, limit=0.25)
        good = np.isfinite(found)
        out[good, joint] = found[good]
    of_voxel = np.zeros(len(near), int)
    of_voxel[start] = owner[bone]
    reached = np.isfinite(near)
    held = np.flatnonzero(reached), of_voxel[source[reached]]
    out[held] = np.minimum(out[held], near[reached])
    return _with_loose_parts(volume, graph, out, reached)


def _with_loose_parts(
    volume: _Volume, graph: Any, out: np.ndarray, reached: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Parts without a bone: distances there, and (S,) the voxel that a voxel moves with, or -1.

    A small part moves as one with the nearest voxel of the body; a large one, a coat, takes the
    distances of the nearest voxel everywhere.
    """
    anchor = np.full(len(out), -1)
    if reached.all():
        return out, anchor
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    known = np.flatnonzero(reached)
    tree = KDTree(volume.places[known])
    _, part = connected_components(graph, directed=False)
    for k in np.unique(part[~reached]):
        mine = np.flatnonzero(part == k)
        far, near = map(np.asarray, tree.query(volume.places[mine]))
        out[mine] = out[known[near]]
        if np.ptp(volume.places[mine], axis=0).max() * volume.cell <= SMALL:
            anchor[mine] = known[near[far.argmin()]]
    return out, anchor


def _distances_straight(
    points: np.ndarray, bones: np.ndarray, owner: np.ndarray, count: int
) -> np.ndarray:
    """(N, 3) -> (N, J) distances to the nearest bone of each joint."""
    out = np.full((len(points), count), FAR)
    for (a, b), joint in zip(bones, owner, strict=True):
        way = b - a
        share = ((points - a) @ way / max(float(way @ way), 1e-18)).clip(0, 1)
        distance = np.linalg.norm(points - a - share[:, None] * way, axis=1)
        out[:, joint] = np.minimum(out[:, joint], distance)
    return out
