"""The export panel: format, faces, one file or a zip of all, a download button."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from geoflow_app.files import FORMATS, MIN_FACES, export_all, export_one
from geoflow_app.studio import whole
from geoflow_app.ui import LIGHT, Context, local_file, one_line, unchecked

ONE, ALL = "this shape", "all shapes (zip)"
NOTE = "glb, obj, ply: metres, y up · stl, 3mf: millimetres, z up"


def build(context: Context, chosen: gr.Number, zips: bool = True) -> gr.DownloadButton:
    """The panel for the shape whose number is in `chosen`.

    Args:
        zips: offer all shapes of the gallery as well, and name the API endpoint "export".
    """

    def export(shape: float | None, kind: str, faces: float, what: str, request: gr.Request) -> Any:
        """Write a shape, or the whole gallery, to a file.

        Args:
            shape: the number of the shape; not needed for all.
            kind: glb, obj, stl, ply or 3mf.
            faces: at most so many faces, at least 50; 0 keeps all. The mesh stays closed.
            what: "this shape" or "all shapes (zip)".

        Returns:
            the file.
        """
        session = context.sessions.of(request.session_hash)
        most = faces_of(faces)
        if what == ALL:
            generator = context.studio.generator
            head = {"checkpoint": generator.digest, "device": generator.device.type}
            path = export_all(session.begin(), session.gallery(), kind, most, head)
        elif what == ONE:
            path = export_one(session.begin(), session.get(shape), kind, most)
        else:
            raise ValueError(f"what must be {ONE!r} or {ALL!r}; got {what!r}; choose one")
        return str(path)

    with gr.Column():
        with gr.Row():
            kind = unchecked(
                gr.Dropdown(
                    FORMATS, value="glb", label="Format", info="units: below", min_width=90, scale=2
                )
            )
            faces = gr.Number(0, label="Faces at most", info="0 keeps all", minimum=None, scale=3)
        what = unchecked(gr.Radio([ONE, ALL], value=ONE, label="What", visible=zips))
        gr.HTML(f"<p class='note'>{NOTE}</p>")
        make = gr.Button("Export", variant="primary")
        download = gr.DownloadButton("Nothing exported yet", interactive=False)
        file = local_file(label="file", visible=False)
    name = "export" if zips else "export_opened"
    made = make.click(
        one_line(export),
        [chosen, kind, faces, what],
        file,
        api_name=name,
        show_progress_on=make,
        **LIGHT,
    )
    made.success(
        one_line(as_button), file, download, api_visibility="private", show_progress="hidden",
        **LIGHT,
    )  # fmt: skip
    return download


def faces_of(faces: float | None) -> int | None:
    """The target number of faces; 0 or nothing keeps all.

    Raises:
        ValueError: it is no number of faces.
    """
    if not faces:
        return None
    return whole("the number of faces", faces, MIN_FACES, 10_000_000)


def as_button(name: str) -> Any:
    """A download button for the file, with its name and size."""
    path = Path(name)
    size = path.stat().st_size
    text = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
    return gr.DownloadButton(
        f"Download {path.name} ({text})", value=str(path), interactive=True, variant="primary"
    )
