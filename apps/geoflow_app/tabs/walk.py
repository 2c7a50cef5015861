"""Between these two: a slider from one shape's noise to another's, live."""

from __future__ import annotations

from typing import Any

import gradio as gr

from geoflow_app.parts.components import facts_html, gallery_value, in_viewer, unchecked
from geoflow_app.parts.ui import LIGHT, MODEL, PRIVATE, Context, WalkControls, one_line
from geoflow_app.server.frames import STEP, Frames, Walk
from geoflow_app.server.sessions import Session
from geoflow_app.server.settings import settings_of

HELP = "Click two shapes in the gallery one after the other, then Between these two."

INTO_VIEW = "() => document.querySelector('#walk').scrollIntoView({block: 'nearest'})"


class WalkPanel:
    """The slider, its picture, and a button that keeps what it shows."""

    def __init__(self, context: Context, controls: WalkControls) -> None:
        self.context, self.frames = context, Frames(context.studio)
        with gr.Row(visible=False, elem_id="walk") as self.group:
            with gr.Column(scale=1, min_width=200):
                self.picture = gr.Image(
                    label="Between", height=220, interactive=False, buttons=[], elem_id="frame"
                )
            with gr.Column(scale=4):
                self.title = gr.Markdown(HELP)
                label = "From the first to the second"
                self.position = unchecked(
                    gr.Slider(0, 1, 0.5, step=STEP, label=label, elem_id="position")
                )
                self.keep_button = gr.Button("Keep this one", variant="primary", size="sm")
        ends = [controls.chosen, controls.other, self.position, controls.guidance]
        drawn = {"outputs": [self.picture], "show_progress": "hidden", **MODEL}
        opened = controls.between_button.click(
            one_line(self.show),
            [controls.chosen, controls.other, controls.guidance],
            [self.group, self.title, self.position],
            api_visibility="private",
            show_progress="hidden",
            **LIGHT,
        )
        opened.success(None, js=INTO_VIEW, **PRIVATE)
        opened.success(one_line(self.frame), ends, api_visibility="private", **drawn)
        self.position.input(
            one_line(self.frame), ends, api_name="walk", trigger_mode="always_last", **drawn
        )
        self.keep_button.click(
            one_line(self.keep),
            [*ends, controls.steps, controls.resolution],
            controls.outputs,
            api_name="keep",
            show_progress_on=self.keep_button,
            **MODEL,
        )

    def show(self, shape: float, other: float, guidance: float, request: gr.Request) -> Any:
        """Show the slider between two shapes of the gallery."""
        session, walk = self._walk(shape, other, guidance, request)
        first, second = walk.first, walk.second
        self.frames.fill(session, walk)
        text = f"**{first.title}** → **{second.title}**. "
        text += "One network call a frame, two by way of clouds."
        if first.category != second.category:
            text += " The category changes halfway."
        return gr.Row(visible=True), text, 0.5

    def frame(
        self, shape: float, other: float, position: float, guidance: float, request: gr.Request
    ) -> str:
        """A picture of the shape between two shapes of the gallery, in one network call.

        Args:
            shape, other: their numbers.
            position: 0 is the first, 1 the second.
            guidance: 1 is neutral.

        Returns:
            a WebP picture.
        """
        session, walk = self._walk(shape, other, guidance, request)
        return str(self.frames.ask(session.begin(), walk, position))

    def keep(
        self,
        shape: float,
        other: float,
        position: float,
        guidance: float,
        steps: float,
        resolution: float,
        request: gr.Request,
    ) -> Any:
        """Make the shape between two shapes of the gallery, and add it to the gallery.

        Args:
            shape, other, position, guidance: see walk.
            steps, resolution: see generate.

        Returns:
            as generate.
        """
        session, walk = self._walk(shape, other, guidance, request)
        noise, category, backbone = walk.at(position)
        settings = settings_of(steps, guidance, resolution, backbone)
        title = f"{category}, {position:.0%} between"
        orders = [(noise, category, title)]
        made = list(self.context.studio.make_many(session.begin(), orders, settings))
        item = made[-1][1]
        shown = (in_viewer(item, request), facts_html(item))
        ends = (walk.first.number, walk.second.number)
        return gallery_value(session.gallery()), *shown, gr.skip(), *ends

    def _walk(
        self, shape: float | None, other: float | None, guidance: float, request: gr.Request
    ) -> tuple[Session, Walk]:
        """The session and the walk that is asked for, checked."""
        session = self.context.session(request)
        if shape is None or other is None:
            raise ValueError(f"a walk needs two shapes of the gallery; {HELP}")
        ends = session.get(shape), session.get(other)
        for item in ends:
            if item.noise is None:
                raise ValueError(f"{item.title} is no generated shape; choose one of the gallery")
        settings_of(1, guidance, 64)
        return session, Walk(*ends, guidance)
