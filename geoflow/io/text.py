"""Text formats by array operations: ten times as fast as formatting number by number.

Numbers become rows of bytes padded with NUL; joining the rows and deleting the NULs gives the text.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoflow.io.arrays import Faces, FloatArray, IntArray, Points

Bytes = NDArray[np.uint8]

OBJ_HEAD = b"# geoflow: y up, facing +z, metres\no geoflow\n"

# The text of 0000 to 9999, four bytes each, seen as one number so that look-ups move it at once.
_DIGITS = np.arange(10_000)[:, None] // [1000, 100, 10, 1] % 10 + ord("0")
_FOUR_DIGITS = _DIGITS.astype(np.uint8).view(np.uint32).ravel()


def decimals_for(values: FloatArray) -> int:
    """Decimals that keep seven significant digits (float32's) of (V, 3) values, 3 to 12.

    Of the largest value, and of the longest side of their box where it is far from the origin; as
    far as float64 goes.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0:
        return 3
    side = float(np.ptp(values, axis=0).max()) or largest
    places = 7 - int(math.log10(min(largest, side)))
    return min(max(places, 3), 12, max(15 - math.ceil(math.log10(largest)), 3))


def number_tokens(values: NDArray[Any], decimals: int) -> Bytes:
    """(N,) numbers -> (N, W) ASCII rows, NUL where a shorter number leaves room.

    `decimals` places after the point, rounded half to even; 0 writes integers. Values times
    10**decimals must stay below 2**53.
    """
    scaled = np.rint(np.asarray(values, dtype=np.float64) * 10.0**decimals).astype(np.int64)
    size = np.abs(scaled)
    largest = int(size.max(initial=0))
    chunks = -(-max(len(str(largest)), decimals + 1) // 4)
    size = size.astype(np.uint32) if largest < 2**32 else size  # divides faster
    fours = np.empty((len(size), chunks), dtype=np.uint32)
    rest = size
    for chunk in range(chunks - 1, 0, -1):
        quotient = rest // 10_000
        fours[:, chunk] = _FOUR_DIGITS[rest - 10_000 * quotient]
        rest = quotient
    fours[:, 0] = _FOUR_DIGITS[rest]
    digits = fours.view(np.uint8)
    whole = digits.shape[1] - decimals  # digits before the point
    for column in range(whole - 1):
        power = 10 ** (digits.shape[1] - 1 - column)
        digits[:, column] *= size >= power if power <= largest else False  # leading zeros: NUL
    point = int(decimals > 0)
    tokens = np.empty((len(size), 1 + digits.shape[1] + point), dtype=np.uint8)
    tokens[:, 0] = np.where(scaled < 0, ord("-"), 0)
    tokens[:, 1 : 1 + whole] = digits[:, :whole]
    if point:
        tokens[:, 1 + whole] = ord(".")
        tokens[:, 2 + whole :] = digits[:, whole:]
    return tokens


def join_rows(*pieces: bytes | Bytes) -> bytes:
    """Literals and (N, W) tokens side by side, N rows -> their text without the NULs."""
    count = next(len(piece) for piece in pieces if isinstance(piece, np.ndarray))
    blocks = [np.frombuffer(p, np.uint8)[None] if isinstance(p, bytes) else p for p in pieces]
    rows = [np.broadcast_to(block, (count, block.shape[1])) for block in blocks]
    return np.concatenate(rows, axis=1).tobytes().translate(None, b"\0")


def obj(vertices: FloatArray, faces: IntArray, normals: FloatArray) -> bytes:
    """(V, 3), (F, 3), (V, 3) -> a Wavefront OBJ with one normal per vertex."""
    places = decimals_for(vertices)
    x, y, z = (number_tokens(column, places) for column in vertices.T)
    nx, ny, nz = (number_tokens(column, 5) for column in normals.T)
    index = number_tokens(np.arange(1, len(vertices) + 1), 0)
    slashes = np.full((len(index), 2), ord("/"), dtype=np.uint8)
    corner = np.concatenate([index, slashes, index], axis=1)
    a, b, c = (corner[column] for column in faces.T)
    points = join_rows(b"v ", x, b" ", y, b" ", z, b"\n")
    directions = join_rows(b"vn ", nx, b" ", ny, b" ", nz, b"\n")
    triangles = join_rows(b"f ", a, b" ", b, b" ", c, b"\n")
    return b"".join([OBJ_HEAD, points, directions, b"s 1\n", triangles])


def parse_obj(data: bytes) -> tuple[Points, Faces, Points] | None:
    """The inverse of `obj`, several times as fast as a reader of any OBJ.

    Returns:
        vertices, faces, normals as `obj` took them; None where `data` is not just what it writes.
    """
    normals_at, faces_at = data.find(b"\nvn ") + 1, data.find(b"\ns 1\nf ") + 5
    if not data.startswith(OBJ_HEAD + b"v ") or not len(OBJ_HEAD) < normals_at < faces_at:
        return None
    vertices = _parse_rows(data[len(OBJ_HEAD) : normals_at], b"v ", 3)
    normals = _parse_rows(data[normals_at : faces_at - 4], b"vn ", 3)
    corners = _parse_rows(data[faces_at:].replace(b"//", b" "), b"f ", 6, np.int64)
    if vertices is None or normals is None or corners is None or vertices.shape != normals.shape:
        return None
    faces = corners[:, ::2]
    return (vertices, faces - 1, normals) if (corners[:, 1::2] == faces).all() else None


def _parse_rows(
    block: bytes, word: bytes, count: int, kind: type[Any] = np.float64
) -> NDArray[Any] | None:
    """Lines of `word` and `count` numbers -> (N, count), or None."""
    lines = block.count(b"\n")
    if block.count(word) != lines or not block.endswith(b"\n"):
        return None
    try:
        with warnings.catch_warnings(action="error"):  # numpy only warns of what is no number
            numbers = np.fromstring(block.replace(word, b""), kind, sep=" ")
    except (DeprecationWarning, ValueError):
        return None
    return numbers.reshape(lines, count) if len(numbers) == lines * count else None


def three_mf(vertices: FloatArray, faces: IntArray) -> bytes:
    """(V, 3) millimetres z up, (F, 3) -> a 3MF package of one object, no time stamp in it."""
    places = decimals_for(vertices)
    x, y, z = (number_tokens(column, places) for column in vertices.T)
    index = number_tokens(np.arange(len(vertices)), 0)
    a, b, c = (index[column] for column in faces.T)
    points = join_rows(b'<vertex x="', x, b'" y="', y, b'" z="', z, b'"/>\n')
    triangles = join_rows(b'<triangle v1="', a, b'" v2="', b, b'" v3="', c, b'"/>\n')
    model = b"".join([_MODEL_HEAD, points, b"</vertices><triangles>\n", triangles, _MODEL_END])
    files = {"[Content_Types].xml": _CONTENT_TYPES, "_rels/.rels": _RELATIONS}
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in (files | {"3D/3dmodel.model": model}).items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # the same bytes on Windows
            archive.writestr(entry, text, compresslevel=1)
    return package.getvalue()


_MODEL_HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<model unit="millimeter" xml:lang="en-US" '
    b'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">\n'
    b'<metadata name="Application">geoflow</metadata>\n'
    b'<resources><object id="1" type="model"><mesh><vertices>\n'
)
_MODEL_END = (
    b'</triangles></mesh></object></resources>\n<build><item objectid="1"/></build>\n</model>\n'
)
_CONTENT_TYPES = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    b'<Default Extension="rels" '
    b'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    b'<Default Extension="model" '
    b'ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>\n'
)
_RELATIONS = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    b'<Relationship Target="/3D/3dmodel.model" Id="rel0" '
    b'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>\n'
)
