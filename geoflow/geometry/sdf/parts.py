"""The parts of a mesh: solids and sheets, their orientation, and how much the thin ones must grow.

Used by `geoflow.geometry.sdf`; start at `split_parts`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from geoflow.checks import require

WELD_TOLERANCE = 1e-5
SEAM_TOLERANCE = 0.01  # rims of two open parts closer than this are one seam (cube half-size 1)
MAX_OPEN_FRACTION = 0.02  # of a part's edges; above, the part is a sheet


@dataclass(frozen=True)
class Parts:
    """A mesh split into parts.

    Attributes:
        vertices: (V, 3) float64, welded; the last ones are the centres of closed holes.
        faces: (F, 3) int64; in solids oriented outward.
        part: (F,) part of each face.
        lids: (L, 3) faces that close the holes of solids; they count for the sign only.
        lid_part: (L,) part of each lid.
        solid: (P,) bool; other parts are sheets.
        thickness: (P,) 2 x volume / area: the thickness of a plate, half the diameter of a rod.
    """

    vertices: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    lids: np.ndarray
    lid_part: np.ndarray
    solid: np.ndarray
    thickness: np.ndarray

    def boxes(self, *, lids: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner (P, 3) of each part's faces, and of its lids."""
        faces, part = self.faces, self.part
        if lids:
            faces, part = np.concatenate([faces, self.lids]), np.concatenate([part, self.lid_part])
        low, high = np.full((len(self.solid), 3), np.inf), np.full((len(self.solid), 3), -np.inf)
        np.minimum.at(low, part, self.vertices[faces].min(1))
        np.maximum.at(high, part, self.vertices[faces].max(1))
        return low, high


def split_parts(vertices: np.ndarray, faces: np.ndarray) -> Parts:
    """Welds, cleans and orients a mesh and splits it into solids and sheets. See `mesh_to_sdf`."""
    vertices, faces = _clean(vertices, faces)
    faces, part = _igl().bfs_orient(faces)
    rims, rim_part = _open_edges(faces, part)
    faces, part = _merge_seams(vertices, faces, part, rims, rim_part)
    rims, rim_part = _open_edges(faces, part)
    count = part.max() + 1
    edges = (np.bincount(part, minlength=count) * 3 + np.bincount(rim_part, minlength=count)) / 2
    open_edges = np.bincount(rim_part, _unmatched(vertices, rims, rim_part), minlength=count)
    solid = open_edges <= MAX_OPEN_FRACTION * edges
    closable = solid[rim_part]
    lids, lid_part, vertices = _lids(vertices, rims[closable], rim_part[closable])

    all_part = np.concatenate([part, lid_part])
    a, b, c = vertices[np.concatenate([faces, lids])].transpose(1, 0, 2)
    volume = np.bincount(all_part, (a * np.cross(b, c)).sum(1) / 6, minlength=count)
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area = np.bincount(part, np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2, minlength=count)
    inverted = solid & (volume < 0)
    faces = np.where(inverted[part, None], faces[:, ::-1], faces)
    lids = np.where(inverted[lid_part, None], lids[:, ::-1], lids)
    thickness = 2 * np.abs(volume) / np.maximum(area, 1e-12)
    return Parts(vertices, faces, part, lids, lid_part, solid, thickness)


def _igl() -> Any:
    require("igl")
    return importlib.import_module("igl")


