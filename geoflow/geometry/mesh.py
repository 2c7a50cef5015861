"""From a signed distance grid to a finished mesh: start at `surface_mesh`.

A mesh is two arrays: vertices (V, 3) float and faces (F, 3) int64, each face counter-clockwise seen
from outside. World axes are right-handed: y up, the object facing +z, in metres.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.geometry import isosurface
from geoflow.geometry.frames import to_world

Vertices = NDArray[np.float64]
Faces = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class SurfaceMesh:
    """A finished mesh.

    Attributes:
        vertices: (V, 3) metres; y up, facing +z, feet on y = 0, centred in x and z.
        faces: (F, 3) indices into vertices, counter-clockwise seen from outside.
        normals: (V, 3) unit vectors pointing outward.
        fragments_removed: Loose pieces that were dropped.
        watertight: Every edge joins exactly two faces that run along it in opposite directions.
        volume: Enclosed volume, cubic metres.
    """

    vertices: Vertices
    faces: Faces
    normals: Vertices
    fragments_removed: int
    watertight: bool
    volume: float


def surface_mesh(
    grid: NDArray[np.floating[Any]],
    resolution: int = 128,
    scale: float = 1.0,
    *,
    min_area_fraction: float = 0.01,
    target_faces: int | None = None,
) -> SurfaceMesh:
    """(R, R, R) signed distance grid -> a mesh to put in a scene.

    Args:
        grid: (R, R, R) cell-centred over [-1, 1]^3, axes x, y, z; negative inside.
        resolution: The grid is interpolated to this many cells a side first; at most R: it is not.
        scale: Longest side of the mesh's bounding box, metres.
        min_area_fraction: Loose pieces below this share of the whole area are dropped.
        target_faces: Simplify to about this many faces; None keeps all.

    Raises:
        ValueError: The grid holds no surface or is no finite cube; or as `decimate`, `to_world`.
    """
    fine = isosurface.upsample_tricubic(grid, resolution)
    vertices, faces = isosurface.extract_surface(fine)
    vertices, faces, removed = remove_fragments(vertices, faces, min_area_fraction)
    if target_faces is not None:
        vertices, faces = decimate(vertices, faces, target_faces)
    return describe(to_world(vertices, scale), faces, removed)


def describe(vertices: Vertices, faces: Faces, fragments_removed: int = 0) -> SurfaceMesh:
    """(V, 3) metres, (F, 3) -> the same arrays with normals, watertightness and volume."""
    return SurfaceMesh(
        vertices=vertices,
        faces=faces,
        normals=vertex_normals(vertices, faces),
        fragments_removed=fragments_removed,
        watertight=is_watertight(faces),
        volume=signed_volume(vertices, faces),
    )


def simplify(mesh: SurfaceMesh, target_faces: int) -> SurfaceMesh:
    """A watertight mesh of at most `target_faces` faces; a mesh small enough stays as it is.

    Raises:
        ValueError: As `decimate`.
    """
    if len(mesh.faces) <= target_faces:
        return mesh
    return describe(*decimate(mesh.vertices, mesh.faces, target_faces), mesh.fragments_removed)


def is_watertight(faces: NDArray[np.integer[Any]]) -> bool:
    """(F, 3) -> whether every edge joins exactly two faces, in opposite directions."""
    if len(faces) == 0:
        return False
    faces = np.asarray(faces, dtype=np.int64)
    start = faces.ravel()
    end = np.roll(faces, -1, axis=1).ravel()
    if (start == end).any():
        return False
    # One number per half edge: the undirected edge, then its direction in the last bit. Sorted, the
    # two halves of an edge are neighbours.
    edge = np.minimum(start, end) * (int(faces.max()) + 1) + np.maximum(start, end)
    halves = np.sort(2 * edge + (start > end))
    if len(halves) % 2 or (halves[1:] == halves[:-1]).any():
        return False
    return bool((halves[::2] >> 1 == halves[1::2] >> 1).all())


def is_closed(vertices: NDArray[np.floating[Any]], faces: NDArray[np.integer[Any]]) -> bool:
    """(V, 3), (F, 3) -> `is_watertight` once equal vertices are one and faces without area gone.

    Files that keep a vertex for every face (.stl) or seam (.glb) need this.
    """
    if is_watertight(faces):
        return True
    _, index = np.unique(np.asarray(vertices) + 0.0, axis=0, return_inverse=True)  # + 0.0: no -0.0
    faces = index.ravel()[faces]
    repeated = (faces == np.roll(faces, 1, axis=1)).any(axis=1)
    return is_watertight(faces[~repeated])


def signed_volume(vertices: NDArray[np.floating[Any]], faces: NDArray[np.integer[Any]]) -> float:
    """(V, 3), (F, 3) -> enclosed volume in the vertices' unit cubed; negative if inside out."""
    return float(_face_volumes(vertices, faces).sum())


