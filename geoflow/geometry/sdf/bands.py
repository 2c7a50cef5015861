"""Distances and winding numbers of all parts of a mesh at once, each on the grid points around it.

Used by `geoflow.geometry.sdf`. The grid points of all boxes lie one after the other in flat arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geoflow.geometry.sdf.parts import Parts, cut_triangles, lattice


@dataclass(frozen=True)
class Boxes:
    """One box of grid points around each part, laid out one after the other in flat arrays.

    Attributes:
        low: (P, 3) grid index of each box's first point; may lie outside of the grid.
        shape: (P, 3) points along each axis.
        first: (P + 1,) place of each box in the flat arrays.
        voxel: grid pitch.
    """

    low: np.ndarray
    shape: np.ndarray
    first: np.ndarray
    voxel: float

    @classmethod
    def around(cls, parts: Parts, resolution: int, margin: float) -> Boxes:
        voxel = 2.0 / resolution
        low, high = parts.boxes(lids=True)
        low = np.floor((low - margin + 1) / voxel - 0.5).astype(np.int64)
        shape = np.ceil((high + margin + 1) / voxel - 0.5).astype(np.int64) - low + 1
        return cls(low, shape, np.concatenate([[0], np.cumsum(shape.prod(1))]), voxel)

    def strides(self, part: np.ndarray) -> np.ndarray:
        _, j, k = self.shape[part].T
        return np.stack([j * k, k, np.ones_like(k)], axis=1)

    def place(self, part: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Flat places (N,) of grid indices (N, 3) in the boxes of `part` (N,)."""
        shape, (i, j, k) = self.shape[part], (index - self.low[part]).T
        return self.first[part] + (i * shape[:, 1] + j) * shape[:, 2] + k

    def index(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Part (N,) and grid index (N, 3) of flat places (N,)."""
        part = np.searchsorted(self.first, place, side="right") - 1
        shape = self.shape[part]
        row, k = np.divmod(place - self.first[part], shape[:, 2])
        i, j = np.divmod(row, shape[:, 1])
        return part, np.stack([i, j, k], axis=1) + self.low[part]

    def positions(self, place: np.ndarray) -> np.ndarray:
        return self.to_position(self.index(place)[1])

    def to_position(self, index: np.ndarray) -> np.ndarray:
        return -1 + (index + 0.5) * self.voxel

    def union(self, values: np.ndarray, resolution: int, truncation: float) -> np.ndarray:
        """(R, R, R) smallest value of all parts at each grid point, clamped."""
        grid = np.full((resolution,) * 3, truncation)
        for part, (low, shape) in enumerate(zip(self.low, self.shape, strict=True)):
            block = values[self.first[part] : self.first[part + 1]].reshape(shape)
            start, stop = low.clip(0, resolution), (low + shape).clip(0, resolution)
            target = grid[tuple(slice(*pair) for pair in zip(start, stop, strict=True))]
            inner = block[tuple(slice(*pair) for pair in zip(start - low, stop - low, strict=True))]
            np.minimum(target, inner, out=target)
        return grid.clip(-truncation, truncation)


def _edges(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """a, ab, ac (F, 3) of triangles (F, 3, 3); ab.ab, ab.ac, ac.ac, 1 / determinant (4, F)."""
    a, b, c = corners.transpose(1, 0, 2)
    ab, ac = b - a, c - a
    bb, bc, cc = ((x * y).sum(1) for x, y in ((ab, ab), (ab, ac), (ac, ac)))
    return a, ab, ac, np.stack([bb, bc, cc, 1 / np.maximum(bb * cc - bc**2, 1e-30)])


def _squared_distances(corners: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Squared distances (N,) from points (N, 3) to the triangles face (N,) of (F, 3, 3)."""
    a, ab, ac, products = _edges(corners)

    def some(points: np.ndarray, face: np.ndarray) -> np.ndarray:
        p = points - a[face]
        pp, pb, pc = (np.einsum("ij,ij->i", p, q) for q in (p, ab[face], ac[face]))
        bb, bc, cc, inverse = products[:, face]
        v, w = (cc * pb - bc * pc) * inverse, (bb * pc - bc * pb) * inverse
        along, edge = pc - bc - pb + bb, bb + cc - 2 * bc
        t, s, r = (np.minimum(np.maximum(x, 0), 1) for x in (pb / bb, pc / cc, along / edge))
        rim = np.minimum(pp - t * (2 * pb - t * bb), pp - s * (2 * pc - s * cc))
        rim = np.minimum(rim, pp - 2 * pb + bb - r * (2 * along - r * edge))
        beside = (v >= 0) & (w >= 0) & (v + w <= 1)
        return np.maximum(np.where(beside, pp - v * pb - w * pc, rim), 0)

    def every(points: np.ndarray, face: np.ndarray) -> np.ndarray:
        chunks = (slice(at, at + 8192) for at in range(0, len(face), 8192))  # stay in the cache
        return np.concatenate([np.zeros(0), *(some(points[at], face[at]) for at in chunks)])

    return every


def band_distances(parts: Parts, boxes: Boxes, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unsigned distances of grid points to their own part, and their nearest faces.

    Exact within 0.7 voxels of the surface; further out the nearest face is handed on from
    neighbour to neighbour (as in Bridson's level set maker). Flat arrays over the boxes; infinity
    and -1 beyond reach.
    """
    corners, voxel = parts.vertices[parts.faces], boxes.voxel
    squared_distances, count = _squared_distances(corners), boxes.first[-1]
    squared, nearest = np.full(count, np.inf), np.full(count, -1, np.int64)

    def improve(place, index, face):
        found = squared_distances(boxes.to_position(index), face)
        better = found < squared[place] - 1e-12
        place, found, face = place[better], found[better], face[better]
        np.minimum.at(squared, place, found)
        won = squared[place] == found
        nearest[place[won]] = face[won]
        return place

    pieces, piece_face = cut_triangles(corners, 3 * voxel)
    low = np.ceil((pieces.min(1) - 0.7 * voxel + 1) / voxel - 0.5).astype(np.int64)
    high = np.floor((pieces.max(1) + 0.7 * voxel + 1) / voxel - 0.5).astype(np.int64)
    piece, index = lattice(low, high)
    face = piece_face[piece]
    changed = improve(boxes.place(parts.part[face], index), index, face)
    mark = np.zeros(len(squared), bool)
    steps = np.concatenate([np.eye(3, dtype=np.int64), -np.eye(3, dtype=np.int64)])
    while len(changed):
        mark[changed] = True
        changed = np.flatnonzero(mark)
        mark[changed] = False
        part, index = boxes.index(changed)
        within = squared[changed] <= reach[part] ** 2
        changed, part, index = changed[within], part[within], index[within]
        stride = boxes.strides(part)
        place = (changed[:, None] + np.concatenate([stride, -stride], axis=1)).reshape(-1)
        # a neighbour is at most one voxel closer to the face that is handed on
        nearer = np.repeat((np.sqrt(squared[changed]) - voxel).clip(0) ** 2, 6)
        face = np.repeat(nearest[changed], 6)
        new = np.flatnonzero((squared[place] > nearer) & (nearest[place] != face))
        changed = improve(place[new], index[new // 6] + steps[new % 6], face[new])
    return np.sqrt(squared), nearest


def closest_barycentric(parts: Parts, points: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (N, 3) of points projected to their faces, clamped."""
    a, ab, ac, (bb, bc, cc, scale) = _edges(parts.vertices[parts.faces[face]])
    pb, pc = ((points - a) * ab).sum(1), ((points - a) * ac).sum(1)
    v, w = (cc * pb - bc * pc) * scale, (bb * pc - bc * pb) * scale
    weights = np.stack([1 - v - w, v, w], axis=1).clip(0)
    return weights / weights.sum(1, keepdims=True)


def winding_numbers(parts: Parts, boxes: Boxes) -> np.ndarray:
    """Winding number of each grid point around its own part (flat over the boxes; 0 for sheets).

    Every solid is closed by its lids, so the faces crossed along a grid column count the winding
    number exactly. An edge is tested in one direction only, whichever face asks, so that no column
    slips between two faces, be it on their edge.
    """
    keep = parts.solid[parts.part]
    faces = np.concatenate([parts.faces[keep], parts.lids])
    part = np.concatenate([parts.part[keep], parts.lid_part])
    corners = parts.vertices[faces] + np.array([3.1e-7, 7.3e-7, 0])  # few columns near a vertex
    low = np.ceil((corners[..., :2].min(1) + 1) / boxes.voxel - 0.5).astype(np.int64)
    high = np.floor((corners[..., :2].max(1) + 1) / boxes.voxel - 0.5).astype(np.int64)
    face, column = lattice(low, high)
    x, y = boxes.to_position(column).T
    sides = []
    for first, second in ((1, 2), (2, 0), (0, 1)):
        turned = faces[face, first] > faces[face, second]
        start = np.where(turned[:, None], corners[face, second], corners[face, first])
        stop = np.where(turned[:, None], corners[face, first], corners[face, second])
        along, aside = (stop - start)[:, :2].T
        side = along * (y - start[:, 1]) - aside * (x - start[:, 0])
        # a column on an edge counts as moved by an infinitely small step in x, and less in y
        side = np.where(side == 0, 1e-300 * np.where(aside != 0, -aside, along), side)
        sides.append(np.where(turned, -side, side))
    side = np.stack(sides, axis=1)
    up, down = side.min(1) > 0, side.max(1) < 0
    hit = up | down
    face, side = face[hit], side[hit]
    z = (side * corners[face][..., 2]).sum(1) / side.sum(1)
    index = np.column_stack([column[hit], np.ceil((z + 1) / boxes.voxel - 0.5).astype(np.int64)])
    place, turn = boxes.place(part[face], index), np.where(up[hit], -1, 1)
    crossings = np.bincount(place, turn, minlength=boxes.first[-1])
    return np.rint(np.cumsum(crossings)).astype(np.int64)
