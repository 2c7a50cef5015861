"""Whether two checkouts give the same bytes for the same commands: after a refactoring they must.

    python benchmarks/same_bytes.py BEFORE AFTER [--seeds 10]

BEFORE and AFTER are checkouts. Every command runs in each with the Python of this script, on one
thread; the run of a surface that is sampled is trained once, by BEFORE.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import trimesh

LIMBS = (  # start, end, radius of a figure that a rig can be found for
    ((0, 0.9, 0), (0, 1.45, 0), 0.16),
    ((0, 1.5, 0), (0, 1.7, 0), 0.11),
    ((0.1, 0.9, 0), (0.12, 0.05, 0), 0.08),
    ((-0.1, 0.9, 0), (-0.12, 0.05, 0), 0.08),
    ((0.15, 1.4, 0), (0.7, 1.4, 0), 0.06),
    ((-0.15, 1.4, 0), (-0.7, 1.4, 0), 0.06),
)


def write_inputs(folder: Path) -> None:
    """cloud.xyz, character.obj and surface.obj."""
    trimesh.util.concatenate(
        [trimesh.creation.cylinder(r, segment=(a, b), sections=24) for a, b, r in LIMBS]
    ).subdivide().export(folder / "character.obj")
    box = trimesh.creation.box((0.5, 0.05, 0.5))
    legs = [
        trimesh.creation.box((0.05, 0.45, 0.05)).apply_translation((x, -0.25, z))
        for x in (-0.2, 0.2)
        for z in (-0.2, 0.2)
    ]
    stool = trimesh.util.concatenate([box, *legs])
    points, _ = trimesh.sample.sample_surface(stool, 700, seed=1)
    np.savetxt(folder / "cloud.xyz", points)
    stool.export(folder / "surface.obj")


def commands(inputs: Path, seed: int) -> Iterator[tuple[str, list[str]]]:
    """(name, arguments of geoflow); all write below the current folder."""
    of = ["--seed", str(seed)]
    yield "generate", ["generate", "--n", "2", "--out", "shapes", *of]
    yield "generate --backbone points", ["generate", "--backbone", "points", "--format", "ply",
                                         "--n", "2", "--out", "clouds", *of]  # fmt: skip
    yield "generate of clouds", ["generate", "--backbone", "points", "--n", "1",
                                 "--steps", "1", "--out", "meshed", *of]  # fmt: skip
    yield "reconstruct", ["reconstruct", str(inputs / "cloud.xyz"), "-o", "mesh.obj", *of]
    yield "joints", ["joints", str(inputs / "character.obj"), "-o", "rig.glb", *of]
    yield "distribution sample", ["distribution", "sample", str(inputs / "run"), "--n", "20000",
                                  "--out", "points.ply", *of]  # fmt: skip


def run(checkout: Path, arguments: list[str], folder: Path) -> None:
    """One command of a checkout, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    env = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "geoflow", *arguments], cwd=folder, env=env, capture_output=True
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(arguments)}: {done.stderr.decode()[-500:]}")


def digest(folder: Path) -> str:
    """Of all files but the manifest, which holds the time that each shape took."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--work", type=Path, help="keep results here, and use those of BEFORE again"
    )
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp())
    inputs = work / "inputs"
    if not (inputs / "run").exists():
        inputs.mkdir(parents=True, exist_ok=True)
        write_inputs(inputs)
        fit = ["--steps", "20", "--batch", "512", "--device", "cpu", "--out", str(inputs / "run")]
        run(
            options.before.resolve(),
            ["distribution", "fit", str(inputs / "surface.obj"), *fit],
            inputs,
        )
    equal: dict[str, int] = {}
    for seed in range(options.seeds):
        for name, arguments in commands(inputs.resolve(), seed):
            sums = []
            for side in (options.before.resolve(), options.after.resolve()):
                place = work / ("before" if side == options.before.resolve() else "after")
                place = place / f"{name.replace(' ', '_')}_{seed}"
                if not (place.exists() and place.parent.name == "before"):
                    run(side, arguments, place)
                sums.append(digest(place))
            equal[name] = equal.get(name, 0) + (sums[0] == sums[1])
            print(f"seed {seed}  {name:28} {'  '.join(sums)}", file=sys.stderr)
    print(f"{'command':28} same bytes, of {options.seeds} seeds")
    for name, count in equal.items():
        print(f"{name:28} {count}")
    sys.exit(0 if all(count == options.seeds for count in equal.values()) else 1)


if __name__ == "__main__":
    main()
