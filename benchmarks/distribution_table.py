"""Few calls against sixty on single surfaces: the table of CFM section 6.2, on meshes of our own.

    python benchmarks/distribution_table.py MESH... --minutes M --out DIR

Every mesh and form is fitted for M minutes in DIR/runs (a run that is there is resumed or reused),
sampled from its checkpoint and compared with fresh points of the surface. DIR gets results/*.json,
distribution_table.md with all results that are there, and pictures/*.png. Without MESH only the
table is made anew. Needs torch, numpy, scipy, accelerate, safetensors and Pillow; meshes may be
.npz of vertices and faces. Times and fits are on stderr.

CD is the mean distance (not squared) from a sampled point to the nearest surface point plus the
same the other way, so the sum of both ways, in units in which the surface has zero mean and unit
variance a coordinate. Both clouds have --points points. The floor is CD between two independent
samplings of the surface. All samplers of a form share network and noise. Heun makes 2 K - 1 calls
for K intervals: 59, 5, 3 and 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from script import add_device, argument_parser, run_script, say

from geoflow import SurfaceModel, load_surface, time_grid
from geoflow.checks import one_of, require
from geoflow.files import write_atomically
from geoflow.flow import sample_heun
from geoflow.model import load_checkpoint, pick_device
from geoflow.render import camera_axes, join_tiles
from geoflow.scores import mean_nearest
from geoflow.surface import SURFACE_FORMS, SurfaceSource

CALLS, DRAWN, PART, SEED = (60, 6, 3, 1), (1, 3, 60), 1 << 17, 0
Sampler = Callable[[SurfaceModel, torch.Tensor, int], torch.Tensor]


# -- samplers -------------------------------------------------------------------------------------


def fold(model: SurfaceModel, noise: torch.Tensor, calls: int) -> torch.Tensor:
    """The cumulative map."""
    return model.carry(noise, calls, cumulative=True)


def euler(model: SurfaceModel, noise: torch.Tensor, calls: int) -> torch.Tensor:
    """r = t at every call."""
    return model.carry(noise, calls, cumulative=False)


def heun(model: SurfaceModel, noise: torch.Tensor, calls: int) -> torch.Tensor:
    """r = t, second order, at most so many calls."""
    times = time_grid(model.transport, max(1, (calls + 1) // 2))
    return sample_heun(model.transport, model.net, noise, times)


SAMPLERS: dict[str, Sampler] = {"CFM": fold, "Euler, r = t": euler, "Heun, r = t": heun}


def draw(
    sampler: Sampler, model: SurfaceModel, noise: torch.Tensor, calls: int
) -> tuple[torch.Tensor, float]:
    """(N, C) points of the normalised frame, and the seconds they took."""
    on_gpu = noise.device.type == "cuda"
    begin = time.perf_counter()
    points = torch.cat([sampler(model, part, calls) for part in noise.split(PART)])
    if on_gpu:
        torch.cuda.synchronize(noise.device)
    return points, time.perf_counter() - begin


# -- one mesh and form ------------------------------------------------------------------------


@dataclass
class Case:
    """A mesh to be fitted with a form."""

    name: str
    form: str
    source: SurfaceSource

    @property
    def label(self) -> str:
        return f"{self.name}-{self.form}"


def fit(case: Case, mesh: Path, run: Path, args: argparse.Namespace) -> None:
    """Trains, resumes or reuses DIR/runs/NAME-FORM."""
    say(f"{case.label}: training in {run}")
    changes = [f"width={args.width}", f"depth={args.depth}", *args.set]
    changes += ["texture=true"] if args.texture else []
    changes += [] if args.batch is None else [f"batch={args.batch}"]
    length = ["--minutes", str(args.minutes), "--fit"]
    length = length if args.steps is None else ["--steps", str(args.steps)]
    command = [
        sys.executable,
        "-m",
        "geoflow",
        "train",
        SURFACE_FORMS[case.form][0],
        "--data",
        str(mesh),
    ]
    command += ["--out", str(run), "--resume", "--device", args.device.type, *length]
    command += ["--no-compile"] if args.no_compile else []
    command += [part for change in changes for part in ("--set", change)]
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": root})
    if done.returncode:
        raise ValueError(f"{case.label} was not trained; see above; repeat the command to go on")


def measure(case: Case, run: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Every sampler at every number of calls, and pictures."""
    model = load_surface(run, args.device.type)
    if args.lead is not None:
        model.sampling = replace(model.sampling, lead=args.lead)
    random = torch.Generator(args.device).manual_seed(SEED + 1)
    truth, other = (case.source.batch(args.points, random)[0] for _ in range(2))
    noise = torch.randn(args.points, model.frame.channels, generator=random, device=args.device)
    floor = sum(mean_nearest(other[:, :3], truth[:, :3]))
    say(f"{case.label}: floor {floor:.5f}")
    rows, clouds = {}, {}
    for name, sampler in SAMPLERS.items():
        for calls in CALLS:
            points, seconds = draw(sampler, model, noise, calls)
            if calls in DRAWN and sampler is not heun:
                clouds[name, calls] = model.frame.decode(points.double()).cpu().numpy()
            there, back = (float("nan"),) * 2
            if bool(torch.isfinite(points).all()):
                there, back = mean_nearest(points[:, :3], truth[:, :3])
            rows[f"{name} {calls}"] = {
                "cd": there + back, "to_surface": there, "to_samples": back, "seconds": seconds
            }  # fmt: skip
            say(f"{case.label}: {name}, {calls} calls: CD {there + back:.5f}, {seconds:.2f} s")
    exact = model.frame.decode(truth.double()).cpu().numpy()
    write_atomically(args.out / "pictures" / f"{case.label}.png", picture(clouds, exact))
    training = load_checkpoint(run / "checkpoint")[0]["training"]
    where = torch.cuda.get_device_name() if args.device.type == "cuda" else "cpu"
    size = sum(p.numel() for p in model.net.parameters())
    return {"mesh": case.name, "form": case.form, "points": args.points, "floor": floor,
            "parameters": size, "device": where, "torch": torch.__version__,
            "training": training, "rows": rows}  # fmt: skip


