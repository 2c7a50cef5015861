"""From a signed distance grid to a finished mesh: start at `surface_mesh`.

A mesh is two arrays: vertices (V, 3) float and faces (F, 3) int64, each face counter-clockwise seen
from outside. World axes are right-handed: y up, the object facing +z, in metres.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from geoflow.checks import at_least
from geoflow.geometry import isosurface
from geoflow.geometry.frames import to_world
from geoflow.geometry.pointcloud import Floats, Integers

Vertices = NDArray[np.float64]
Faces = NDArray[np.int64]
Simpler = tuple[Vertices, Faces] | None

FRAGMENT = 0.01  # loose pieces below this share of the whole area are dropped


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


def surface_mesh(grid: Floats, resolution: int = 128, scale: float = 1.0) -> SurfaceMesh:
    """(R, R, R) signed distance grid -> a mesh to put in a scene.

    Args:
        grid: (R, R, R) cell-centred over [-1, 1]^3, axes x, y, z; negative inside.
        resolution: The grid is interpolated to this many cells a side first; at most R: it is not.
        scale: Longest side of the mesh's bounding box, metres.

    Raises:
        ValueError: The grid holds no surface or is no finite cube; or as `to_world`.
    """
    fine = isosurface.upsample_tricubic(grid, resolution)
    vertices, faces, removed = remove_fragments(*isosurface.extract_surface(fine))
    return describe(to_world(vertices, scale), faces, removed)


def describe(vertices: Vertices, faces: Faces, fragments_removed: int = 0) -> SurfaceMesh:
    """(V, 3) metres, (F, 3) -> the same arrays with normals, watertightness and volume."""
    normals, volume = vertex_normals(vertices, faces), signed_volume(vertices, faces)
    return SurfaceMesh(vertices, faces, normals, fragments_removed, is_watertight(faces), volume)


def simplify(mesh: SurfaceMesh, target_faces: int) -> SurfaceMesh:
    """As `decimate`, of a watertight `SurfaceMesh`."""
    if len(mesh.faces) <= target_faces:
        return mesh
    return describe(*decimate(mesh.vertices, mesh.faces, target_faces), mesh.fragments_removed)


def is_watertight(faces: Integers) -> bool:
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


def is_closed(vertices: Floats, faces: Integers) -> bool:
    """(V, 3), (F, 3) -> `is_watertight` once equal vertices are one and faces without area gone.

    Files that keep a vertex for every face (.stl) or seam (.glb) need this.
    """
    if is_watertight(faces):
        return True
    _, index = np.unique(np.asarray(vertices) + 0.0, axis=0, return_inverse=True)  # + 0.0: no -0.0
    faces = index.ravel()[faces]
    repeated = (faces == np.roll(faces, 1, axis=1)).any(axis=1)
    return is_watertight(faces[~repeated])


def signed_volume(vertices: Floats, faces: Integers) -> float:
    """(V, 3), (F, 3) -> enclosed volume in the vertices' unit cubed; negative if inside out."""
    return float(_face_volumes(vertices, faces).sum())


def _corners(vertices: Floats, faces: Integers) -> tuple[Vertices, Vertices, Vertices]:
    """(V, 3), (F, 3) -> the faces' corners, three (3, F): axes first is twice as fast here."""
    columns = np.ascontiguousarray(vertices.T, dtype=np.float64)
    first, second, third = np.ascontiguousarray(faces.T)
    return columns[:, first], columns[:, second], columns[:, third]


def _cross(a: Vertices, b: Vertices) -> Vertices:
    """(3, F), (3, F) -> (3, F) cross products."""
    return np.stack([a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))])


def _dot(a: Vertices, b: Vertices) -> Vertices:
    """(3, F), (3, F) -> (F,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(a: Vertices) -> Vertices:
    """(3, F) scaled to length 1; a zero vector stays zero."""
    return a / np.maximum(np.sqrt(_dot(a, a)), 1e-300)


def _face_volumes(vertices: Floats, faces: Integers) -> Vertices:
    """(F,) signed volumes of the tetrahedra that the faces form with the first vertex."""
    a, b, c = _corners(np.asarray(vertices, dtype=np.float64) - vertices[0], faces)
    return _dot(a, _cross(b, c)) / 6.0


def face_areas(vertices: Floats, faces: Integers) -> Vertices:
    """(V, 3), (F, 3) -> (F,) areas in the vertices' unit squared."""
    a, b, c = _corners(vertices, faces)
    normal = _cross(b - a, c - a)
    return 0.5 * np.sqrt(_dot(normal, normal))


