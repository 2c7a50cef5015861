"""The Your mesh tab: open a mesh file, see its facts, convert it, reduce its faces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gradio as gr

from geoflow.geometry import describe
from geoflow.io import read_user_mesh
from geoflow_app import exports
from geoflow_app.studio import store
from geoflow_app.ui import (
    LIGHT,
    Context,
    facts_html,
    hidden_number,
    in_viewer,
    local_file,
    one_line,
    viewer,
)

MAX_MEGABYTES, KEPT = 50, 8
ENDINGS = [".obj", ".glb", ".stl", ".ply", ".3mf", ".off"]
EMPTY = "<p class='hint'>Nothing is opened yet.</p>"


def plain_stem(path: Path) -> str:
    """The name of a user's file without its ending, in letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", path.stem).strip("-")[:40] or "mesh"


class MeshTab:
    """The tab's components and handlers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.chosen = hidden_number(label="opened mesh")
        with gr.Row():
            with gr.Column(scale=3, min_width=260):
                upload = local_file(
                    label=f"Mesh file, at most {MAX_MEGABYTES} MB",
                    file_types=ENDINGS,
                    height=150,
                    elem_id="upload",
                )
                gr.HTML(
                    f"<p class='note'>{' '.join(ENDINGS)}. stl and 3mf: taken to be in "
                    "millimetres, z up; the others in metres, y up. Only the geometry is read.</p>"
                )
                exports.build(context, self.chosen, zips=False, api_name="export_opened")
            with gr.Column(scale=6, min_width=420):
                view = viewer("Your mesh", 430)
                facts = gr.HTML(EMPTY)
        outputs = [view, facts, self.chosen]
        opened = upload.upload(
            one_line(self.open), upload, outputs, api_name="open_mesh", show_progress_on=upload,
            **LIGHT,
        )  # fmt: skip
        opened.failure(lambda: None, None, upload, api_visibility="private", queue=False)
        upload.clear(self.clear, None, outputs, api_visibility="private", queue=False)

    def open(self, file: str | None, request: gr.Request) -> Any:
        """Read a mesh file in a process of its own, and show it.

        Args:
            file: .obj, .glb, .stl, .ply, .3mf or .off, at most 50 MB.

        Returns:
            the mesh as .glb, its facts, and its number for /export_opened.
        """
        if not file:
            raise ValueError("open needs a file; none was given; choose one")
        session = self.context.sessions.of(request.session_hash)
        job = session.begin()
        path = Path(file)
        vertices, faces = read_user_mesh(path, megabytes=MAX_MEGABYTES)
        stem = plain_stem(path)
        item = store(job, describe(vertices, faces), path.name[:60], stem)
        session.add(item)
        session.keep(None, KEPT)
        return in_viewer(item, request), facts_html(item), item.number

    def clear(self) -> Any:
        """Nothing is opened."""
        return None, EMPTY, None


def build(context: Context) -> None:
    """The Your mesh tab."""
    MeshTab(context)