def picture(clouds: dict[tuple[str, int], np.ndarray], truth: np.ndarray) -> bytes:
    """PNG: a row a sampler, 1, 3 and 60 calls; the surface itself at the right of each."""
    low, high = truth[:, :3].min(axis=0), truth[:, :3].max(axis=0)
    view = {"centre": (low + high) / 2, "radius": float(np.linalg.norm(high - low)) / 2}
    tiles = []
    for name in ("CFM", "Euler, r = t"):
        tiles += [draw_points(clouds[name, calls], 360, **view) for calls in DRAWN]
        tiles.append(draw_points(truth, 360, **view))
    return join_tiles(tiles, len(DRAWN) + 1)


def draw_points(points: np.ndarray, size: int, *, centre: np.ndarray, radius: float) -> np.ndarray:
    """A cloud as dots of one pixel; a pixel far behind its neighbours is darker (eye-dome shading).

    Args:
        points: (N, 3), y up, facing +z, or (N, 6) with RGB in [0, 1].
        size: pixels a side.
        centre, radius: sphere that the picture shows; points outside of it are cut off.

    Returns:
        (size, size, 3) uint8 on white.
    """
    across, up, back = camera_axes(azimuth=35, elevation=22)
    place = (points[:, :3] - centre) / radius
    column = np.rint((place @ across + 1) * (size - 1) / 2).astype(np.int64)
    row = np.rint((1 - place @ up) * (size - 1) / 2).astype(np.int64)
    near = place @ back  # larger is nearer
    seen = np.flatnonzero((column >= 0) & (column < size) & (row >= 0) & (row < size))
    order = seen[np.argsort(near[seen])]  # the nearest of a pixel is written last
    pixel = row[order] * size + column[order]
    depth = np.full(size * size, -np.inf)
    depth[pixel] = near[order]
    colour = np.ones((size * size, 3))
    colour[pixel] = points[order, 3:].clip(0, 1) if points.shape[1] == 6 else (0.62, 0.70, 0.78)
    shade = eye_dome(depth.reshape(size, size)).reshape(-1, 1)
    picture = np.where(np.isfinite(depth)[:, None], colour * shade, 1.0)
    return np.rint(255 * picture).astype(np.uint8).reshape(size, size, 3)


