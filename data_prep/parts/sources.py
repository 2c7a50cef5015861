"""Mesh files in folders and zips, read one by one."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Source:
    """A file: a folder or zip, and the name inside it."""

    name: str  # GROUP/NAME without suffix
    container: str
    member: str

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.member).suffix.lower()

    def read(self) -> bytes:
        if Path(self.container).is_dir():
            return (Path(self.container) / self.member).read_bytes()
        with zipfile.ZipFile(self.container) as archive:
            return archive.read(self.member)


def find_sources(paths: Iterable[Path], suffixes: tuple[str, ...], group: str) -> list[Source]:
    """All files GROUP/NAME.SUFFIX of folders and zips, by name; the first of a name counts.

    Args:
        paths: folders and zips.
        suffixes: lower case, with the dot.
        group: what a folder in them is called, for errors.

    Raises:
        ValueError: a path that is neither folder nor zip, or no file at all.
    """
    wanted = f"{group}/NAME.({'|'.join(suffix[1:] for suffix in suffixes)})"
    sources: dict[str, Source] = {}
    for path in paths:
        if path.is_dir():
            members = [file.relative_to(path).as_posix() for file in path.glob("*/*")]
        else:
            try:
                with zipfile.ZipFile(path) as archive:
                    members = archive.namelist()
            except (zipfile.BadZipFile, OSError) as error:
                raise ValueError(
                    f"SOURCE must be a folder or a zip of {wanted}; got {path} ({error})"
                ) from None
        for member in sorted(members):
            pure = PurePosixPath(member)
            hidden = pure.name.startswith(".")
            if len(pure.parts) >= 2 and pure.suffix.lower() in suffixes and not hidden:
                name = f"{pure.parts[-2]}/{pure.stem}"
                sources.setdefault(name, Source(name, str(path), member))
    if not sources:
        given = ", ".join(map(str, paths))
        raise ValueError(f"SOURCE must hold {wanted}; {given} does not; name another folder or zip")
    return [sources[name] for name in sorted(sources)]
