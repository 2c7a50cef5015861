"""A training set that is one surface: every batch is drawn afresh on it, on the device."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoflow.data.source import Source
from geoflow.geometry.pointcloud import total_area
from geoflow.io import meshes
from geoflow.io.colours import Colours, read_coloured_mesh, read_npz_mesh
from geoflow.render.quick import draw_clouds

COLOUR_DRAWS = 1 << 18
LEAST_DEVIATION = 0.02  # of colours in [0, 1]: one colour all over must not be blown up to noise


@dataclass(frozen=True)
class Frame:
    """Between the mesh's own frame and the network's, of zero mean and unit variance."""

    centre: list[float]  # (3,) mean of the surface, in the mesh's unit
    scale: float  # root mean square deviation of a coordinate, in that unit; one for all axes
    colour_mean: list[float] | None = None  # (3,) in [0, 1], or None for a cloud without colours
    colour_std: float = 1.0  # root mean square deviation of a channel

    @property
    def channels(self) -> int:
        """3, or 6 with colours."""
        return 3 if self.colour_mean is None else 6

    def decode(self, samples: Tensor) -> Tensor:
        """(N, C) of the network -> the mesh's own frame and RGB in [0, 1]."""
        offset, factor = list(self.centre), [self.scale] * 3
        if self.colour_mean is not None:
            offset, factor = offset + self.colour_mean, factor + [self.colour_std] * 3
        return samples * samples.new_tensor(factor) + samples.new_tensor(offset)


class SurfaceSource(Source):
    """Points of a surface, evenly by area and never twice the same.

    Args:
        vertices, faces: (V, 3) in any unit, (F, 3) indices.
        device, colours: where points are drawn; of the faces, or None.

    Raises:
        ValueError: the mesh has no area.
    """

    def __init__(
        self,
        vertices: NDArray[np.floating[Any]],
        faces: NDArray[np.integer[Any]],
        device: torch.device,
        colours: Colours | None = None,
    ) -> None:
        corners = np.asarray(vertices, np.float64)[np.asarray(faces, np.int64)]
        u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        areas = np.linalg.norm(np.cross(u, v), axis=1) / 2
        total = total_area(areas)
        keep = areas > 0  # so that no draw, however it rounds, falls on a face without area
        corners, areas = corners[keep], areas[keep]
        self.categories, self.device, self.area, self.faces = [], device, total, len(areas)
        centre, scale = _mean_and_deviation(corners, areas)
        self.frame = Frame(centre.tolist(), scale)
        self.cumulative = torch.from_numpy(np.cumsum(areas)).to(device)
        self.corners = torch.from_numpy(((corners - centre) / scale).astype(np.float32)).to(device)
        self.colour_corners = self.texels = self.pictures = None
        if colours is not None:
            self.colour_corners = torch.from_numpy(colours.corners[keep]).float().to(device)
            if colours.texels is not None and colours.pictures is not None:
                self.texels = torch.from_numpy(colours.texels).to(device)
                self.pictures = torch.from_numpy(colours.pictures[keep]).to(device)
            raw = self._draw(COLOUR_DRAWS, torch.Generator(device).manual_seed(0))[:, 3:].double()
            mean = raw.mean(0)
            std = max(float((raw - mean).square().mean().sqrt()), LEAST_DEVIATION)
            self.frame = Frame(centre.tolist(), scale, mean.tolist(), std)

    @classmethod
    def open(cls, folder: Path, device: torch.device, *, texture: bool = False) -> SurfaceSource:
        """The surface of a mesh file, see `read_shape`."""
        vertices, faces, colours = read_shape(folder, texture=texture)
        return cls(vertices, faces, device, colours)

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, None]:
        """(B, C) points, drawn where the generator is."""
        points = self._draw(size, generator)
        if self.frame.colour_mean is not None:
            mean = points.new_tensor(self.frame.colour_mean)
            points[:, 3:] = (points[:, 3:] - mean) / self.frame.colour_std
        return points, None

    def _draw(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, 3 or 6): normalised positions; RGB in [0, 1]."""
        where = generator.device
        u = torch.rand(size, generator=generator, device=where, dtype=torch.float64)
        a, b = torch.rand(2, size, 1, generator=generator, device=where).to(self.device)
        u = u.to(self.device) * self.cumulative[-1]
        face = torch.searchsorted(self.cumulative, u, right=True).clamp(max=self.faces - 1)
        outside = a + b > 1  # fold the parallelogram's far half back onto the triangle
        a, b = torch.where(outside, 1 - a, a), torch.where(outside, 1 - b, b)
        weights = torch.stack((1 - a - b, a, b), 1)
        points = (self.corners[face] * weights).sum(1)
        if self.colour_corners is None:
            return points
        colours = (self.colour_corners[face] * weights).sum(1)
        if self.texels is not None and self.pictures is not None:
            colours = _look_up(self.texels, self.pictures[face], colours)
        return torch.cat((points, colours), 1)

    def picture(self, samples: Tensor, size: int) -> np.ndarray:
        return draw_clouds(samples[None, :, :3] / 2, size)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"channels": self.frame.channels}

    def describe(self) -> dict[str, Any]:
        known = {"categories": []} | asdict(self.frame)
        if self.frame.colour_mean is None:
            del known["colour_mean"], known["colour_std"]
        return known | {"area": self.area, "faces": self.faces}


def _mean_and_deviation(
    corners: NDArray[np.float64], areas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """(F, 3, 3), (F,) -> mean (3,) and root mean square deviation a coordinate of the surface.

    In closed form: over a triangle E[x] = (a + b + c) / 3 and, with x from any origin,
    E[x^2] = (a^2 + b^2 + c^2 + (a + b + c)^2) / 12.
    """
    share = areas / areas.sum()
    mean = share @ corners.mean(1)
    near = corners - mean
    square = (np.square(near).sum(1) + np.square(near.sum(1))) / 12
    return mean, float(np.sqrt((share @ square).mean()))


def _look_up(texels: Tensor, pictures: Tensor, at: Tensor) -> Tensor:
    """(T, 3) uint8, (N, 3) picture of each, (N, 2) coordinates -> (N, 3) in [0, 1], bilinear."""
    first, width, height = pictures.unbind(1)
    x, y = at[:, 0] * width - 0.5, (1 - at[:, 1]) * height - 0.5
    left, top = x.floor(), y.floor()
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    columns = [(left.long() + i) % width for i in (0, 1)]
    rows = [(top.long() + i) % height for i in (0, 1)]
    a, b, c, d = (texels[first + row * width + column] / 255 for row in rows for column in columns)
    return (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy


def read_shape(
    path: Path, *, texture: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64], Colours | None]:
    """A mesh file, or an .npz of arrays -> vertices (V, 3), faces (F, 3), colours or None.

    A file is .glb, .obj, .ply, .stl, .3mf or .off; or .npz with `vertices`, `faces` and perhaps
    `colours` (V, 3), RGB in [0, 1]. `texture` reads colours too.

    Raises:
        ValueError: the file is missing, damaged, without faces or, with `texture`, without colours.
    """
    look = None
    if path.suffix.lower() == ".npz":
        vertices, faces, look = read_npz_mesh(path)
    elif texture:
        vertices, faces, look = read_coloured_mesh(path)
    else:
        vertices, faces = meshes.read_mesh(path)
    if texture and look is None:
        raise ValueError(
            f"{path.name}: texture=true needs colours of vertices or faces, or a picture inside of "
            "the file (.glb); it has none; leave it out"
        )
    return vertices, faces, look if texture else None
