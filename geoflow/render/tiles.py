"""Pictures side by side in one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.files import check_target


def check_png(path: Path, *, overwrite: bool) -> None:
    """As `geoflow.files.check_target`; ValueError too where the path does not end in .png."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"the picture's path must end in .png; it is {path.name!r}; rename it")
    check_target(path, overwrite=overwrite)


def join_tiles(
    tiles: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    columns: int,
    names: Sequence[str] | None = None,
    paper: Sequence[int] = (255, 255, 255),
) -> bytes:
    """Joins pictures of one size, row by row, to one PNG.

    Args:
        tiles: B pictures (H, W, 3).
        columns: pictures in a row.
        names: B texts to write below the pictures, shortened where they are too long.
        paper: RGB of what no picture covers.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width, _ = tiles[0].shape
    font_size = max(10, width // 22)
    caption = 2 * font_size if names else 0
    rows = math.ceil(len(tiles) / columns)
    size = (min(columns, len(tiles)) * width, rows * (height + caption))
    page = Image.new("RGB", size, tuple(paper))
    pen: Any = ImageDraw.Draw(page)
    font = ImageFont.load_default(font_size) if names else None
    for i, tile in enumerate(tiles):
        left, top = i % columns * width, i // columns * (height + caption)
        page.paste(Image.fromarray(tile), (left, top))
        if names and font is not None:
            at = (left + width / 2, top + height + font_size / 2)
            text = _shorten(names[i], lambda text: font.getlength(text) <= width - font_size)
            pen.text(at, text, fill=(96, 96, 94), font=font, anchor="mm")
    out = io.BytesIO()
    page.save(out, "PNG")
    return out.getvalue()


def _shorten(text: str, fits: Callable[[str], bool]) -> str:
    """The text, or as much of its start as fits with an ellipsis."""
    starts = (text[:end] + "…" for end in range(len(text), 0, -1))
    return text if fits(text) else next(filter(fits, starts), "…")
