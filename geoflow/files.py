"""Writing a file whole or not at all; standard library only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def check_target(path: Path, *, overwrite: bool) -> None:
    """Whether a file may be written there; asked before the work, not after.

    Raises:
        ValueError: the folder does not exist, path is a folder, or the file exists and `overwrite`
            is False.
    """
    if not path.parent.is_dir():
        raise ValueError(f"the folder of {str(path)!r} must exist; it does not; create it first")
    if path.is_dir():
        raise ValueError(f"path must name a file; {str(path)!r} is a folder; add a file name")
    if path.exists() and not overwrite:
        raise ValueError(
            f"{str(path)!r} exists already; pass overwrite=True (--overwrite) to replace it"
        )


def write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Writes to a temporary file in the same folder, then os.replace.

    Args:
        path: an existing file is replaced, or untouched where writing fails.
        data: its content.
        sync: wait until the disk has it. That takes longer than writing a mesh, which can be made
            again.

    Raises:
        OSError: writing failed; the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
