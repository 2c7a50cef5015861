"""The export panel: format, faces, one file or a zip of all, a download button."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from geoflow_app.parts.components import local_file, unchecked
from geoflow_app.parts.files import FORMATS, MIN_FACES, export_all, export_one
from geoflow_app.parts.ui import LIGHT, Context, one_line
from geoflow_app.server.sessions import Item, Session
from geoflow_app.server.settings import whole

NOTHING = "Nothing exported yet"
ONE, ALL = "this shape", "all shapes (zip)"
NOTE = "glb, obj, ply: metres, y up · stl, 3mf: millimetres, z up"


def build(
    context: Context,
    chosen: gr.Number,
    *,
    zips: bool = True,
    api_name: str = "export",
    note: str = NOTE,
    find: Callable[[Session, float | None], Item] = Session.get,
) -> gr.DownloadButton:
    """The panel for the shape whose number is in `chosen`.

    Args:
        zips: offer all shapes of the gallery as well.
        api_name: of the API endpoint.
        note: what the formats' frames and units are.
        find: the item of a number; raises ValueError where there is none.
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
        session = context.session(request)
        most = faces_of(faces)
        if what == ALL:
            studio = context.studio
            head = {**studio.digests, "device": studio.generator.device.type}
            path = export_all(session.begin(), session.gallery(), kind, most, head)
        elif what == ONE:
            path = export_one(session.begin(), find(session, shape), kind, most)
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
        gr.HTML(f"<p class='note'>{note}</p>")
        return file_button("Export", export, [chosen, kind, faces, what], api_name)


def file_button(
    text: str, write: Callable[..., str], inputs: list[Any], api_name: str
) -> gr.DownloadButton:
    """A button that has a file written, and the one below it that downloads the file.

    Args:
        text: on the first.
        write: the handler; returns the file's path.
        inputs: its components.
        api_name: of the API endpoint.
    """
    make = gr.Button(text, variant="primary")
    download = gr.DownloadButton(NOTHING, interactive=False)
    file = local_file(label="file", visible=False)
    made = make.click(
        one_line(write), inputs, file, api_name=api_name, show_progress_on=make, **LIGHT
    )
    made.success(
        one_line(as_button), file, download, api_visibility="private", show_progress="hidden",
        **LIGHT,
    )  # fmt: skip
    return download


def no_file() -> Any:
    """Another item is shown: the file of the last one is not its."""
    return gr.DownloadButton(NOTHING, value=None, interactive=False, variant="secondary")


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
