"""Scores a joint checkpoint: the table of the model card.

    python benchmarks/joint_scores.py CHECKPOINT --rigs rigs.npz --rigs rigs_kaykit.npz \\
        --bodies bodies_held_out.npz --training DATA [--device cuda] [--csv scores.csv]

For each test set: CD-J2J (per cent of the longest side), IoU, precision, recall, joints found
against joints there, and edges of the tree; at 1, 2 and 50 calls, sampled as "sampling" in the
checkpoint's config.json or --sampling says, at the most of them with r = t, and with no network
at all: the mean skeleton of the training bodies in T-pose, scaled to the box. A few characters
differ by points from one noise to the next: --seeds 4 gives the mean over four. Runs with torch,
numpy, scipy and safetensors alone.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from script import add_device, argument_parser, run_script

from geoflow import JointPredictor, Skeleton, load_joint_predictor
from geoflow.joints import (
    HELD_OUT_PACKS,
    Character,
    Clustering,
    joint_scores,
    match_joints,
    mean_scores,
    read_characters,
    tree_recall,
)
from geoflow.model import read_part, read_sampling

Find = Callable[[Character, int], Skeleton]
"""(character, seed of the noise) -> its skeleton."""
HEADER = ("set", "method", "CD-J2J %", "IoU %", "precision %", "recall %", "joints", "edges %", "s")


def template(bodies: list[Character]) -> Find:
    """The mean skeleton of T-posed bodies in their boxes, put into any box."""
    level = [c for c in bodies if "-t-" in c.name] or bodies
    joints = np.mean([c.joints / np.abs(c.points).max(0) for c in level], 0)
    parents = level[0].parents

    def find(c: Character, _: int) -> Skeleton:
        placed = joints * np.abs(c.points).max(0)
        return Skeleton(placed.astype(np.float32), parents, np.ones(len(joints), np.float32))

    return find


def network(predictor: JointPredictor, steps: int, cumulative: bool, category: str) -> Find:
    """Predictions of a checkpoint."""
    return lambda c, seed: predictor.predict(
        c.points, c.normals, steps=steps, cumulative=cumulative, category=category, seed=seed
    )


def row(
    name: str, method: str, characters: list[Character], find: Find, seeds: int
) -> tuple[str, ...]:
    """Scores of one method on one set, the mean over seeds of the noise."""
    scores, found, there, edges = [], 0, 0, np.zeros(2, int)
    begin = time.perf_counter()
    for c, seed in product(characters, range(seeds)):
        skeleton = find(c, seed)
        scores.append(joint_scores(skeleton.joints, c.joints, c.feature_size))
        matches = match_joints(skeleton.joints, c.joints, c.feature_size)
        edges += tree_recall(skeleton.parents, c.parents, matches)
        found, there = found + len(skeleton.joints), there + len(c.joints)
    mean, n = mean_scores(scores), len(scores)
    seconds = (time.perf_counter() - begin) / n
    values = (mean.cd_j2j, mean.iou, mean.precision, mean.recall)
    digits = (2, 1, 1, 1)
    shown = [f"{100 * v:.{d}f}" for v, d in zip(values, digits, strict=True)]
    counts = f"{found / n:.1f} of {there / n:.1f}"
    return (
        name,
        method,
        *shown,
        counts,
        f"{100 * edges[0] / max(1, edges[1]):.0f}",
        f"{seconds:.2f}",
    )


def main() -> None:
    """Prints the table; with --csv writes it too."""
    parser = argument_parser(__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--rigs", type=Path, action="append", default=[])
    parser.add_argument("--bodies", type=Path, action="append", default=[])
    parser.add_argument("--training", type=Path, help="a file of training bodies, for the template")
    add_device(parser)
    parser.add_argument(
        "--category", default="any", help='asked for on every set; or "set": its own'
    )
    parser.add_argument("--calls", type=int, nargs="*", default=[1, 2, 50])
    parser.add_argument("--limit", type=int, default=10**9, help="characters of a set")
    parser.add_argument("--seeds", type=int, default=1, help="of the noise, for each character")
    parser.add_argument("--clustering", type=json.loads, help='JSON, such as {"bandwidth": 0.02}')
    parser.add_argument("--sampling", type=json.loads, help='JSON, such as {"mean_last": false}')
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1; got {options.seeds}")
    predictor = load_joint_predictor(options.checkpoint, options.device)
    if options.clustering:
        found = {"clustering": options.clustering}
        predictor.clustering = read_part(found, "clustering", Clustering)
    if options.sampling:
        predictor.sampling = read_sampling({"sampling": options.sampling})
    sets: dict[str, tuple[str, list[Character]]] = {}
    for path in options.rigs:
        for c in read_characters(path):
            if c.pack in HELD_OUT_PACKS:
                sets.setdefault(f"held out: {c.pack}", ("creature", []))[1].append(c)
    for path in options.bodies:
        sets[f"bodies: {path.stem}"] = ("body", read_characters(path))
    rows = [HEADER]
    print(" | ".join(HEADER), flush=True)
    for name, (category, characters) in sets.items():
        characters = characters[: options.limit]
        asked = category if options.category == "set" else options.category
        methods = {
            f"{n} call{'s' * (n > 1)}": network(predictor, n, True, asked) for n in options.calls
        }
        most = max(options.calls)
        methods[f"{most} calls, r = t"] = network(predictor, most, False, asked)
        if options.training:
            methods["mean skeleton"] = template(read_characters(options.training))
        for method, find in methods.items():
            rows.append(row(name, method, characters, find, options.seeds))
            print(" | ".join(rows[-1]), flush=True)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            csv.writer(file).writerows(rows)


if __name__ == "__main__":
    run_script(main)
