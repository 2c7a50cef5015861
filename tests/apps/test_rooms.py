"""Who imports whom in the app: page, tabs, parts, server; of geoflow only what is public."""

import ast
from pathlib import Path

import pytest

APPS = Path(__file__).resolve().parents[2] / "apps"
LADDER = ["server", "parts", "tabs", "page"]
FILES = sorted(str(path.relative_to(APPS)) for path in APPS.rglob("*.py"))


def imports_of(path):
    """Full names of all that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_imported_from_above_or_from_inside_a_room(name):
    room = Path(name).with_suffix("").parts[1:2]
    for found in imports_of(APPS / name):
        package, *rest = found.split(".")
        if package == "geoflow_app" and room and room[0] in LADDER:
            assert LADDER.index(rest[0]) <= LADDER.index(room[0]), found
        if package == "geoflow" and len(rest) > 1:  # geoflow.ROOM.NAME
            inside = APPS.parent.joinpath(package, *rest).with_suffix(".py")
            assert len(rest) == 2 and not inside.is_file(), found
