"""The Generate tab: make shapes, look at them, make others like them, take them home."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import gradio as gr

from geoflow import Noise
from geoflow.checks import one_of
from geoflow_app.parts.components import (
    category_choice,
    facts_html,
    gallery_value,
    hidden_number,
    in_viewer,
    steps_slider,
    unchecked,
    viewer,
)
from geoflow_app.parts.ui import LIGHT, MODEL, Context, WalkControls, from_page, one_line
from geoflow_app.server.sessions import Item, Session
from geoflow_app.server.settings import (
    DEFAULT_STEPS,
    MAX_COUNT,
    MAX_SEED,
    ShapeSettings,
    settings_of,
    whole,
)
from geoflow_app.tabs import exports
from geoflow_app.tabs.walk import WalkPanel

EMPTY = "<p class='hint'>Choose a category and press Generate.</p>"


class GenerateTab:
    """The tab's components and handlers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        with gr.Row():
            with gr.Column(scale=3, min_width=260):
                self._controls()
            with gr.Column(scale=6, min_width=420):
                self.view = viewer("Shape", 430)
                self.facts = gr.HTML(EMPTY)
                with gr.Row():
                    self.more_button = gr.Button("More like this")
                    self.between_button = gr.Button("Between these two")
                self.amount = unchecked(
                    gr.Slider(0.05, 1, 0.35, step=0.05, label="More like this: how different")
                )
            with gr.Column(scale=4, min_width=300):
                self.gallery = gr.Gallery(
                    label="Shapes: click one to open it",
                    columns=3,
                    height=430,
                    object_fit="contain",
                    allow_preview=False,
                    interactive=False,
                    buttons=[],
                    elem_id="shapes",
                )
                self.clear_button = gr.Button("Clear the gallery", size="sm")
                self.download = exports.build(context, self.chosen)
        self.outputs = [self.gallery, self.view, self.facts, self.seed, self.chosen, self.other]
        how = (self.steps, self.guidance, self.resolution)
        WalkPanel(
            context,
            WalkControls(self.chosen, self.other, self.between_button, *how, self.outputs),
        )
        self._events()

    def _controls(self) -> None:
        self.chosen, self.other = hidden_number(label="shape"), hidden_number(label="other shape")
        self.category = category_choice(self.context.categories, elem_id="category")
        self.seed = gr.Number(0, label="Seed", elem_id="seed")
        self.randomise = gr.Checkbox(True, label="Randomise the seed", elem_id="randomise")
        self.count = unchecked(gr.Slider(1, MAX_COUNT, 4, step=1, label="How many"))
        self.steps = steps_slider(DEFAULT_STEPS, info="Network calls for a shape")
        self.resolution = unchecked(
            gr.Radio([64, 128, 256], value=64, label="Resolution", info="64 is fastest")
        )
        self.guidance = unchecked(
            gr.Slider(
                0, 3, 1, step=0.1, label="Guidance", info="1 is neutral; more takes twice the time"
            )
        )
        known = self.context.studio.backbones
        self.backbone = unchecked(
            gr.Radio(
                known,
                value=known[0],
                label="Backbone",
                info="grid: the shape at once; points: a cloud, then its surface",
                visible=len(known) > 1,
                elem_id="backbone",
            )
        )
        self.go = gr.Button("Generate", variant="primary", elem_id="generate")
        self.stop_button = gr.Button("Stop", size="sm")

    def _events(self) -> None:
        how = [self.steps, self.guidance, self.resolution]
        made = self.go.click(
            one_line(self.generate),
            [self.category, self.seed, self.randomise, self.count, *how, self.backbone],
            self.outputs,
            api_name="generate",
            show_progress="minimal",
            show_progress_on=self.go,
            **MODEL,
        )
        more = self.more_button.click(
            one_line(self.more_like),
            [self.chosen, self.amount, self.count, *how],
            self.outputs,
            api_name="more_like",
            show_progress="minimal",
            show_progress_on=self.more_button,
            **MODEL,
        )
        self.stop_button.click(
            self.context.stop, None, None, api_name="stop", cancels=[made, more], queue=False
        )
        self.gallery.select(
            one_line(self.select),
            [self.chosen],
            [self.view, self.facts, self.chosen, self.other],
            api_visibility="private",
            show_progress="hidden",
            **LIGHT,
        )
        number = hidden_number(label="shape")
        number.submit(
            one_line(self.open_shape), number, [self.view, self.facts], api_name="open", **LIGHT
        )
        self.clear_button.click(
            one_line(self.clear), None, self.outputs, api_name="clear", show_progress="hidden",
            **LIGHT,
        )  # fmt: skip

    # -- handlers: their docstrings are the API's documentation --------------------------------

    def generate(
        self,
        category: str,
        seed: float,
        randomise: bool,
        count: float,
        steps: float,
        guidance: float,
        resolution: float,
        backbone: str,
        request: gr.Request,
    ) -> Iterator[Any]:
        """Make shapes; they come first in the gallery.

        Args:
            category: a category, or "all" for each in turn.
            seed: 0 or more; shape i is shape i of `geoflow generate --seed`.
            randomise: draw another seed instead; the answer says which.
            count: how many, 1 to 16.
            steps: network calls, 1 to 8.
            guidance: 1 is neutral.
            resolution: 64, 128 or 256 cells a side.
            backbone: "grid", or "points" for shapes by way of clouds.

        Returns:
            the gallery, the .glb of the first shape, its facts, the seed, the shape's number, and
            the number of another shape to walk to.
        """
        generator = self.context.studio.generator
        one_of("backbone", backbone, self.context.studio.backbones)
        settings = settings_of(steps, guidance, resolution, backbone)
        amount = whole("how many", count, 1, MAX_COUNT)
        first = random.randrange(1_000_000) if randomise else whole("seed", seed, 0, MAX_SEED)
        orders = []
        for i in range(amount):
            name = generator.category_of(i, category)
            mark = f" #{i}" if amount > 1 else ""
            orders.append((Noise.of_shape(first, i), name, f"{name}, seed {first}{mark}"))
        yield from self.fill(orders, settings, first, request)

    def more_like(
        self,
        shape: float,
        amount: float,
        count: float,
        steps: float,
        guidance: float,
        resolution: float,
        request: gr.Request,
    ) -> Iterator[Any]:
        """Make shapes near a shape of the gallery: its noise, turned a little.

        Args:
            shape: the number of the shape.
            amount: how different, 0.05 to 1; 1 is a new shape of the same category.
            count, steps, guidance, resolution: see generate.

        Returns:
            as generate.
        """
        session = self.context.session(request)
        parent = session.get(shape)
        if parent.noise is None or parent.category is None or parent.settings is None:
            raise ValueError(f"{parent.title} is no generated shape; choose one of the gallery")
        settings = settings_of(steps, guidance, resolution, parent.settings.backbone)
        number = whole("how many", count, 1, MAX_COUNT)
        if not 0 <= amount <= 1:
            raise ValueError(f"how different must be from 0 to 1; got {amount}; move the slider")
        draw = random.randrange(1_000_000)
        orders = [
            (parent.noise.near(draw, amount, i), parent.category, f"like {parent.title}")
            for i in range(number)
        ]
        yield from self.fill(orders, settings, None, request)

    def fill(
        self,
        orders: list[tuple[Noise, str, str]],
        settings: ShapeSettings,
        seed: int | None,
        request: gr.Request,
    ) -> Iterator[Any]:
        """Makes the shapes and yields the page's state as they come."""
        seen: list[Item] = []
        session = self.context.session(request)
        job = session.begin()
        written = gr.skip() if seed is None else seed
        for place, item in self.context.studio.make_many(job, orders, settings):
            if place == 0 and not seen:
                seen.append(item)
                shown = (in_viewer(item, request), facts_html(item), written, item.number)
                yield gr.skip(), *shown, gr.skip()
            elif item.picture is not None and place + 1 < len(orders):
                other = self._other(session, seen[0].number)
                yield gallery_value(session.gallery()), *[gr.skip()] * 4, other
        first, other = seen[0], self._other(session, seen[0].number)
        gallery = gallery_value(session.gallery())
        if from_page(request):
            yield gallery, *[gr.skip()] * 4, other
        else:
            shown = (in_viewer(first, request), facts_html(first), written, first.number)
            yield gallery, *shown, other

    def select(self, chosen: float | None, event: gr.SelectData, request: gr.Request) -> Any:
        """Open the clicked shape; the one shown before becomes the other end of a walk."""
        session = self.context.session(request)
        path = str(((event.value or {}).get("image") or {}).get("path", ""))
        found = re.search(r"_(\d+)\.webp$", path)
        item = session.get(float(found[1]) if found else None)
        other = chosen if chosen is not None and int(chosen) != item.number else None
        other = self._other(session, item.number) if other is None else int(other)
        return in_viewer(item, request), facts_html(item), item.number, other

    def open_shape(self, shape: float, request: gr.Request) -> Any:
        """The .glb and the facts of a shape of the gallery, by its number."""
        item = self.context.session(request).get(shape)
        return in_viewer(item, request), facts_html(item)

    def clear(self, request: gr.Request) -> Any:
        """Delete the shapes of the gallery."""
        self.context.session(request).clear()
        return [], None, EMPTY, gr.skip(), None, None

    def _other(self, session: Session, number: int) -> int | None:
        """Another shape of the gallery, the nearest that can be walked to."""
        others = [item.number for item in session.gallery() if item.number != number]
        return others[0] if others else None
