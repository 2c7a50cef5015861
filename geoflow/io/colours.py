"""A user's mesh with its colours: of vertices or faces, or pictures inside of the file."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.io import meshes as export
from geoflow.io.arrays import Faces, Points, check_mesh

MAX_PIXELS = 64 << 20
GREY = (170, 170, 170)


@dataclass(frozen=True)
class Colours:
    """Colours of F faces: at their corners, or pictures laid over them.

    Attributes:
        corners: (F, 3, 3) RGB in [0, 1]; or, with pictures, (F, 3, 2) texture coordinates from the
            picture's lower left, repeating outside of [0, 1].
        texels: (T, 3) uint8, the rows of all pictures from the top, one after another; or None.
        pictures: (F, 3) int64, a face's picture: its first texel, width and height; or None.
    """

    corners: NDArray[np.float32]
    texels: NDArray[np.uint8] | None = None
    pictures: NDArray[np.int64] | None = None


def read_coloured_mesh(path: export.PathLike) -> tuple[Points, Faces, Colours | None]:
    """A user's mesh file -> vertices (V, 3), faces (F, 3), colours or None; y up.

    Coordinates are those of `export.read_mesh`. Colours come from vertices, faces and pictures
    inside of the file (.glb, .ply, .off, .obj with vertex colours); a picture in a file of its own
    is not followed. Where only some parts have colours, the others get their material's. Errors are
    those of `export.read_mesh`.
    """
    name, looks = pathlib.Path(path).name, []
    mesh = export.join_parts(path, lambda part, own: looks.append(_look_of(part, own, name)))
    return *mesh, _join(looks)


def read_npz_mesh(path: export.PathLike) -> tuple[Points, Faces, Colours | None]:
    """An .npz of arrays -> vertices (V, 3), faces (F, 3), colours or None.

    The arrays are `vertices`, `faces` and perhaps `colours` (V, 3), RGB in [0, 1]. Raises
    ValueError where the file is missing or damaged, or an array is not what it must be.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"{str(path)!r} must be an existing file; it is not; check the path")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = {k: arrays[k] for k in ("vertices", "faces", "colours") if k in arrays}
    except Exception as error:  # numpy and zipfile raise whatever they run into
        reason = (str(error).splitlines() or [""])[0][:120]
        raise ValueError(
            f"{path.name}: cannot be read as .npz ({reason}); save it again"
        ) from error
    if not held.keys() >= {"vertices", "faces"}:
        raise ValueError(
            f"{path.name}: must hold the arrays vertices and faces; it has {sorted(held)}; "
            "save them with numpy.savez"
        )
    if not np.issubdtype(held["vertices"].dtype, np.number):
        raise ValueError(f"{path.name}: vertices must be numbers; given {held['vertices'].dtype}")
    check_mesh(held["vertices"], held["faces"], path.name)
    vertices, faces = held["vertices"].astype(np.float64), held["faces"].astype(np.int64)
    if "colours" not in held:
        return vertices, faces, None
    rgb = held["colours"]
    good = rgb.shape == vertices.shape and np.issubdtype(rgb.dtype, np.floating)
    if not (good and (rgb >= 0).all() and (rgb <= 1).all()):
        raise ValueError(f"{path.name}: colours must be (V, 3) RGB in [0, 1]; save them again")
    return vertices, faces, Colours(rgb.astype(np.float32)[faces])


def _look_of(part: Any, faces: Faces, name: str) -> tuple[Colours, bool]:
    """Colours of one part, and whether it states them: not the material's plain colour."""
    visual, count = part.visual, len(faces)
    kind = getattr(visual, "kind", None)
    plain: Any = GREY
    if kind == "vertex":
        return Colours(_unit(visual.vertex_colors)[faces]), True
    if kind == "face":
        return Colours(np.repeat(_unit(visual.face_colors)[:, None], 3, axis=1)), True
    if kind == "texture":
        picture = _picture(visual.material, name)
        uv = None if visual.uv is None else np.asarray(visual.uv, np.float32)
        if picture is not None and uv is not None and len(uv) == len(part.vertices):
            if not np.isfinite(uv).all():
                raise ValueError(f"{name}: texture coordinates must be finite; export it again")
            height, width, _ = picture.shape
            where = np.tile(np.array([0, width, height]), (count, 1))
            return Colours(uv[faces], picture.reshape(-1, 3), where), True
        plain = visual.material.main_color
    return Colours(np.tile(_unit(np.asarray(plain)[None]), (count, 3, 1))), False


def _unit(colours: Any) -> NDArray[np.float32]:
    """(N, 3 or 4) in 0..255 -> (N, 3) in [0, 1]."""
    return np.clip(np.asarray(colours)[:, :3] / 255, 0, 1).astype(np.float32)


def _picture(material: Any, name: str) -> NDArray[np.uint8] | None:
    """(H, W, 3) of a material, or None."""
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if image is None:
        return None
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(
            f"{name}: a texture must have at most {MAX_PIXELS:,} pixels; it has {width} x "
            f"{height}; make it smaller"
        )
    try:
        return np.asarray(image.convert("RGB"), np.uint8)
    except Exception as error:  # Pillow raises whatever its decoders run into
        raise ValueError(f"{name}: its texture is damaged ({error}); export it again") from error


def _join(looks: list[tuple[Colours, bool]]) -> Colours | None:
    """The parts' colours one after another; None where no part states any."""
    if not any(stated for _, stated in looks):
        return None
    if all(part.texels is None for part, _ in looks):
        return Colours(np.concatenate([part.corners for part, _ in looks]))
    corners, texels, pictures, offset = [], [], [], 0
    for part, _ in looks:
        if part.texels is None or part.pictures is None:  # a picture of one texel for every face
            count = len(part.corners)
            own = np.rint(255 * part.corners.mean(axis=1)).astype(np.uint8)
            where = np.stack([np.arange(count), np.ones(count), np.ones(count)], 1).astype(np.int64)
            part = Colours(np.zeros((count, 3, 2), np.float32), own, where)
        assert part.texels is not None and part.pictures is not None
        corners.append(part.corners)
        texels.append(part.texels)
        pictures.append(part.pictures + np.array([offset, 0, 0]))
        offset += len(part.texels)
    return Colours(np.concatenate(corners), np.concatenate(texels), np.concatenate(pictures))