def vertex_normals(vertices: Floats, faces: Integers) -> Vertices:
    """(V, 3), (F, 3) -> (V, 3) unit normals, each the mean of its faces' weighted by their angle.

    On extracted spheres, angle weights were twice as close to the true normal as area weights. A
    vertex without a face, or whose faces cancel out, gets (0, 1, 0).
    """
    a, b, c = _corners(vertices, faces)
    ab, bc, ca = _unit(b - a), _unit(c - b), _unit(a - c)
    normal = _unit(_cross(ab, bc))
    at_a, at_b = (np.arccos(np.clip(-_dot(x, y), -1.0, 1.0)) for x, y in ((ab, ca), (bc, ab)))
    angles, corners = np.stack([at_a, at_b, np.pi - at_a - at_b]), faces.T.ravel()
    weights = ((angles * along).ravel() for along in normal)
    total = np.array([np.bincount(corners, each, len(vertices)) for each in weights], np.float64)
    length = np.sqrt(_dot(total, total))
    result = np.where(length > 1e-12, total / np.maximum(length, 1e-12), [[0.0], [1.0], [0.0]])
    return np.ascontiguousarray(result.T)


def remove_fragments(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces, int]:
    """Drops small loose pieces: (V, 3), (F, 3) -> (V', 3), (F', 3), number of pieces dropped.

    A piece is a connected component. It goes if its area is below `FRAGMENT` of the whole. A hollow
    (a closed piece of negative volume inside another) counts like any piece: a small one is filled,
    a large one stays, still facing into the hollow. A hollow left without a solid whose bounding
    box holds its own goes too. The largest solid always stays.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(faces) == 0:
        return vertices, faces, 0
    rows, columns = faces[:, :2].ravel(), faces[:, 1:].ravel()
    links = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (len(vertices),) * 2)
    count, piece_of_vertex = connected_components(links, directed=False)
    piece = piece_of_vertex[faces[:, 0]]
    area = np.bincount(piece, face_areas(vertices, faces), count)
    # A component without a face is a vertex that no face uses: not a piece, dropped unseen.
    is_piece = np.bincount(piece, minlength=count) > 0
    keep = (area >= FRAGMENT * area.sum()) & is_piece
    if is_piece.sum() > 1:
        volume = np.bincount(piece, _face_volumes(vertices, faces), count)
        solid = is_piece & (volume >= 0)
        keep[np.argmax(np.where(solid, area, -1.0))] = True

        def box(i: np.intp) -> tuple[Vertices, Vertices]:
            own = vertices[piece_of_vertex == i]
            return own.min(axis=0), own.max(axis=0)

        around = [box(i) for i in np.flatnonzero(keep & solid)]
        for hollow in np.flatnonzero(keep & ~solid):
            low, high = box(hollow)
            keep[hollow] = any((a <= low).all() and (high <= b).all() for a, b in around)
    if keep.all():
        return vertices, faces, 0
    faces = faces[keep[piece]]
    used = keep[piece_of_vertex]
    renumbered = np.cumsum(used) - 1
    return vertices[used], renumbered[faces], int((is_piece & ~keep).sum())


def decimate(vertices: Vertices, faces: Faces, target_faces: int) -> tuple[Vertices, Faces]:
    """A watertight mesh -> a watertight mesh of at most `target_faces` faces.

    Quadric edge collapse (open3d) where open3d imports and its result is watertight; otherwise
    manifold3d's collapse with a growing tolerance. A mesh small enough is returned as it is. Raises
    ValueError where the mesh is not watertight, `target_faces` is below 4, no method gets there
    without breaking or losing the shape, or neither library is installed.
    """
    at_least("target_faces", target_faces, 4)
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


def _decimate_open3d(vertices: Vertices, faces: Faces, target_faces: int) -> Simpler:
    """Quadric edge collapse; None without open3d."""
    if not isosurface.has_open3d():
        return None
    from open3d import geometry, utility

    arrays = utility.Vector3dVector(vertices), utility.Vector3iVector(faces)
    simple = geometry.TriangleMesh(*arrays).simplify_quadric_decimation(target_faces)
    simple.remove_unreferenced_vertices()
    return np.array(simple.vertices), np.array(simple.triangles, dtype=np.int64)


def _decimate_manifold(vertices: Vertices, faces: Faces, target_faces: int) -> Simpler:
    """Edge collapse within a tolerance, grown until few enough faces are left; None if never."""
    try:
        from manifold3d import Manifold, Mesh64
    except ImportError:
        return None
    arrays = np.ascontiguousarray(vertices), np.ascontiguousarray(faces, np.uint64)
    solid = Manifold(Mesh64(*arrays))
    longest = float(np.ptp(vertices, axis=0).max())
    for tolerance in longest * np.geomspace(1e-5, 0.05, 24):
        solid = solid.simplify(float(tolerance))
        if solid.num_tri() <= target_faces:
            mesh = solid.to_mesh64()
            simple = np.array(mesh.vert_properties)[:, :3], np.array(mesh.tri_verts, dtype=np.int64)
            return simple if len(simple[1]) else None
    return None
