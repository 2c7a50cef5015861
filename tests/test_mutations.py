"""The changes that benchmarks/mutations.py makes still apply: the table cannot rot."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROWS = json.loads((ROOT / "tests" / "mutations.json").read_text("utf-8"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['file']}: {row['what']}")
def test_the_change_applies(row):
    text = (ROOT / row["file"]).read_text("utf-8")
    assert text.count(row["old"]) == 1, "the text to change must occur exactly once"
    assert row["old"] != row["new"]
    compile(text.replace(row["old"], row["new"]), row["file"], "exec")
    assert all((ROOT / test.split("::")[0]).is_file() for test in row["tests"].split())


def test_no_change_is_listed_twice():
    assert len({(row["file"], row["old"], row["new"]) for row in ROWS}) == len(ROWS)
