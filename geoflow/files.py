"""Writing a file whole or not at all; standard library only."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def check_target(path: Path, *, overwrite: bool) -> None:
    """Whether a file may be written there; asked before the work, not after.

    Raises ValueError where the folder does not exist, path is a folder, or the file exists and
    `overwrite` is False.
    """
    if not path.parent.is_dir():
        raise ValueError(f"the folder of {str(path)!r} must exist; it does not; create it first")
    if path.is_dir():
        raise ValueError(f"path must name a file; {str(path)!r} is a folder; add a file name")
    if path.exists() and not overwrite:
        raise ValueError(
            f"{str(path)!r} exists already; pass overwrite=True (--overwrite) to replace it"
        )


def check_folder(path: Path) -> None:
    """Whether a folder is there or can be made, and written to; asked before the work.

    Raises ValueError where a file is in the way, OSError where writing there is not allowed.
    """
    base = path
    while not base.exists() and base != base.parent:
        base = base.parent
    if not base.is_dir():
        raise ValueError(f"{str(path)!r} must be a folder; {str(base)!r} is a file; name another")
    if not os.access(base, os.W_OK | os.X_OK):
        raise PermissionError(f"{str(base)!r} must allow writing; it does not; name another folder")


@contextlib.contextmanager
def open_atomically(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Opens a temporary file in the same folder; os.replace once it is written.

    An existing file is replaced, or untouched where writing fails (OSError) or is interrupted; the
    temporary one never stays. `sync` waits until the disk has it. That takes longer than writing a
    mesh, which can be made again.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Writes a file whole or not at all, see `open_atomically`."""
    with open_atomically(path, sync=sync) as file:
        file.write(data)
