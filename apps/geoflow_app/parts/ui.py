"""What the tabs share: their context, how events run, errors as one line in the page."""

from __future__ import annotations

import functools
import html
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from geoflow_app.server.sessions import Session, Sessions, Stopped
from geoflow_app.server.studio import Studio

MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
"""Events that call the network: one at a time, the others wait in the queue."""
LIGHT: dict[str, Any] = {"concurrency_id": "light", "concurrency_limit": 4}
"""Events that only read, write or convert files."""

PRIVATE: dict[str, Any] = {"api_visibility": "private", "queue": False}
"""Events that only change the page."""


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

    def session(self, request: gr.Request) -> Session:
        """The session of the page that asks."""
        return self.sessions.of(request.session_hash)

    def stop(self, request: gr.Request) -> None:
        """Stop what this page is making."""
        self.session(request).stop()


@dataclass(frozen=True)
class Tab:
    """A tab of the page.

    Attributes:
        title: on its handle.
        build: makes its components and events, inside a gr.Tab.
        ready: False leaves the tab out, for a module that is not there.
    """

    title: str
    build: Callable[[Context], object]
    ready: Callable[[Context], bool] = lambda _: True


@dataclass(frozen=True)
class WalkControls:
    """Components of the Generate tab that a walk reads and fills.

    Attributes:
        chosen, other: the numbers of the shapes at its ends.
        between_button: opens it.
        steps, guidance, resolution: how its shapes are made.
        outputs: filled with a shape that is kept.
    """

    chosen: gr.Number
    other: gr.Number
    between_button: gr.Button
    steps: gr.Slider
    guidance: gr.Slider
    resolution: gr.Radio
    outputs: list[Component]


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


def from_page(request: gr.Request) -> bool:
    """Whether the page asks, not an API client.

    A viewer that gets the same file twice while its code is still loading stays empty (gradio
    6.31), so the page's viewers are told once; API clients want all outputs in the last answer.
    """
    return request.headers.get("x-gradio-user") == "app"


def once(request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
    """The last values of a handler that yields; see `from_page`."""
    yield values
    if from_page(request):
        yield tuple(gr.skip() for _ in values)
