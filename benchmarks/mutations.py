"""Do the tests see a wrong sign? One small change of the code after another, and its own tests.

    python benchmarks/mutations.py [--only WORD]

tests/mutations.json lists the changes: a sign, coefficient, comparison, axis, index, term or clause
each, in the parts where a wrong number looks like a right one. The checkout is copied to a
temporary folder; there each change is made, its tests are run and the file is restored. Prints what
became of every change and a table by module; exit code 1 if one survived or no longer applies.

A review once made 61 such changes and 23 passed their module's tests. All that it names are listed,
but for one: the residual's clamp(min=1), which never does anything and is gone
(test_the_residual_is_never_multiplied in tests/flow/test_objective.py). A change that leaves every
result as it is does not belong in the list.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from script import argument_parser, run_script, say

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("geoflow", "tests", "apps", "data_prep", "benchmarks")
LIMIT = 300  # seconds for the tests of a change; one that makes them go on for ever is caught


def copy_to(folder: Path) -> None:
    """What the tests need; of assets/ a link."""
    for name in COPIED:
        leave = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "assets").symlink_to(ROOT / "assets")


def outcome(folder: Path, tests: list[str]) -> str:
    """Of these tests in a copy: "passed", "failed" or what else pytest said."""
    settings = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run([*command, *tests], cwd=folder, env=os.environ | settings,
                              timeout=LIMIT, capture_output=True, text=True)  # fmt: skip
    except subprocess.TimeoutExpired:
        return "failed"
    known = {0: "passed", 1: "failed", 2: "failed"}  # 2: a check at import failed
    return known.get(done.returncode) or (done.stdout + done.stderr)[-2000:]


def try_change(folder: Path, row: dict) -> str:
    """Makes a change, runs its tests and restores the file."""
    path = folder / row["file"]
    text = path.read_text("utf-8")
    if text.count(row["old"]) != 1:
        return f"no longer applies: occurs {text.count(row['old'])} times"
    path.write_text(text.replace(row["old"], row["new"]), "utf-8")
    try:
        found = outcome(folder, row["tests"].split())
    finally:
        path.write_text(text, "utf-8")
    return {"passed": "SURVIVED", "failed": "caught"}.get(found, f"no answer: {found}")


def main() -> None:
    """See the head of this file."""
    parser = argument_parser(__doc__)
    parser.add_argument("--only", default="", help="word in the file or text of a change")
    word = parser.parse_args().only
    rows = json.loads((ROOT / "tests" / "mutations.json").read_text("utf-8"))
    rows = [row for row in rows if word in row["file"] + row["what"] + row["old"]]
    if not rows:
        raise ValueError(f"--only must be a word of a change; got {word!r}; see mutations.json")
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_to(folder)
        before = outcome(folder, sorted({t for row in rows for t in row["tests"].split()}))
        if before != "passed":
            raise ValueError(f"the tests must pass without a change; they {before}")
        say("the tests pass without a change")
        for row in rows:
            begin = time.monotonic()
            found = try_change(folder, row)
            seconds = time.monotonic() - begin
            print(f"{found}, {seconds:.0f} s: {row['file']}: {row['what']}", flush=True)
            counts.setdefault(row["file"], Counter())[found == "caught"] += 1
    print("\n| module | changes | caught |\n|---|---|---|")
    for file, count in counts.items():
        print(f"| {file} | {count.total()} | {count[True]} |")
    total = sum(counts.values(), Counter())
    print(f"| all | {total.total()} | {total[True]} |")
    sys.exit(bool(total[False]))


if __name__ == "__main__":
    run_script(main)
