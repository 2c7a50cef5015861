"""The tabs' components, and shapes as what these show."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from geoflow_app.parts.files import MAX_MEGABYTES
from geoflow_app.parts.ui import from_page
from geoflow_app.server.sessions import Item
from geoflow_app.server.settings import MAX_STEPS

C = TypeVar("C", gr.Slider, gr.Dropdown, gr.Radio)

BACK = (0.95, 0.95, 0.945, 1.0)
ANGLES = (58.0, 70.0)  # from the front, a little right and above
NEAR = 2.9  # the camera's distance, in half diagonals of the shape
UPS = {"y, facing +z": "y", "z, facing -y": "z"}
UPRIGHT = next(iter(UPS))


def gallery_value(items: list[Item]) -> list[tuple[str, str]]:
    """Pictures with titles for gr.Gallery."""
    return [(str(i.picture), f"{i.category} {i.number}") for i in items if i.picture is not None]


def facts_html(item: Item) -> str:
    """The facts of a shape as a small table."""
    facts = item.facts
    width, height, depth = facts["size_cm"]
    closed = "yes" if facts["closed"] else "no: it has holes or doubled edges"
    litres = facts["volume_litres"]
    volume = "-" if litres is None else f"{1000 * litres:,.0f} cm³"
    if litres is not None and litres >= 1:
        volume = f"{litres:,.1f} litres"
    cells = {
        "Shape": f"{item.title} (no. {item.number})" if item.noise else item.title,
        "Size": f"{width:,.1f} wide, {height:,.1f} high, {depth:,.1f} deep (cm)",
        "Mesh": f"{facts['vertices']:,} vertices, {facts['faces']:,} faces",
        "Closed": closed,
        "Volume": volume,
    }
    if "network_seconds" in facts:
        cells["Made in"] = (
            f"{facts['network_seconds']:.2f} s network, {facts['mesh_seconds']:.2f} s mesh"
        )
    return facts_table(cells)


def facts_table(cells: dict[str, str], wide: bool = False) -> str:
    """Names and texts in columns; `wide`: each in a row of its own."""
    rows = (
        f"<div><dt>{name}</dt><dd>{html.escape(str(text))}</dd></div>"
        for name, text in cells.items()
    )
    return f"<dl class='facts{' wide' if wide else ''}'>{''.join(rows)}</dl>"


def viewer(label: str, height: int) -> gr.Model3D:
    """A 3D viewer for .glb files."""
    return gr.Model3D(
        label=label,
        height=height,
        clear_color=BACK,
        camera_position=(*ANGLES, None),
        interactive=False,
        elem_classes="viewer",
    )


def in_viewer(item: Item, request: gr.Request) -> Any:
    """A shape for a viewer: its .glb; the page's camera is placed anew.

    Left alone, the viewer keeps the distance of the shape that it showed before.
    """
    return file_in_viewer(item.glb, math.hypot(*item.facts["size_cm"]) / 200, request)


def file_in_viewer(glb: Path, radius: float, request: gr.Request) -> Any:
    """A .glb of that half diagonal for a viewer, as `in_viewer`."""
    if not from_page(request):
        return str(glb)
    return gr.update(value=str(glb), camera_position=(*ANGLES, NEAR * radius))


def local_file(**options: Any) -> gr.File:
    """A file from the user's disk: gradio would also download a web address for a client."""
    file = gr.File(**options)
    move = file.async_move_resource_to_block_cache

    async def refusing(url_or_file_path: Any) -> str | None:
        if "://" in str(url_or_file_path or ""):
            raise gr.Error(
                "a file must be uploaded; a web address was given; upload the file",
                print_exception=False,
            )
        return await move(url_or_file_path)

    file.async_move_resource_to_block_cache = refusing
    return file


def unchecked(component: C) -> C:
    """The component, made to pass its value on: the handlers' errors name the wrong value."""
    component.preprocess = _as_it_is
    return component


def _as_it_is(payload: Any) -> Any:
    return payload


def hidden_number(**options: Any) -> gr.Number:
    """A number that the page keeps to itself, and that API callers can pass."""
    return gr.Number(precision=0, visible=False, **options)


def mesh_upload(label: str, endings: list[str], elem_id: str) -> gr.File:
    """Where a user's file is dropped."""
    text = f"{label}, at most {MAX_MEGABYTES} MB"
    return local_file(label=text, file_types=endings, height=150, elem_id=elem_id)


def category_choice(names: list[str], **options: Any) -> gr.Dropdown:
    """One of the categories; a chair where there are chairs."""
    first = "chair" if "chair" in names else names[0]
    return unchecked(gr.Dropdown(names, value=first, label="Category", **options))


def steps_slider(value: int, **options: Any) -> gr.Slider:
    """Network calls."""
    return unchecked(gr.Slider(1, MAX_STEPS, value, step=1, label="Steps", **options))


def up_choice(label: str) -> gr.Radio:
    """The up axis of a user's file."""
    return unchecked(gr.Radio(list(UPS), value=UPRIGHT, label=label))


def axis_of(up: str) -> str:
    """What was chosen there: "y" or "z".

    Raises:
        ValueError: neither.
    """
    axis = UPS.get(up, up)
    if axis not in UPS.values():
        raise ValueError(f"up must be one of {' or '.join(UPS)}; got {up!r}; choose one")
    return axis
