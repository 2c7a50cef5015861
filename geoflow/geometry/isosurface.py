"""From a signed distance grid to its closed surface.

A grid is (R, R, R) float32, axis 0 = x, 1 = y, 2 = z, cell-centred over the cube [-1, 1]^3: index i
is at -1 + (i + 0.5) * 2 / R. Values are negative inside.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.checks import at_least, one_of

FloatArray = NDArray[np.floating[Any]]

# Values closer to the level than this share of the largest are moved to it. A vertex then keeps a
# distance from the grid's corners, so that no face shrinks to a point. At 128^3 and a truncation of
# 0.1 the surface moves by less than 1 % of a cell.
NUDGE = 1e-3


@functools.lru_cache(maxsize=16)
def catmull_rom_weights(source: int, target: int) -> NDArray[np.float32]:
    """(target, source) weights that resample `source` cell-centred values; edges are repeated."""
    position = (np.arange(target) + 0.5) * source / target - 0.5
    left = np.floor(position).astype(np.int64)
    t = position - left
    taps = -(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2
    weights = np.zeros((target, source))
    for offset, tap in enumerate(taps, start=-1):
        np.add.at(weights, (np.arange(target), np.clip(left + offset, 0, source - 1)), 0.5 * tap)
    weights = weights.astype(np.float32)
    weights.setflags(write=False)
    return weights


def check_grid(grid: FloatArray) -> NDArray[np.float32]:
    """(R, R, R) grid as float32; ValueError unless it is finite and a cube of at least 2 cells."""
    grid = np.ascontiguousarray(grid, dtype=np.float32)
    if grid.ndim != 3 or len(set(grid.shape)) != 1 or grid.shape[0] < 2:
        raise ValueError(
            f"grid must have shape (R, R, R) with R >= 2; its shape is {grid.shape}; "
            "pass one shape's grid without batch or channel axes"
        )
    # A float64 sum is finite exactly when every value is; it needs no array of flags.
    if not np.isfinite(grid.sum(dtype=np.float64)):
        bad = int(grid.size - np.isfinite(grid).sum())
        raise ValueError(
            f"grid must be finite; {bad} of {grid.size} values are NaN or infinite; "
            "check the network's output before meshing it"
        )
    return grid


def upsample_tricubic(grid: FloatArray, resolution: int) -> NDArray[np.float32]:
    """(R, R, R) -> (resolution,) * 3 by Catmull-Rom interpolation along each axis.

    The cells stay centred over the same cube, so a surface stays where it is. Three matrix products
    are faster than four-tap gathers (BLAS). Catmull-Rom beat the interpolating cubic B-spline on
    truncated spheres: the kink at the truncation rings less. At most R cells: the grid as it is.
    Raises ValueError where `grid` is not a finite cube, or `resolution` is below 1.
    """
    grid = check_grid(grid)
    source = grid.shape[0]
    at_least("resolution", resolution, 1)
    if resolution <= source:
        return grid
    import torch  # numpy's threads cannot be limited from here, and fight with other workers'

    weights = torch.tensor(catmull_rom_weights(source, resolution))
    fine = (weights @ torch.tensor(grid.reshape(source, -1))).view(resolution, source, source)
    fine = (weights @ fine).view(-1, source) @ weights.T
    return fine.view(resolution, resolution, resolution).numpy()


def extract_surface(
    grid: FloatArray, *, backend: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(R, R, R) -> vertices (V, 3) float64 in the cube's units, faces (F, 3) int64.

    The surface is always closed (the grid is padded with outside values), faces wind
    counter-clockwise seen from outside, and the same grid gives the same bytes.

    Args:
        grid: Cell-centred values, negative inside.
        backend: "open3d" (fastest) or "skimage"; None takes open3d where it imports. They give the
            same surface within a tenth of a cell, in another order.

    Raises:
        ValueError: No value, or every value, is inside; or the grid is not a finite cube.
    """
    grid = check_grid(grid)
    backend = backend or ("open3d" if has_open3d() else "skimage")
    one_of("backend", backend, _BACKENDS)
    index, faces = _BACKENDS[backend](_padded(grid))
    # The padding shifted indices by one: index 1 is the first cell, at -1 + 0.5 * 2 / R.
    vertices = (index.astype(np.float64) - 0.5) * (2.0 / grid.shape[0]) - 1.0
    return vertices, np.ascontiguousarray(faces, dtype=np.int64)


def _padded(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """(R, R, R) -> (R + 2,) * 3 values, none near 0, padded with outside values."""
    low, high = float(grid.min()), float(grid.max())
    if not low < 0 < high:
        raise ValueError(
            "grid has no surface: its values must lie on both sides of 0; they range from "
            f"{low:.3g} to {high:.3g}; take another seed, train longer, or check the grid's sign"
        )
    largest = np.float32(max(-low, high))
    padded, nudge = np.pad(grid, 1, constant_values=largest), np.float32(NUDGE * largest)
    near = np.abs(padded) < nudge
    padded[near] = np.where(padded[near] < 0, -nudge, nudge)
    return padded


@functools.cache
def has_open3d() -> bool:
    """Whether open3d imports here; it needs the system's libusb-1.0. Tried once."""
    with warnings.catch_warnings(action="ignore"):
        try:
            import open3d  # noqa: F401
        except (ImportError, OSError):
            return False
    return True


def _surface_open3d(offsets: NDArray[np.float32]) -> tuple[FloatArray, NDArray[Any]]:
    """Flying edges. open3d's axes are (z, y, x); swapping two of them turns its faces outward."""
    if not has_open3d():
        raise ValueError(
            "backend='open3d' needs open3d and the system's libusb-1.0; open3d does not import; "
            "install them (pip install open3d; apt install libusb-1.0-0) or use backend='skimage'"
        )
    import open3d as o3d

    volume = o3d.core.Tensor.from_numpy(offsets)
    surface = o3d.t.geometry.TriangleMesh.create_isosurfaces(volume, [0.0])
    return surface.vertex.positions.numpy()[:, ::-1], surface.triangle.indices.numpy()


def _surface_skimage(offsets: NDArray[np.float32]) -> tuple[FloatArray, NDArray[Any]]:
    """Marching cubes with Lorensen's table; Lewiner's left edges of four faces on noisy grids."""
    from skimage.measure import marching_cubes

    return marching_cubes(offsets, 0.0, method="lorensen")[:2]


_BACKENDS = {"open3d": _surface_open3d, "skimage": _surface_skimage}