def _clean(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Checks the mesh, welds its vertices and drops degenerate and repeated faces."""
    vertices = np.ascontiguousarray(vertices, np.float64)
    faces = np.ascontiguousarray(faces, np.int64)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(
            f"vertices and faces must be (V, 3) and (F, 3), got {vertices.shape} and {faces.shape}"
        )
    if not np.isfinite(vertices).all() or (len(vertices) and np.abs(vertices).max() > 1):
        raise ValueError("vertices must be finite and inside [-1, 1]^3; call fit_frame first")
    if len(faces):
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(
                f"faces must index the {len(vertices)} vertices, got {faces.min()}..{faces.max()}"
            )
        vertices, _, _, faces = _igl().remove_duplicate_vertices(vertices, faces, WELD_TOLERANCE)
        a, b, c = vertices[faces].transpose(1, 0, 2)
        faces = faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]
        _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
        faces = faces[np.sort(first)]
    if len(faces) == 0:
        raise ValueError("the mesh must have a face with an area, got none")
    return vertices, faces


def _open_edges(faces: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directed edges (E, 2) with no opposite one in the same part, and their part (E,)."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edge_part = np.repeat(part, 3)
    size = int(faces.max()) + 1
    forward = edges[:, 0] < edges[:, 1]
    key = (edge_part * size + edges.min(1)) * size + edges.max(1)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    balance = np.rint(np.bincount(inverse, np.where(forward, 1, -1))).astype(np.int64)
    right, edges = forward[first] == (balance > 0), edges[first]
    edges, times = np.where(right[:, None], edges, edges[:, ::-1]), np.abs(balance)
    return np.repeat(edges, times, axis=0), np.repeat(edge_part[first], times)


def _rim_samples(
    vertices: np.ndarray, rims: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples along open edges, at most half a seam tolerance apart.

    The edge (S,) of each sample, that edge's vector (S, 3), and the pairs (K, 2) of samples within
    the tolerance of each other.
    """
    start, step = vertices[rims[:, 0]], vertices[rims[:, 1]] - vertices[rims[:, 0]]
    pieces = np.ceil(np.linalg.norm(step, axis=1) / (SEAM_TOLERANCE / 2)).astype(int).clip(1)
    edge = np.repeat(np.arange(len(rims)), pieces)
    place = np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    points = start[edge] + ((place + 0.5) / pieces[edge])[:, None] * step[edge]
    return edge, step[edge], KDTree(points).query_pairs(SEAM_TOLERANCE, output_type="ndarray")


def _merge_seams(vertices, faces, part, rims, rim_part):
    """Joins open parts whose rims coincide, turning them to one orientation.

    Simplification leaves table tops as a band and two lids whose rims meet without sharing
    vertices; each would be a sheet, and the top a hollow box.
    """
    if len(np.unique(rim_part)) < 2:
        return faces, part
    edge, tangent, near = _rim_samples(vertices, rims)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True).clip(1e-12)
    owner = rim_part[edge]
    near = near[owner[near[:, 0]] != owner[near[:, 1]]]
    if len(near) == 0:
        return faces, part
    count = part.max() + 1
    touched = np.zeros(len(edge), bool)
    touched[near] = True
    share = np.bincount(owner, touched, count) / np.bincount(owner, minlength=count).clip(1)
    near = near[(share[owner[near]] > 0.2).all(1)]
    along = (tangent[near[:, 0]] * tangent[near[:, 1]]).sum(1)
    vote = coo_array((along, tuple(owner[near].T)), shape=(count, count)).tocsr()
    vote = (vote + vote.T).tocoo()
    flip, label = np.zeros(count, bool), np.arange(count)
    links = zip(*vote.coords, vote.data, strict=True)
    for row, column, value in sorted(links, key=lambda link: -abs(link[2])):
        if label[row] == label[column]:
            continue
        joining = label == label[column]
        # rims of a consistently oriented surface run against each other
        if (value > 0) != (flip[row] != flip[column]):
            flip[joining] ^= True
        label[joining] = label[row]
    _, label = np.unique(label, return_inverse=True)
    return np.where(flip[part, None], faces[:, ::-1], faces), label[part]


def _unmatched(vertices: np.ndarray, rims: np.ndarray, rim_part: np.ndarray) -> np.ndarray:
    """Share (E,) of each open edge that has no opposite open edge of its part beside it."""
    if len(rims) == 0:
        return np.zeros(0)
    edge, tangent, near = _rim_samples(vertices, rims)
    owner = rim_part[edge]
    a, b = near[(owner[near[:, 0]] == owner[near[:, 1]])].T
    lengths = np.linalg.norm(tangent, axis=1).clip(1e-12)
    opposite = (tangent[a] * tangent[b]).sum(1) < -0.5 * lengths[a] * lengths[b]
    alone = np.ones(len(edge))
    alone[a[opposite]] = alone[b[opposite]] = 0
    return np.bincount(edge, alone, minlength=len(rims)) / np.bincount(edge, minlength=len(rims))


