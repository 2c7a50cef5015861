"""The Your mesh tab: open a mesh file, see its facts, convert it, reduce its faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from geoflow.geometry import describe
from geoflow.io import read_user_mesh
from geoflow_app.parts.components import facts_html, hidden_number, in_viewer, mesh_upload, viewer
from geoflow_app.parts.files import MAX_MEGABYTES, MESHES, plain_stem
from geoflow_app.parts.ui import LIGHT, PRIVATE, Context, one_line
from geoflow_app.server.studio import store
from geoflow_app.tabs import exports

KEPT = 8
EMPTY = "<p class='hint'>Nothing is opened yet.</p>"


class MeshTab:
    """The tab's components and handlers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.chosen = hidden_number(label="opened mesh")
        with gr.Row():
            with gr.Column(scale=3, min_width=260):
                upload = mesh_upload("Mesh file", MESHES, "upload")
                gr.HTML(
                    f"<p class='note'>{' '.join(MESHES)}. stl and 3mf: taken to be in "
                    "millimetres, z up; the others in metres, y up. Only the geometry is read.</p>"
                )
            with gr.Column(scale=6, min_width=420):
                view = viewer("Your mesh", 430)
                facts = gr.HTML(EMPTY)
            with gr.Column(scale=3, min_width=260):
                exports.build(context, self.chosen, zips=False, api_name="export_opened")
        outputs = [view, facts, self.chosen]
        opened = upload.upload(
            one_line(self.open), upload, outputs, api_name="open_mesh", show_progress_on=upload,
            **LIGHT,
        )  # fmt: skip
        opened.failure(lambda: None, None, upload, **PRIVATE)
        upload.clear(lambda: (None, EMPTY, None), None, outputs, **PRIVATE)

    def open(self, file: str | None, request: gr.Request) -> Any:
        """Read a mesh file in a process of its own, and show it.

        Args:
            file: .obj, .glb, .stl, .ply, .3mf or .off, at most 50 MB.

        Returns:
            the mesh as .glb, its facts, and its number for /export_opened.
        """
        if not file:
            raise ValueError("open needs a file; none was given; choose one")
        session = self.context.session(request)
        job = session.begin()
        path = Path(file)
        vertices, faces = read_user_mesh(path, megabytes=MAX_MEGABYTES)
        item = store(job, describe(vertices, faces), path.name[:60], plain_stem(path))
        session.add(item)
        session.keep(None, KEPT)
        return in_viewer(item, request), facts_html(item), item.number
