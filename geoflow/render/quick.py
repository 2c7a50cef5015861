"""Quick pictures of SDF grids with torch alone: no mesh, no display, no VTK.

For training logs and thumbnails. `geoflow render` draws the real meshes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from geoflow.render.camera import camera_axes

BLOCK = 4  # pixels a side of a block that is traced first


def _camera(azimuth: float, elevation: float, device: torch.device) -> tuple[Tensor, ...]:
    """Unit vectors right, up and forward of a camera that looks at the origin."""
    right, up, back = (torch.from_numpy(a).float() for a in camera_axes(azimuth, elevation))
    return right.to(device), up.to(device), -back.to(device)


def _lookup(grids: Tensor, points: Tensor) -> Tensor:
    """Trilinear values of (B, C, R, R, R) at (B, H, W, 3) points -> (B, C, H, W)."""
    at = points.flip(-1).unsqueeze(1)  # grid_sample wants the last axis first
    return F.grid_sample(grids, at, padding_mode="border", align_corners=False).squeeze(2)


def _rays(places: Tensor, right: Tensor, up: Tensor) -> Tensor:
    """(n,) places along an edge of the picture -> (n^2, 3) origins, row by row from the top."""
    return (places[None, :, None] * right - places[:, None, None] * up).reshape(-1, 3)


def _march(
    grids: Tensor, origin: Tensor, forward: Tensor, begin: Tensor | None, thick: float
) -> tuple[Tensor, Tensor]:
    """Follows rays to within `thick` of the surface: their depths, and whether they got there.

    Args:
        grids: (1, 1, R, R, R) signed distances.
        origin: (N, 3); all rays go `forward`.
        begin: (N,) least depths, inf for rays not to follow; None: where they enter the cube.
        thick: radius of a ray.
    """
    cell = 2 / grids.shape[-1]
    # Where the ray enters and leaves the cube; a ray parallel to a face divides by almost nothing.
    along = torch.where(forward.abs() < 1e-6, torch.full_like(forward, 1e-6), forward)
    wide = 1 + thick
    first, second = (-wide - origin) / along, (wide - origin) / along
    depth = torch.minimum(first, second).amax(-1)
    leave = torch.maximum(first, second).amin(-1)
    depth = depth if begin is None else torch.maximum(depth, begin)
    hit = torch.zeros_like(depth, dtype=torch.bool)
    active = (leave > depth).nonzero().squeeze(1)
    for _ in range(160):
        if not len(active):
            break
        at = origin[active] + depth[active, None] * forward
        value = _lookup(grids, at.view(1, 1, -1, 3)).flatten() - thick
        inside = value < 0.1 * cell
        hit[active[inside]] = True
        depth[active] += torch.where(inside, value, (0.85 * value).clamp(min=0.35 * cell))
        active = active[~inside]
        active = active[depth[active] < leave[active]]
    return depth, hit


def draw_grids(grids: Tensor, size: int = 160) -> np.ndarray:
    """(B, R, R, R) -> (B, size, size, 3) uint8, `trace_grid` of each."""
    return np.stack([trace_grid(grid, size) for grid in grids])


@torch.no_grad()
def trace_grid(
    grid: Tensor, size: int = 160, *, azimuth: float = 35.0, elevation: float = 25.0
) -> np.ndarray:
    """(R, R, R) SDF -> (size, size, 3) uint8 picture by sphere tracing, orthographic, on white.

    Fast enough for live previews: a ray advances by most of the distance it reads, and only rays
    that are still under way are followed. The grid is over [-1, 1]^3, axes x, y (up), z (front),
    negative inside; the angles are those of `camera_axes`.
    """
    grids, device, cell = grid.float()[None, None], grid.device, 2 / grid.shape[0]
    right, up, forward = _camera(azimuth, elevation, device)
    side, pixel = -(-size // BLOCK), 2.7 / (size - 1)
    place = torch.arange(side * BLOCK, device=device) * pixel - 1.35
    middle = place.view(side, BLOCK).mean(1)
    # One ray a block first, as thick as the block: where it stops, those of the block begin.
    thick = 0.5 * (BLOCK - 1) * 2**0.5 * pixel
    depth, hit = _march(grids, _rays(middle, right, up), forward, None, thick)
    begin = torch.where(hit, depth - 0.35 * cell, torch.inf).view(side, side)
    begin = begin.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)[:size, :size]
    origin = _rays(place[:size], right, up)
    depth, hit = _march(grids, origin, forward, begin.flatten(), 0.0)
    points = (origin + depth[:, None] * forward)[hit]
    shift = cell * torch.eye(3, device=device)[:, None]
    ahead, behind = (_lookup(grids, p[None])[0, 0] for p in (points + shift, points - shift))
    normal = (ahead - behind).T
    light = F.normalize(-forward + 0.5 * up - 0.4 * right, dim=0)
    lit = (F.normalize(normal, dim=1) @ light).clamp(0, 1) * 0.75 + 0.2
    colour = torch.ones(size * size, 3, device=device)
    colour[hit] = lit[:, None] * torch.tensor([0.62, 0.70, 0.78], device=device)
    return (colour * 255).round().byte().view(size, size, 3).cpu().numpy()


@torch.no_grad()
def draw_clouds(
    clouds: Tensor, size: int = 160, *, azimuth: float = 35.0, elevation: float = 25.0
) -> np.ndarray:
    """(B, N, 3) clouds -> (B, size, size, 3) uint8: dots, near ones dark, seen as in `trace_grid`.

    They lie in [-1, 1]^3, x, y (up), z (front); what is outside may be cut off.
    """
    clouds, b, device = clouds.float(), len(clouds), clouds.device
    right, up, forward = _camera(azimuth, elevation, device)
    scale = size / 2.7
    column = ((clouds @ right) * scale + size / 2).round().long()
    row = ((clouds @ -up) * scale + size / 2).round().long()
    shade = (0.25 + 0.35 * (clouds @ forward).clamp(-1, 1)).clamp(0, 0.6)
    page = torch.ones(b, size * size, device=device)
    for down, along in np.ndindex(2, 2):  # a dot is two pixels a side
        y, x = row + down, column + along
        seen = (y >= 0) & (y < size) & (x >= 0) & (x < size)
        place, value = torch.where(seen, y * size + x, 0), torch.where(seen, shade, 1.0)
        page.scatter_reduce_(1, place, value, "amin")
    grey = (page.view(b, size, size, 1) * 255).round().byte()
    return grey.expand(-1, -1, -1, 3).cpu().numpy()
