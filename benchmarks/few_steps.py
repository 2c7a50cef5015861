"""Are one or two network calls as good as fifty? Scores, copies, seams and meshes of a checkpoint.

    python benchmarks/few_steps.py RUN/checkpoint DATA --out DIR

Prints markdown tables; DIR gets few_steps.json with every number, and contact sheets.

Protocol. Generated shape i is shape i of `geoflow generate --seed 0 --category all`, so that every
sampler starts from the same noise. They are compared with as many validation shapes a category. A
grid becomes 2,048 points: surface at 64^3, loose fragments removed as `geoflow generate` does, even
sampling over the area. Validation and training shapes go the same way, from the grids that training
sees. Points stay in the units of the cube [-1, 1]^3, in which data preparation centred and scaled
every shape: nothing is centred or scaled again. 1-NNA is that of the PVD protocol, whole sets,
Chamfer distance, per category: 0.5 cannot be told apart, 1 perfectly. Its floor is the score of
training shapes, drawn at random, against the same validation shapes.

A points checkpoint (`--backbone points`) is judged in the same way without meshing: its clouds are
compared with stored surface points of the data set, and one that is not finite counts as points at
the origin. --heun adds the ordinary sampler of second order, the better one of many calls.

A generated grid without a surface is counted as failed and drawn again from fresh noise, three
times; after that its points all lie at the origin, which counts against the sampler.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from script import BEGIN, add_device, argument_parser, run_script, say
from shape_sets import (
    SEED,
    Chosen,
    Generator,
    Sampler,
    ShapeSet,
    choose,
    collect,
    generate_clouds,
    generate_grids,
    read_clouds,
    read_grids,
    submit,
)

from geoflow import ObjectGenerator, PointGenerator, load_generator
from geoflow.render import join_tiles
from geoflow.scores import Matrix, chamfer_matrix, one_nna

PAIRS, DRAWN = 10, 3

# -- scores ---------------------------------------------------------------------------------------


def score_categories(
    categories: list[str],
    sets: dict[str, ShapeSet],
    validation: ShapeSet,
    training: ShapeSet,
    copies_of: str,
    device: torch.device,
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """1-NNA of every set, and distances to the nearest training shape.

    Returns:
        category -> set or "training (floor)" -> 1-NNA; and for the shapes of `copies_of` and of
        validation the distance to the nearest training shape, its place, and the shape's place.
    """
    rng = np.random.default_rng(SEED)
    scores: dict[str, dict[str, float]] = {}
    found: dict[str, list[np.ndarray]] = {"generated": [], "validation": [], "shape": [], "of": []}
    for k, category in enumerate(categories):
        real, known = validation.of(k), training.of(k)
        bb = chamfer_matrix(real, device=device)
        to_known = chamfer_matrix(real, known, device=device)
        pick = rng.choice(len(known), len(real), replace=False)
        aa = chamfer_matrix(known[pick], device=device)
        row = {"training (floor)": one_nna(aa, to_known[:, pick].T, bb)}
        for name, shapes in sets.items():
            row[name] = _one_nna(shapes.of(k), real, bb, device)
        scores[category] = row
        to_training = chamfer_matrix(sets[copies_of].of(k), known, device=device)
        found["generated"].append(to_training.min(1))
        found["shape"].append(np.flatnonzero(sets[copies_of].labels == k))
        found["of"].append(np.flatnonzero(training.labels == k)[to_training.argmin(1)])
        found["validation"].append(to_known.min(1))
        say(f"scored {category}: " + ", ".join(f"{n} {v:.3f}" for n, v in row.items()))
    return scores, {name: np.concatenate(parts) for name, parts in found.items()}


def _one_nna(a: np.ndarray, b: np.ndarray, bb: Matrix, device: torch.device) -> float:
    return one_nna(chamfer_matrix(a, device=device), chamfer_matrix(a, b, device=device), bb)


def summarise_scores(
    scores: dict[str, dict[str, float]], samplers: list[Sampler], reference: Sampler
) -> dict[str, Any]:
    """Means over categories, and differences of the few calls to the reference.

    The standard error of a difference treats the categories as independent.
    """
    table = {name: [row[name] for row in scores.values()] for name in next(iter(scores.values()))}
    differences = {}
    for sampler in samplers:
        if sampler != reference:
            gap = np.subtract(table[sampler.name], table[reference.name])
            error = float(gap.std(ddof=1) / len(gap) ** 0.5) if len(gap) > 1 else 0.0
            key = f"{sampler.name} - {reference.name}"
            differences[key] = {"mean": float(gap.mean()), "standard_error": error}
    means = {name: float(np.mean(column)) for name, column in table.items()}
    return {"mean": means, "differences": differences}


def summarise_copies(found: dict[str, np.ndarray], categories: list[str]) -> dict[str, Any]:
    """Medians of the distance to the nearest training shape; a copier's would be near 0."""
    generated = float(np.median(found["generated"]))
    validation = float(np.median(found["validation"]))
    closest = np.argsort(found["generated"], kind="stable")[:PAIRS]
    pairs = [
        {
            "category": categories[int(found["shape"][i]) % len(categories)],
            "generated": int(found["shape"][i]),
            "training_row": int(found["of"][i]),
            "distance": float(found["generated"][i]),
        }
        for i in closest
    ]
    return {
        "median_generated_to_training": generated,
        "median_validation_to_training": validation,
        "ratio": generated / max(validation, 1e-12),
        "smallest_generated": float(found["generated"].min()),
        "smallest_validation": float(found["validation"].min()),
        "closest_pairs": pairs,
    }


