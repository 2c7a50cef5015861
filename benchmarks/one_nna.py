"""What 1-NNA by Chamfer distance costs on the CPU: two sets of training shapes.

    /usr/bin/time -v python benchmarks/one_nna.py data/objects [--shapes 500]

No shape is in both sets, so the score should be near 0.5.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

from geoflow.data import ShapeDataset
from geoflow.scores import chamfer_matrices, coverage_mmd, one_nna

POINTS, SEED = 2048, 0


def draw_clouds(folder: Path, count: int) -> np.ndarray:
    """(count, 2048, 3) float32 in the cube [-1, 1]^3, from as few shards as hold so many.

    Raises:
        ValueError: the folder holds fewer training shapes, or cannot be read.
    """
    source, order = ShapeDataset.open(folder), np.random.default_rng(SEED)
    shuffled = [source.shards[i] for i in order.permutation(len(source.shards))]
    for used in range(1, len(shuffled) + 1):
        part = dataclasses.replace(source, shards=tuple(shuffled[:used]))
        if len(part.rows("train")) >= count:
            points, _ = part.load_points("train")
            return points[order.permutation(len(points))[:count], :POINTS].copy()
    raise ValueError(f"{count} shapes are needed; {folder} has {len(source.rows('train'))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--shapes", type=int, default=500)
    args = parser.parse_args()
    try:
        clouds = draw_clouds(args.data, 2 * args.shapes)
    except ValueError as error:
        sys.exit(f"one_nna: {error}")
    wall, cpu = time.perf_counter(), time.process_time()
    aa, ab, bb = chamfer_matrices(clouds[: args.shapes], clouds[args.shapes :], device="cpu")
    score, (coverage, mmd) = one_nna(aa, ab, bb), coverage_mmd(ab)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    computed = np.mean([np.isfinite(m).mean() for m in (aa, ab, bb)])
    print(f"1-NNA {score:.3f}, coverage {coverage:.3f}, MMD {mmd:.5f}")
    print(f"{wall:.1f} s, {cpu:.1f} s of CPU time, {computed:.1%} of the distances computed")


if __name__ == "__main__":
    main()
