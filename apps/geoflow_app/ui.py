"""What the tabs share: their context, errors as one line in the page, facts as text."""

from __future__ import annotations

import functools
import html
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from geoflow_app.sessions import Item, Sessions, Stopped
from geoflow_app.studio import Studio

C = TypeVar("C", gr.Slider, gr.Dropdown, gr.Radio)

MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
"""Events that call the network: one at a time, the others wait in the queue."""
LIGHT: dict[str, Any] = {"concurrency_id": "light", "concurrency_limit": 4}
"""Events that only read, write or convert files."""

BACK = (0.95, 0.95, 0.945, 1.0)
ANGLES = (58.0, 70.0)  # from the front, a little right and above
NEAR = 2.9  # the camera's distance, in half diagonals of the shape


@dataclass(frozen=True)
class Context:
    """What a tab is built with."""

    studio: Studio
    sessions: Sessions
    queue_size: int

    @property
    def categories(self) -> list[str]:
        """ "all", and the checkpoint's categories."""
        return ["all", *self.studio.generator.categories]


@dataclass(frozen=True)
class Tab:
    """A tab of the page.

    Attributes:
        title: on its handle.
        build: makes its components and events, inside a gr.Tab.
        ready: False leaves the tab out, for a module that is not there.
    """

    title: str
    build: Callable[[Context], None]
    ready: Callable[[Context], bool] = lambda _: True


def one_line(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Turns a handler's errors into one line in the page; a stopped job ends without a word."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any) -> Iterator[Any]:
            try:
                yield from handler(*args)
            except Stopped:
                return
            except Exception as error:
                raise as_page_error(error) from None

        return stream

    @functools.wraps(handler)
    def run(*args: Any) -> Any:
        try:
            return handler(*args)
        except Stopped:
            raise gr.Error("stopped", duration=2, print_exception=False) from None
        except Exception as error:
            raise as_page_error(error) from None

    return run


def as_page_error(error: Exception) -> gr.Error:
    """Any exception as what the page shows: one line, no traceback, no path."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, ValueError):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"the server could not write or read a file ({error.strerror or 'I/O error'}); retry"
    else:
        traceback.print_exc(file=sys.stderr)
        text = f"the server failed ({type(error).__name__}); its log says where; try another seed"
    text = " ".join(text.split())
    return gr.Error(html.escape(text[:500], quote=False), print_exception=False)


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


def from_page(request: gr.Request) -> bool:
    """Whether the page asks, not an API client.

    A viewer that gets the same file twice while its code is still loading stays empty (gradio
    6.31), so the page's viewers are told once; API clients want all outputs in the last answer.
    """
    return request.headers.get("x-gradio-user") == "app"


def viewer(label: str, height: int) -> gr.Model3D:
    """A 3D viewer for .glb files."""
    return gr.Model3D(
        label=label,
        height=height,
        clear_color=BACK,
        camera_position=(*ANGLES, None),
        interactive=False,
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
