"""The Surface from points tab: a closed mesh of a sparse cloud, in one network call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

import geoflow
from geoflow.checks import one_of
from geoflow.io import ply_header, ply_rows
from geoflow_app.parts import clouds
from geoflow_app.parts.components import (
    UPRIGHT,
    axis_of,
    facts_table,
    file_in_viewer,
    hidden_number,
    mesh_upload,
    steps_slider,
    unchecked,
    up_choice,
    viewer,
)
from geoflow_app.parts.example_cloud import example_cloud
from geoflow_app.parts.files import plain_stem
from geoflow_app.parts.ui import LIGHT, MODEL, PRIVATE, Context, once, one_line
from geoflow_app.server.sessions import Item, Session
from geoflow_app.server.settings import MAX_SEED, settings_of, whole
from geoflow_app.tabs import exports

ENDINGS = [".ply", ".xyz", ".obj", ".glb", ".off", ".stl", ".3mf"]
ANY, KEPT = "any", 4
EMPTY = "<p class='hint'>Choose a cloud of points, or click An example.</p>"
READING = "<p class='hint'>Reading the points.</p>"
READ = "<p class='hint'>Press Make the surface.</p>"
WORKING = "<p class='hint'>Making the surface.</p>"
NOTE = (
    "glb, obj, ply: the cloud's own frame and unit · stl, 3mf: millimetres, z up, "
    "the cloud's unit taken for a metre"
)
MISSING = (
    "this needs a surface from points; there is none, or it was deleted; "
    "press Make the surface first"
)


class SurfaceTab:
    """The tab's components and handlers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.chosen = hidden_number(label="surface")
        with gr.Row():
            with gr.Column(scale=3, min_width=260):
                self._controls()
            with gr.Column(scale=9, min_width=640):
                with gr.Row():
                    self.points = viewer("Points that the network reads", 500)
                    self.view = viewer("Surface", 500)
                with gr.Row():
                    with gr.Column(min_width=300):
                        self.facts = gr.HTML(EMPTY)
                    with gr.Column(min_width=300):
                        self.download = exports.build(
                            context, self.chosen, zips=False, api_name="export_surface", note=NOTE,
                            find=_find,
                        )  # fmt: skip
        self._events()

    def _controls(self) -> None:
        self.upload = mesh_upload("Cloud or mesh file", ENDINGS, "cloud")
        self.example_button = gr.Button("An example", size="sm")
        self.up = up_choice("Up axis of the points")
        gr.HTML(
            f"<p class='note'>{' '.join(ENDINGS)}. Of a mesh, points of its surface are taken. "
            "stl and 3mf are taken to be z up, whatever is chosen.</p>"
        )
        names = [ANY, *self.context.studio.generator.categories]
        self.category = unchecked(
            gr.Dropdown(names, value=ANY, label="Category", info="If you know what it is")
        )
        self.steps = steps_slider(1, info="Network calls")
        self.seed = gr.Number(
            0, label="Seed", info="Another guess where points are missing", elem_id="surface-seed"
        )
        self.resolution = unchecked(gr.Radio([64, 128], value=128, label="Resolution"))
        self.go = gr.Button("Make the surface", variant="primary", elem_id="reconstruct")
        self.stop_button = gr.Button("Stop", size="sm", elem_id="stop-surface")

    def _events(self) -> None:
        how = [self.upload, self.up, self.category, self.steps, self.seed, self.resolution]
        outputs = [self.points, self.view, self.facts, self.chosen]
        options: dict[str, Any] = {
            "show_progress": "minimal", "show_progress_on": self.go, **MODEL,
        }  # fmt: skip
        read = self.upload.upload(
            one_line(self.look), [self.upload, self.up], [*outputs, self.download],
            api_visibility="private", show_progress_on=self.upload, **LIGHT,
        )  # fmt: skip
        made = self.go.click(one_line(self.make), how, outputs, api_name="reconstruct", **options)
        chosen = self.example_button.click(
            one_line(self.example), None, [self.upload, self.up], api_name="example_cloud",
            show_progress_on=self.example_button, **LIGHT,
        )  # fmt: skip
        shown = chosen.success(
            one_line(self.make), how, outputs, api_visibility="private", **options
        )
        for event in (made, shown):
            event.success(exports.no_file, None, self.download, **PRIVATE)
        for event in (read, made, shown):
            event.failure(_nothing, None, outputs, **PRIVATE)
        read.failure(lambda: None, None, self.upload, **PRIVATE)
        self.upload.clear(_nothing, None, outputs, **PRIVATE)
        self.stop_button.click(self.stop, None, self.facts, cancels=[read, made, shown], **PRIVATE)

    # -- handlers: their docstrings are the API's documentation --------------------------------

    def look(self, file: str | None, up: str, request: gr.Request) -> Iterator[Any]:
        """Read a cloud and show its points, so that the click only needs the network."""
        session = self.context.session(request)
        job, axis = session.begin(), axis_of(up)
        yield None, None, READING, None, exports.no_file()
        cloud = clouds.read(job, self.context.studio, _path(file), axis)
        name = f"{plain_stem(cloud.path)}_points_{session.number():03d}.glb"
        path = clouds.write_points(session.folder / name, cloud.scan)
        shown = file_in_viewer(path, _radius(cloud), request)
        facts = facts_table(_of_cloud(cloud)) + READ
        yield from once(request, shown, None, facts, None, gr.skip())

    def make(
        self,
        file: str | None,
        up: str,
        category: str,
        steps: float,
        seed: float,
        resolution: float,
        request: gr.Request,
    ) -> Iterator[Any]:
        """Make a closed surface of a sparse cloud of points, in the cloud's own frame.

        Args:
            file: .ply, .xyz, .obj, .glb or .off of points, or a mesh file, of whose surface points
                are taken; at most 50 MB.
            up: "y, facing +z" or "z, facing -y"; stl and 3mf are taken to be z up.
            category: what the cloud is of, one of the generator's, or "any".
            steps: network calls, 1 to 8.
            seed: another one gives another guess where points are missing.
            resolution: 64, 128 or 256 cells a side.

        Returns:
            the points and the surface as .glb to look at, their facts, and the surface's number
            for /export_surface.
        """
        settings, start = settings_of(steps, 1.0, resolution), whole("seed", seed, 0, MAX_SEED)
        path, axis = _path(file), axis_of(up)
        one_of("category", category, (ANY, *self.context.studio.generator.categories))
        session = self.context.session(request)
        job = session.begin()
        yield gr.skip(), None, WORKING, None
        cloud = clouds.read(job, self.context.studio, path, axis)
        mesh, seconds = self.context.studio.surface(
            job.check, cloud.scan, None if category == ANY else category, start, settings
        )
        item = clouds.store_surface(job, cloud, mesh, seconds)
        job.check()
        session.add(item)
        session.keep(clouds.KIND, KEPT)
        shown = [p for p in (item.cloud, item.glb) if p is not None]
        views = (file_in_viewer(path, _radius(cloud), request) for path in shown)
        yield from once(request, *views, _facts(item, cloud), item.number)

    def example(self, request: gr.Request) -> Any:
        """A scan of a chair made by code, rough and with a hole, as a file for /reconstruct.

        Returns:
            the .ply, and its up axis.
        """
        session = self.context.session(request)
        job, path = session.begin(), session.folder / "example.ply"
        points = example_cloud()
        data = ply_header(len(points), coloured=False) + ply_rows(points)
        geoflow.files.write_atomically(path, data, sync=False)
        clouds.remember(job, self.context.studio, path, points)
        return str(path), UPRIGHT

    def stop(self, request: gr.Request) -> str:
        """Stop what this page is making."""
        self.context.stop(request)
        return EMPTY


