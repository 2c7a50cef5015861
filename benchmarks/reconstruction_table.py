"""Surfaces from 64, 512 and 2,048 points: one call against 64, Poisson and ball pivoting.

    python benchmarks/reconstruction_table.py CHECKPOINT DATA --out DIR [--per-category 3]

Protocol. The first validation shapes of every category. The cloud given is so many of the shape's
stored surface points; nothing is told of its category. A mesh is compared with all stored points:
as many points are drawn evenly over its area; CD is the mean distance (not squared) to the nearest
point, both ways, averaged; the F-score counts points nearer than 1 % of the longest side. "64
calls" is the same network's ordinary sampler, r = t at every call. Poisson (depth 7) and ball
pivoting (radii 1, 2 and 4 times the mean distance of neighbours) are open3d's, with normals of its
own, oriented; they are left out where open3d is missing. Progress on stderr, a markdown table on
stdout, every number in DIR/reconstruction.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from script import add_device, argument_parser, run_script, say

from geoflow import ObjectGenerator, load_generator, reconstruct
from geoflow.data import ShapeDataset
from geoflow.geometry import is_watertight, sample_surface
from geoflow.scores import f_score, mean_nearest

Points = NDArray[np.float64]
Mesh = tuple[Points, NDArray[np.int64]]
GIVEN, LONGEST = (64, 512, 2048), 1.8


def by_network(generator: ObjectGenerator, steps: int, cumulative: bool) -> Callable[..., Mesh]:
    """A method that asks the network."""

    def make(points: Points) -> Mesh:
        mesh = reconstruct(generator, points, steps=steps, resolution=64, cumulative=cumulative)
        return mesh.vertices, mesh.faces

    return make


def _cloud_with_normals(points: Points) -> Any:
    import open3d

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(16))
    cloud.orient_normals_consistent_tangent_plane(12)
    return cloud


def _arrays(mesh: Any) -> Mesh:
    return np.asarray(mesh.vertices), np.asarray(mesh.triangles, np.int64)


def poisson(points: Points) -> Mesh:
    """Screened Poisson reconstruction."""
    import open3d

    cloud = _cloud_with_normals(points)
    make = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson
    return _arrays(make(cloud, depth=7)[0])


def ball_pivoting(points: Points) -> Mesh:
    """Ball pivoting."""
    import open3d

    cloud = _cloud_with_normals(points)
    step = float(np.mean(cloud.compute_nearest_neighbor_distance()))
    radii = open3d.utility.DoubleVector([step, 2 * step, 4 * step])
    make = open3d.geometry.TriangleMesh.create_from_point_cloud_ball_pivoting
    return _arrays(make(cloud, radii))


def score(mesh: Mesh, truth: Points) -> dict[str, float]:
    """CD, F-score and whether the mesh is closed; a mesh without faces is as bad as it gets."""
    vertices, faces = mesh
    if not len(faces):
        return {"cd": LONGEST, "f": 0.0, "closed": 0.0}
    made, _ = sample_surface(vertices, faces, len(truth), np.random.default_rng(0))
    return {
        "cd": sum(mean_nearest(made, truth)) / 2,
        "f": f_score(made, truth, 0.01 * LONGEST),
        "closed": float(is_watertight(faces)),
    }


def pick_shapes(data: Path, per_category: int) -> list[tuple[str, Points]]:
    """(category, stored points) of the first validation shapes of each category."""
    dataset = ShapeDataset.open(data)
    points, _ = dataset.load_points("validation")
    names = [row["category"] for row in dataset.rows("validation")]
    found = []
    for category in dataset.categories:
        places = [i for i, name in enumerate(names) if name == category][:per_category]
        found += [(category, points[i].astype(np.float64)) for i in places]
    return found


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-category", type=int, default=3)
    add_device(parser)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 2, 64])
    args = parser.parse_args()
    generator = load_generator(args.checkpoint, args.device)
    shapes = pick_shapes(args.data, args.per_category)
    methods: dict[str, Callable[..., Mesh]] = {}
    for calls in args.calls:
        name = f"{calls} calls" if calls > 1 else "1 call"
        few = calls < 50
        methods[name if few else f"r = t, {name}"] = by_network(generator, calls, few)
    try:
        import open3d  # noqa: F401

        methods |= {"Poisson": poisson, "ball pivoting": ball_pivoting}
    except (ImportError, OSError):
        say("open3d is missing: no Poisson, no ball pivoting")
    rows: list[dict[str, Any]] = []
    for number, (category, truth) in enumerate(shapes):
        order = np.random.default_rng(number).permutation(len(truth))
        for given in GIVEN:
            for name, make in methods.items():
                try:
                    found = score(make(truth[order[:given]]), truth)
                except ValueError:  # no surface came out
                    found = score((np.zeros((0, 3)), np.zeros((0, 3), np.int64)), truth)
                rows.append({"shape": number, "category": category, "points": given} | found)
                rows[-1]["method"] = name
        say(f"{number + 1} of {len(shapes)}")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "reconstruction.json").write_text(json.dumps(rows, indent=1))
    print(
        "| points | method | CD, % of the longest side | F-score | closed |\n|---|---|---|---|---|"
    )
    for given in GIVEN:
        for name in methods:
            part = [r for r in rows if r["points"] == given and r["method"] == name]
            cd, f, closed = (float(np.mean([r[k] for r in part])) for k in ("cd", "f", "closed"))
            print(f"| {given} | {name} | {100 * cd / LONGEST:.2f} | {f:.3f} | {closed:.0%} |")


if __name__ == "__main__":
    run_script(main)