def _corners(
    vertices: NDArray[np.floating[Any]], faces: NDArray[np.integer[Any]]
) -> tuple[Vertices, Vertices, Vertices]:
    """(V, 3), (F, 3) -> the faces' corners, three (3, F): axes first is twice as fast here."""
    columns = np.ascontiguousarray(vertices.T, dtype=np.float64)
    first, second, third = np.ascontiguousarray(faces.T)
    return columns[:, first], columns[:, second], columns[:, third]


def _cross(a: Vertices, b: Vertices) -> Vertices:
    """(3, F), (3, F) -> (3, F) cross products."""
    return np.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


def _dot(a: Vertices, b: Vertices) -> Vertices:
    """(3, F), (3, F) -> (F,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(a: Vertices) -> Vertices:
    """(3, F) scaled to length 1; a zero vector stays zero."""
    return a / np.maximum(np.sqrt(_dot(a, a)), 1e-300)


def _face_volumes(vertices: NDArray[np.floating[Any]], faces: NDArray[np.integer[Any]]) -> Vertices:
    """(F,) signed volumes of the tetrahedra that the faces form with the first vertex."""
    a, b, c = _corners(np.asarray(vertices, dtype=np.float64) - vertices[0], faces)
    return _dot(a, _cross(b, c)) / 6.0


def face_areas(vertices: NDArray[np.floating[Any]], faces: NDArray[np.integer[Any]]) -> Vertices:
    """(V, 3), (F, 3) -> (F,) areas in the vertices' unit squared."""
    a, b, c = _corners(vertices, faces)
    normal = _cross(b - a, c - a)
    return 0.5 * np.sqrt(_dot(normal, normal))


def vertex_normals(
    vertices: NDArray[np.floating[Any]], faces: NDArray[np.integer[Any]]
) -> Vertices:
    """(V, 3), (F, 3) -> (V, 3) unit normals, each the mean of its faces' weighted by their angle.

    On extracted spheres, angle weights were twice as close to the true normal as area weights. A
    vertex without a face, or whose faces cancel out, gets (0, 1, 0).
    """
    a, b, c = _corners(vertices, faces)
    ab, bc, ca = _unit(b - a), _unit(c - b), _unit(a - c)
    normal = _unit(_cross(ab, bc))
    angle_a = np.arccos(np.clip(-_dot(ab, ca), -1.0, 1.0))
    angle_b = np.arccos(np.clip(-_dot(bc, ab), -1.0, 1.0))
    angles = np.stack([angle_a, angle_b, np.pi - angle_a - angle_b])
    corners = faces.T.ravel()
    total = np.zeros((3, len(vertices)))
    for axis in range(3):
        weights = (angles * normal[axis]).ravel()
        total[axis] = np.bincount(corners, weights, len(vertices))
    length = np.sqrt(_dot(total, total))
    result = np.where(length > 1e-12, total / np.maximum(length, 1e-12), [[0.0], [1.0], [0.0]])
    return np.ascontiguousarray(result.T)