def _path(file: str | None) -> Path:
    if not file:
        raise ValueError(
            "a surface needs a file of points; none was given; choose one, or the example"
        )
    return Path(file)


def _radius(cloud: clouds.Cloud) -> float:
    """Half the diagonal of the points as they are shown."""
    return float(np.linalg.norm(np.ptp(cloud.scan.points.numpy(), axis=0))) / 2


def _find(session: Session, number: float | None) -> Item:
    return session.get_of(clouds.KIND, number, MISSING)


def _nothing() -> Any:
    return None, None, EMPTY, None


def _of_cloud(cloud: clouds.Cloud) -> dict[str, str]:
    read = f"{len(cloud.scan.points):,} read of {cloud.given:,}"
    if cloud.faces:
        read = f"{len(cloud.scan.points):,} taken from {cloud.faces:,} faces"
    return {"Cloud": cloud.path.name[:60], "Points": read}


def _facts(item: Item, cloud: clouds.Cloud) -> str:
    facts = item.facts
    width, height, depth = facts["size"]
    cells = _of_cloud(cloud) | {
        "Surface": f"{facts['vertices']:,} vertices, {facts['faces']:,} faces",
        "Closed": "yes" if facts["closed"] else "no",
        "Size": f"{width:.4g} wide, {height:.4g} high, {depth:.4g} deep",
        "Made in": f"{facts['seconds']:.2f} s",
    }
    return facts_table(cells)


def ready(context: Context) -> bool:
    """Whether the generator reads clouds."""
    return context.studio.generator.reads_clouds