@torch.no_grad()
def measure_seams(
    shapes: ShapeSet, truncation: float, patch: int, device: torch.device
) -> dict[str, float]:
    """Mean |second difference| in the band |sdf| < truncation / 2, in cube units.

    Along each axis: where the three cells lie in two patches ("border"), and where in one
    ("inside"). Real grids tell how far the ratio differs from 1 without any patch.
    """
    grids = shapes.grids
    assert grids is not None
    total = torch.zeros(2, 3, dtype=torch.float64)
    count = torch.zeros(2, 3, dtype=torch.float64)
    centre = torch.arange(1, grids.shape[1] - 1, device=device)
    border = (centre - 1) // patch != (centre + 1) // patch
    for part in np.array_split(grids, -(-len(grids) // 64)):
        x = torch.from_numpy(part).to(device).float() * shapes.factor
        for axis in (1, 2, 3):
            bend = x.diff(n=2, dim=axis).abs().movedim(axis, -1)
            band = x.narrow(axis, 1, len(centre)).abs().movedim(axis, -1) < truncation / 2
            for row, place in enumerate((border, ~border)):
                chosen = band & place
                total[row, axis - 1] += torch.where(chosen, bend, 0).sum(dtype=torch.float64).cpu()
                count[row, axis - 1] += chosen.sum().cpu()
    mean = total / count.clamp(min=1)
    pooled = total.sum(1) / count.sum(1).clamp(min=1)
    result = {"border": float(pooled[0]), "inside": float(pooled[1])}
    result["ratio"] = result["border"] / max(result["inside"], 1e-12)
    for axis, name in enumerate("xyz"):
        result[f"ratio_{name}"] = float(mean[0, axis] / mean[1, axis].clamp(min=1e-12))
    return result


# -- pictures and text ----------------------------------------------------------------------------


def contact_sheet(
    path: Path, shapes: ShapeSet, categories: list[str], device: torch.device
) -> None:
    """The first three shapes a category; a column is a category."""
    count = min(DRAWN, int(np.bincount(shapes.labels).min()))
    places = np.stack([np.flatnonzero(shapes.labels == k)[:count] for k in range(len(categories))])
    tiles = shapes.pictures(places.T.ravel(), device)
    path.write_bytes(join_tiles(tiles, len(categories)))


def write_pictures(
    out: Path,
    generated: dict[Sampler, ShapeSet],
    validation: ShapeSet,
    training: ShapeSet,
    copies: tuple[Sampler, list[dict[str, Any]]],
    generator: Generator,
) -> None:
    """Contact sheets, and the closest pairs: generated on the left, training on the right."""
    categories, device = generator.categories, generator.device
    contact_sheet(out / "validation.png", validation, categories, device)
    for sampler, shapes in generated.items():
        plural = "call" if sampler.calls == 1 else "calls"
        end = f"{sampler.calls}{plural}" if sampler.cumulative else f"{sampler.calls}"
        contact_sheet(out / f"samples_{end}.png", shapes, categories, device)
    sampler, pairs = copies
    left = generated[sampler].pictures([p["generated"] for p in pairs], device)
    right = training.pictures([p["training_row"] for p in pairs], device)
    tiles = np.stack([left, right], 1).reshape(-1, *left.shape[1:])
    (out / "closest_pairs.png").write_bytes(join_tiles(tiles, 4))


def markdown(report: dict[str, Any]) -> str:
    """The tables and summary lines."""
    scores, mean = report["one_nna"]["categories"], report["one_nna"]["mean"]
    lines = ["1-NNA against validation shapes, Chamfer distance (0.5 is best)", ""]
    lines += [f"| category | {' | '.join(mean)} |", "|---" * (len(mean) + 1) + "|"]
    for category, row in (scores | {"**mean**": mean}).items():
        lines.append(f"| {category} | " + " | ".join(f"{row[n]:.3f}" for n in mean) + " |")
    lines.append("")
    for name, gap in report["one_nna"]["differences"].items():
        lines.append(f"- {name}: {gap['mean']:+.3f} +- {gap['standard_error']:.3f}")
    copies = report["copies"]
    lines.append(
        f"- nearest training shape ({copies['sampler']}): median distance "
        f"{copies['median_generated_to_training']:.5f}, validation shapes "
        f"{copies['median_validation_to_training']:.5f}, ratio {copies['ratio']:.2f}; "
        f"smallest {copies['smallest_generated']:.5f} and {copies['smallest_validation']:.5f}"
    )
    if "meshes" not in report:
        return "\n".join(lines)
    lines += ["", "| set | watertight | fragments removed | components | no surface |"]
    lines.append("|---" * 5 + "|")
    for name, row in report["meshes"].items():
        lines.append(
            f"| {name} | {row['watertight_share']:.1%} | {row['mean_fragments_removed']:.2f} | "
            f"{row['mean_components']:.2f} | {row['without_surface_at_first']} |"
        )
    lines += ["", "| set | bend at patch borders | inside patches | ratio |", "|---" * 4 + "|"]
    for name, row in report["seams"].items():
        lines.append(f"| {name} | {row['border']:.5f} | {row['inside']:.5f} | {row['ratio']:.3f} |")
    return "\n".join(lines)


# -- the run --------------------------------------------------------------------------------------


def run(args: argparse.Namespace, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Everything; returns what few_steps.json holds."""
    generator = load_generator(args.checkpoint, args.device)
    say(f"loaded {args.checkpoint} on {generator.device}")
    samplers = [Sampler(calls, True) for calls in args.steps]
    reference = Sampler(args.reference, False)
    samplers += dict.fromkeys([Sampler(max(args.steps), False), reference])
    if args.heun:
        if not isinstance(generator, PointGenerator):
            raise ValueError("--heun is for checkpoints of clouds; leave it out")
        samplers.append(Sampler(args.heun, False, heun=True))
    chosen = choose(args.data, generator, args.per_category, args.train_limit)
    if isinstance(generator, PointGenerator):
        real, extra = read_clouds(chosen), {}
        generated = generate_clouds(generator, samplers, args.per_category)
    else:
        real, generated, extra = run_grids(args, generator, chosen, samplers, pool)
    device, validation, training = generator.device, real["validation"], real["train"]
    copier = Sampler(2 if 2 in args.steps else args.steps[-1], True)
    named = {sampler.name: shapes for sampler, shapes in generated.items()}
    scores, found = score_categories(
        generator.categories, named, validation, training, copier.name, device
    )
    copies = summarise_copies(found, generator.categories)
    pairs = copies["closest_pairs"]
    write_pictures(args.out, generated, validation, training, (copier, pairs), generator)
    return {
        "checkpoint": generator.config.get("training", {}) | {"digest": generator.digest},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "per_category": args.per_category,
        "training_shapes": len(training.labels),
        "one_nna": {"categories": scores} | summarise_scores(scores, samplers, reference),
        "copies": {"sampler": copier.name} | copies,
        **extra,
        "seconds": round(time.monotonic() - BEGIN, 1),
    }


def run_grids(
    args: argparse.Namespace,
    generator: ObjectGenerator,
    chosen: Chosen,
    samplers: list[Sampler],
    pool: ProcessPoolExecutor,
) -> tuple[dict[str, ShapeSet], dict[Sampler, ShapeSet], dict[str, Any]]:
    """Real and generated sets by way of meshes, and what is measured of meshes and grids alone."""
    grids = read_grids(chosen, generator)
    truncation = chosen.dataset.truncation
    factor = truncation / 127
    say("read " + " and ".join(f"{len(g)} {name}" for name, g in grids.items()) + " shapes")
    pending = {name: submit(pool, g, factor, i) for i, (name, g) in enumerate(grids.items())}
    generated = generate_grids(generator, samplers, args.per_category, pool)
    real = {
        name: collect(name, pending[name], grids[name], labels, factor)
        for name, (_, labels) in chosen.splits.items()
    }
    named = {sampler.name: shapes for sampler, shapes in generated.items()}
    patch = int(generator.config["network"]["arguments"].get("patch", 8))
    seams = {
        name: measure_seams(shapes, truncation, patch, generator.device)
        for name, shapes in ({"validation": real["validation"]} | named).items()
    }
    meshes = {name: shapes.meshes for name, shapes in (real | named).items()}
    return real, generated, {"meshes": meshes, "seams": seams}


def call_counts(text: str) -> list[int]:
    """ "1,2,4" -> [1, 2, 4]."""
    counts = sorted({int(part) for part in text.split(",")})
    if counts[0] < 1:
        raise ValueError
    return counts


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("checkpoint", help="folder with config.json")
    parser.add_argument("data", type=Path, help="data set of data_prep/objects.py")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--per-category", type=int, default=40, help="shapes compared")
    add_device(parser)
    parser.add_argument("--steps", type=call_counts, default=[1, 2, 4], help="calls: 1,2,4")
    parser.add_argument("--reference", type=int, default=50, help="calls of the r = t sampler")
    parser.add_argument("--heun", type=int, help="odd calls of Heun's sampler, r = t; clouds only")
    parser.add_argument("--workers", type=int, default=16, help="meshing processes")
    parser.add_argument("--train-limit", type=int, help="training shapes a category; default all")
    args = parser.parse_args(arguments)
    for name in ("per_category", "reference", "workers", "train_limit"):
        least = 2 if name == "per_category" else 1
        value = getattr(args, name)
        if value is not None and value < least:
            option = "--" + name.replace("_", "-")
            parser.error(f"{option} must be at least {least}; got {value}")
    if args.heun is not None and (args.heun < 1 or args.heun % 2 == 0):
        parser.error(
            f"--heun must be odd, two calls an interval and one in the last; got {args.heun}"
        )
    return args


def main() -> None:
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")  # before CUDA starts; workers use no torch
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
        pool.submit(abs, 0).result()  # starts all workers
        try:
            report = run(args, pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    (args.out / "few_steps.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print(markdown(report))
    say(f"results in {args.out}")


if __name__ == "__main__":
    run_script(main)