def _lids(vertices, rims, rim_part):
    """Fans around a new vertex in each hole's middle; the part is then exactly closed."""
    if len(rims) == 0:
        return np.zeros((0, 3), np.int64), np.zeros(0, np.int64), vertices
    size = len(vertices)
    graph = coo_array((np.ones(len(rims)), tuple(rims.T)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][rims[:, 0]]
    _, hole = np.unique(component * (rim_part.max() + 1) + rim_part, return_inverse=True)
    length = np.linalg.norm(vertices[rims[:, 0]] - vertices[rims[:, 1]], axis=1).clip(1e-9)
    middle, weight = vertices[rims].mean(1), np.bincount(hole, length)
    centres = np.stack([np.bincount(hole, length * along) / weight for along in middle.T], axis=1)
    lids = np.column_stack([rims[:, 1], rims[:, 0], size + hole])
    return lids, rim_part, np.concatenate([vertices, centres])


def without_specks(parts: Parts, size: float) -> Parts:
    """Leaves out parts smaller than `size` along every axis (screws, hinges), unless all are."""
    low, high = parts.boxes()
    keep = (high - low).max(1) >= size
    if keep.all() or not keep.any():
        return parts
    number, face, lid = np.cumsum(keep) - 1, keep[parts.part], keep[parts.lid_part]
    part, lid_part = number[parts.part[face]], number[parts.lid_part[lid]]
    faces, lids = parts.faces[face], parts.lids[lid]
    solid, thickness = parts.solid[keep], parts.thickness[keep]
    return Parts(parts.vertices, faces, part, lids, lid_part, solid, thickness)


def thickening(parts: Parts, least: float) -> np.ndarray:
    """How far the surface moves out at each face's corners (F, 3) for a thickness of `least`."""
    faces, part = parts.faces, parts.part
    a, b, c = parts.vertices[faces].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    area = np.linalg.norm(normals, axis=1)
    normals /= area[:, None]
    # one tree for all parts: each is moved to a place of its own, so that rays meet no other
    corners = parts.vertices[faces] + (4.0 * part)[:, None, None] * np.array([1.0, 0, 0])
    soup, soup_faces = corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3)
    tree = _igl().AABB()
    tree.init(soup, soup_faces)

    def cast(start: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hit, along, _ = tree.intersect_ray_first(soup, soup_faces, start, direction, 2 * least)
        return hit, np.where(hit >= 0, along, np.inf)

    hit, thickness = cast(corners.mean(1) - 1e-6 * normals, -normals)
    # only a face that looks the other way, not a neighbour across an edge
    thickness[(normals * normals[hit]).sum(1) > -0.1] = np.inf
    # a rod is thin across as well; one of few sides is thinner than a ray says
    slim = np.flatnonzero(thickness < 1.5 * least)
    middle = corners[slim].mean(1) - thickness[slim, None] / 2 * normals[slim]
    edges = np.roll(corners[slim], -1, axis=1) - corners[slim]
    longest = edges[np.arange(len(slim)), np.linalg.norm(edges, axis=2).argmax(1)]
    across = np.cross(normals[slim], longest / np.linalg.norm(longest, axis=1, keepdims=True))
    width = cast(middle, across)[1] + cast(middle, -across)[1]
    rod, middle = slim[width < 1.5 * least], middle[width < 1.5 * least]
    if len(rod):
        inscribed = 2 * np.sqrt(tree.squared_distance(soup, soup_faces, middle)[0])
        thickness[rod] = np.minimum(thickness[rod], 1.15 * inscribed)
    thickness[parts.thickness[part] < 0.02 * least] = 0.0
    offset = np.clip((least - thickness) / 2, 0, least / 2)
    offset[~parts.solid[part]] = least / 2
    corner_offset = np.repeat(offset[:, None], 3, axis=1)
    mixed = parts.solid & (np.bincount(part, offset, minlength=len(parts.solid)) > 0)
    smooth = mixed[part]
    if smooth.any():
        corner_offset[smooth] = _smooth_over_surface(corners[smooth], offset[smooth], least)
    return corner_offset


def _smooth_over_surface(corners: np.ndarray, offset: np.ndarray, radius: float) -> np.ndarray:
    """Values of faces (F,) to their corners (F, 3): the mean within `radius` of those above 0.

    Where those cover less than 40 % of the area around a corner the mean fades to 0 (at 10 %): the
    rim of a thin wall gets the wall's value, a sliver in a thick face none.
    """
    pieces, face = cut_triangles(corners, radius)
    a, b, c = pieces.transpose(1, 0, 2)
    weight = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    points, inverse = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    middles = KDTree(pieces.mean(1))
    near = KDTree(points).sparse_distance_matrix(middles, radius, output_type="ndarray")
    value, weight, row = offset[face][near["j"]], weight[near["j"]], near["i"]
    total, above, first = (
        np.bincount(row, weight * term, minlength=len(points)) for term in (1, value > 0, value)
    )
    share = above / total.clip(1e-15)
    at_point = first / above.clip(1e-15) * ((share - 0.1) / 0.3).clip(0, 1)
    return at_point[inverse.reshape(-1)].reshape(-1, 3)


def lattice(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All integer points of N boxes low..high (N, K), inclusive: item (M,) and point (M, K)."""
    shape = (high - low + 1).clip(0)
    counts = shape.prod(1)
    item = np.repeat(np.arange(len(low)), counts)
    rest = np.arange(len(item)) - np.repeat(np.cumsum(counts) - counts, counts)
    point = np.empty((len(item), low.shape[1]), np.int64)
    for axis in reversed(range(low.shape[1])):
        size = shape[item, axis]
        rest, point[:, axis] = np.divmod(rest, size)
    return item, point + low[item]


def cut_triangles(corners: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Halves the longest edges of triangles (F, 3, 3) until none exceeds `longest`.

    To the pieces' corners (M, 3, 3) and faces (M,). A long sliver is cut across only.
    """
    face, done, done_face = np.arange(len(corners)), [], []
    while len(corners):
        following = np.roll(corners, -1, axis=1)
        lengths = ((following - corners) ** 2).sum(2)
        side = lengths.argmax(1)
        fits = lengths.max(1) <= longest**2
        done.append(corners[fits])
        done_face.append(face[fits])
        corners, face, side = corners[~fits], face[~fits], side[~fits]
        a, b, c = (corners[np.arange(len(side)), (side + turn) % 3] for turn in range(3))
        middle = (a + b) / 2
        corners = np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])
        face = np.concatenate([face, face])
    return np.concatenate(done), np.concatenate(done_face)