def remove_fragments(
    vertices: Vertices, faces: Faces, min_area_fraction: float = 0.01
) -> tuple[Vertices, Faces, int]:
    """Drops small loose pieces: (V, 3), (F, 3) -> (V', 3), (F', 3), number of pieces dropped.

    A piece is a connected component. It goes if its area is below `min_area_fraction` of the whole
    area. A hollow (a closed piece of negative volume inside another) counts like any piece: a small
    one is filled, a large one stays, still facing into the hollow. A hollow left without a solid
    around it goes too. The largest solid always stays.

    Raises:
        ValueError: `min_area_fraction` is outside [0, 1).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not 0 <= min_area_fraction < 1:
        raise ValueError(
            f"min_area_fraction must be in [0, 1); it is {min_area_fraction}; "
            "0.01 drops pieces below 1 % of the area"
        )
    if len(faces) == 0:
        return vertices, faces, 0
    rows, columns = faces[:, :2].ravel(), faces[:, 1:].ravel()
    links = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (len(vertices),) * 2)
    count, piece_of_vertex = connected_components(links, directed=False)
    piece = piece_of_vertex[faces[:, 0]]
    area = np.bincount(piece, face_areas(vertices, faces), count)
    # A component without a face is a vertex that no face uses: not a piece, dropped unseen.
    is_piece = np.bincount(piece, minlength=count) > 0
    keep = (area >= min_area_fraction * area.sum()) & is_piece
    if is_piece.sum() > 1:
        volume = np.bincount(piece, _face_volumes(vertices, faces), count)
        solid = is_piece & (volume >= 0)
        keep[np.argmax(np.where(solid, area, -1.0))] = True
        _drop_orphaned_hollows(keep, solid, vertices, piece_of_vertex)
    if keep.all():
        return vertices, faces, 0
    faces = faces[keep[piece]]
    used = keep[piece_of_vertex]
    renumbered = np.cumsum(used) - 1
    return vertices[used], renumbered[faces], int((is_piece & ~keep).sum())


def _drop_orphaned_hollows(
    keep: NDArray[np.bool_], solid: NDArray[np.bool_], vertices: Vertices, piece: NDArray[Any]
) -> None:
    """Clears keep (C,) for hollows whose bounding box lies in no kept solid's box."""
    hollows = np.flatnonzero(keep & ~solid)
    if len(hollows) == 0:
        return
    boxes = {
        int(i): (vertices[piece == i].min(axis=0), vertices[piece == i].max(axis=0))
        for i in np.flatnonzero(keep)
    }
    for hollow in hollows:
        low, high = boxes[int(hollow)]
        keep[hollow] = any(
            (boxes[int(i)][0] <= low).all() and (high <= boxes[int(i)][1]).all()
            for i in np.flatnonzero(keep & solid)
        )


def decimate(vertices: Vertices, faces: Faces, target_faces: int) -> tuple[Vertices, Faces]:
    """A watertight mesh -> a watertight mesh of at most `target_faces` faces.

    Quadric edge collapse (open3d) where open3d imports and its result is watertight; otherwise
    manifold3d's collapse with a growing tolerance. A mesh small enough is returned as it is.

    Raises:
        ValueError: The mesh is not watertight, `target_faces` is below 4, no method gets there
            without breaking or losing the shape, or neither library is installed.
    """
    if target_faces < 4:
        raise ValueError(f"target_faces must be at least 4; it is {target_faces}; try 5000")
    if not is_watertight(faces):
        raise ValueError(
            f"decimate needs a watertight mesh; the one given ({len(faces)} faces) has open or "
            "doubled edges; pass the result of extract_surface"
        )
    if len(faces) <= target_faces:
        return vertices, faces
    volume = signed_volume(vertices, faces)
    for method in (_decimate_open3d, _decimate_manifold):
        result = method(vertices, faces, target_faces)
        if result is None or len(result[1]) > target_faces or not is_watertight(result[1]):
            continue
        if abs(signed_volume(*result) - volume) <= 0.1 * abs(volume):
            return result
    raise ValueError(
        f"target_faces={target_faces} is not reachable from {len(faces)} faces with open3d or "
        "manifold3d without breaking the surface or 10 % of its volume; ask for more faces, or "
        "pip install manifold3d if neither is installed"
    )


def _decimate_open3d(
    vertices: Vertices, faces: Faces, target_faces: int
) -> tuple[Vertices, Faces] | None:
    """Quadric edge collapse; None without open3d."""
    if not isosurface.has_open3d():
        return None
    import open3d as o3d

    full = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(vertices), o3d.utility.Vector3iVector(faces)
    )
    simple = full.simplify_quadric_decimation(target_faces)
    simple.remove_unreferenced_vertices()
    return np.array(simple.vertices), np.array(simple.triangles, dtype=np.int64)


def _decimate_manifold(
    vertices: Vertices, faces: Faces, target_faces: int
) -> tuple[Vertices, Faces] | None:
    """Edge collapse within a tolerance, grown until few enough faces are left; None if never."""
    try:
        import manifold3d
    except ImportError:
        return None
    solid = manifold3d.Manifold(
        manifold3d.Mesh64(np.ascontiguousarray(vertices), np.ascontiguousarray(faces, np.uint64))
    )
    longest = float(np.ptp(vertices, axis=0).max())
    for tolerance in longest * np.geomspace(1e-5, 0.05, 24):
        solid = solid.simplify(float(tolerance))
        if solid.num_tri() <= target_faces:
            mesh = solid.to_mesh64()
            simple = np.array(mesh.vert_properties)[:, :3], np.array(mesh.tri_verts, dtype=np.int64)
            return simple if len(simple[1]) else None
    return None