def eye_dome(depth: np.ndarray) -> np.ndarray:
    """(S, S) nearness, -inf for background -> (S, S) brightness in [0.25, 1]."""
    known = np.isfinite(depth)
    padded = np.pad(np.where(known, depth, -1e9), 1, constant_values=-1e9)
    size = len(depth)
    behind = np.zeros_like(depth)
    for down, along in ((0, 1), (2, 1), (1, 0), (1, 2)):
        neighbour = padded[down : down + size, along : along + size]
        behind += np.clip(neighbour - np.where(known, depth, 1e9), 0, 0.05)
    return 0.25 + 0.75 * np.exp(-25 * behind)


# -- the table ------------------------------------------------------------------------------------


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a row a mesh, form and sampler; CD, and its ratio to 60 calls and to the floor."""
    lines = [
        "| mesh | form | sampler | 60 calls | 6 calls | 3 calls | 1 call | 60 : floor | "
        "3 : best of 60 | 1 : best of 60 |",
        "|" + "---|" * 10,
    ]
    for result in sorted(results, key=lambda r: (r["mesh"], r["form"])):
        rows, floor = result["rows"], result["floor"]
        base = min(rows["Euler, r = t 60"]["cd"], rows["Heun, r = t 60"]["cd"])
        for name in SAMPLERS:
            cds = [rows[f"{name} {calls}"]["cd"] for calls in CALLS]
            cells = [result["mesh"], result["form"], name, *(f"{cd:.4f}" for cd in cds)]
            ratios = cds[0] / floor, cds[2] / base, cds[3] / base
            lines.append("| " + " | ".join([*cells, *(f"{x:.2f}" for x in ratios)]) + " |")
        lines.append(f"| {result['mesh']} | {result['form']} | floor | {floor:.4f} |" + " |" * 6)
    heads = {
        f"{r['mesh']} {r['form']}: {r['training']['steps']} steps of {r['training']['batch']} "
        f"points, {r['training']['minutes']} minutes on {r['device']}, "
        f"{r['parameters'] / 1e6:.1f} M parameters, {r['points']:,} points"
        for r in results
    }
    return "\n".join([*lines, "", *(f"- {head}" for head in sorted(heads))]) + "\n"


def parse() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("meshes", nargs="*", type=Path, metavar="MESH")
    parser.add_argument("--minutes", type=float, default=4.0, help="of training for each form")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--forms", nargs="+", default=["EDM", "x1-FM", "u-FM"])
    parser.add_argument("--points", type=int, default=500_000)
    parser.add_argument("--steps", type=int, help="of training, in place of --minutes")
    parser.add_argument("--batch", type=int, help="points a step")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--depth", type=int, default=6)
    add_device(parser)
    parser.add_argument("--texture", action="store_true", help="learn colours too")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE",
        help="of the recipe, such as learning_rate=1e-3 or cumulative=0.6",
    )  # fmt: skip
    parser.add_argument("--lead", type=float, help="of the few calls; default the checkpoint's")
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    args.device = pick_device(args.device)
    return args


def main() -> None:
    args = parse()
    if args.meshes:
        require("accelerate")
    for form in args.forms:
        one_of("--forms", form, SURFACE_FORMS)
    results = args.out / "results"
    for folder in (results, args.out / "pictures", args.out / "runs"):
        folder.mkdir(parents=True, exist_ok=True)
    for mesh in args.meshes:
        source = SurfaceSource.open(mesh, args.device, texture=args.texture)
        for form in args.forms:
            case = Case(mesh.stem, form, source)
            run = args.out / "runs" / case.label
            fit(case, mesh, run, args)
            text = json.dumps(measure(case, run, args), indent=1).encode()
            write_atomically(results / f"{case.label}.json", text)
    found = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]
    write_atomically(args.out / "distribution_table.md", table(found).encode())
    print(table(found))


if __name__ == "__main__":
    run_script(main)
