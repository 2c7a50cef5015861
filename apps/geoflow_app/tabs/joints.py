"""The Joints tab: the skeleton of a character's mesh, shown inside it, and the rig as a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

import geoflow
from geoflow.checks import one_of
from geoflow_app.parts import rigs
from geoflow_app.parts.components import (
    UPRIGHT,
    axis_of,
    facts_table,
    hidden_number,
    in_viewer,
    mesh_upload,
    steps_slider,
    unchecked,
    up_choice,
    viewer,
)
from geoflow_app.parts.example_character import example_character
from geoflow_app.parts.files import MAX_MEGABYTES, MESHES, own_axis, plain_stem
from geoflow_app.parts.ui import LIGHT, MODEL, PRIVATE, Context, once, one_line
from geoflow_app.server.sessions import Item
from geoflow_app.server.settings import DEFAULT_STEPS, MAX_STEPS, whole
from geoflow_app.tabs import exports

CHECKPOINT = "characters"
KINDS = ["any", "body", "creature"]
KEPT, FEW_JOINTS = 4, 4
EMPTY = "<p class='hint'>Choose a character's mesh, or click An example.</p>"
WORKING = "<p class='hint'>Looking for the joints; the first time takes longer.</p>"
NOTE = (
    "glb: mesh, skeleton and weights · txt: RigNet's format · json: the skeleton alone. "
    "All are in the mesh's own frame; of stl and 3mf in metres, y up."
)

MISSING = (
    "this needs a mesh with joints; there is none, or it was deleted; press Find the joints first"
)


class JointsTab:
    """The tab's components and handlers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.chosen = hidden_number(label="rig")
        with gr.Row():
            with gr.Column(scale=3, min_width=260):
                upload = mesh_upload("Mesh file", MESHES, "character")
                example = gr.Button("An example", size="sm")
                up = up_choice("Up axis of the mesh")
                gr.HTML("<p class='note'>stl and 3mf are taken to be z up, whatever is chosen.</p>")
                kind = unchecked(
                    gr.Radio(
                        KINDS, value="any", label="Kind",
                        info="body: the joints of a human; creature: any rig",
                    )
                )  # fmt: skip
                steps = steps_slider(DEFAULT_STEPS, info="Network calls", elem_id="joint-steps")
                go = gr.Button("Find the joints", variant="primary", elem_id="find")
                stop = gr.Button("Stop", size="sm", elem_id="stop-joints")
            with gr.Column(scale=6, min_width=420):
                view = viewer("Skeleton", 520)
                facts = gr.HTML(EMPTY)
            with gr.Column(scale=3, min_width=260):
                download = self._exports()
        inputs, outputs = [upload, up, kind, steps], [view, facts, self.chosen]
        progress: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": go}
        found = go.click(
            one_line(self.find), inputs, outputs, api_name="joints", **progress, **MODEL
        )
        chosen = example.click(
            one_line(self.example), None, [upload, up], api_name="example_character",
            show_progress_on=example, **LIGHT,
        )  # fmt: skip
        shown = chosen.success(
            one_line(self.find), inputs, outputs, api_visibility="private", **progress, **MODEL
        )
        for event in (found, shown):
            event.success(exports.no_file, None, download, **PRIVATE)
            event.failure(lambda: (None, EMPTY, None), None, outputs, **PRIVATE)
        stop.click(self.stop, None, facts, cancels=[found, shown], **PRIVATE)

    def _exports(self) -> gr.DownloadButton:
        """The format, and the download button."""
        kind = unchecked(gr.Radio(list(rigs.FORMATS), value="glb", label="Format of the rig"))
        gr.HTML(f"<p class='note'>{NOTE}</p>")
        return exports.file_button("Export the rig", self.export, [self.chosen, kind], "export_rig")

    # -- handlers: their docstrings are the API's documentation --------------------------------

    def find(
        self, file: str | None, up: str, kind: str, steps: float, request: gr.Request
    ) -> Iterator[Any]:
        """Find the joints of a character's mesh.

        Args:
            file: .obj, .glb, .stl, .ply, .3mf or .off, at most 50 MB.
            up: "y, facing +z" or "z, facing -y"; stl and 3mf are taken to be z up.
            kind: "any", "body" (the joints of a human) or "creature" (any rig).
            steps: network calls, 1 to 8.

        Returns:
            the mesh with its skeleton as .glb to look at, its facts, and its number for
            /export_rig.
        """
        if not file:
            raise ValueError("joints need a mesh file; none was given; choose one, or the example")
        one_of("kind", kind, KINDS)
        calls = whole("steps", steps, 1, MAX_STEPS)
        session, path = self.context.session(request), Path(file)
        job, axis = session.begin(), own_axis(path, axis_of(up))
        yield None, WORKING, None
        vertices, faces = geoflow.io.read_user_mesh(path, megabytes=MAX_MEGABYTES)
        rig, seconds = self.context.studio.rig(job.check, vertices, faces, axis, kind, calls)
        title = f"joints of {path.name[:60]}"
        item = rigs.store_rig(job, rig, title, plain_stem(path), seconds)
        job.check()
        session.add(item)
        session.keep(rigs.KIND, KEPT)
        yield from once(request, in_viewer(item, request), _facts(item), item.number)

    def example(self, request: gr.Request) -> Any:
        """A character made by code, as a file for /joints.

        Returns:
            the .glb, and its up axis.
        """
        session = self.context.session(request)
        session.begin().check()
        mesh, path = example_character(), session.folder / "example.glb"
        geoflow.write_mesh(path, mesh.vertices, mesh.faces, mesh.normals, overwrite=True)
        return str(path), UPRIGHT

    def export(self, rig: float | None, kind: str, request: gr.Request) -> Any:
        """Write a rig to a file.

        Args:
            rig: the number that /joints gave.
            kind: "glb" (mesh, skeleton and weights), "txt" (RigNet's) or "json" (skeleton).

        Returns:
            the file.
        """
        session = self.context.session(request)
        item = session.get_of(rigs.KIND, rig, MISSING)
        return str(rigs.export_rig(session.begin(), item, kind))

    def stop(self, request: gr.Request) -> str:
        """Stop what this page is making."""
        self.context.stop(request)
        return EMPTY


def _facts(item: Item) -> str:
    facts = item.facts
    width, height, depth = facts["size_cm"]
    cells = {
        "Mesh": item.title.removeprefix("joints of "),
        "Joints": f"{facts['joints']}",
        "Size": f"{width:,.1f} wide, {height:,.1f} high, {depth:,.1f} deep (cm)",
        "Faces": f"{facts['faces']:,}",
        "Found in": f"{facts['seconds']:.1f} s",
    }
    if facts["joints"] < FEW_JOINTS:
        cells["Note"] = "few joints: is it a character, and is the up axis right?"
    text = facts_table(cells)
    if facts["names"]:
        text += facts_table({"Names": ", ".join(sorted(facts["names"]))}, wide=True)
    return text


def ready(_: Context) -> bool:
    """Whether this installation has the network."""
    return geoflow.model.has_checkpoint(CHECKPOINT)
