"""The Compare tab: the same noise at 1, 2, 4 and 50 network calls, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from geoflow import Noise
from geoflow.checks import one_of
from geoflow_app.parts.components import category_choice, in_viewer, unchecked, viewer
from geoflow_app.parts.ui import MODEL, PRIVATE, Context, from_page, one_line
from geoflow_app.server.sessions import Item
from geoflow_app.server.settings import MAX_SEED, ShapeSettings, whole

CALLS = (1, 2, 4, 50)
SAMPLERS = {
    "as the checkpoint recommends": None,
    "cumulative map (r > t)": True,
    "ordinary sampler (r = t)": False,
}


class CompareTab:
    """The tab's components and handlers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        gr.Markdown(
            "One noise, four numbers of network calls. A cumulative flow map should need one call "
            "where an ordinary sampler needs dozens: turn the shapes and judge for yourself."
        )
        names = context.categories[1:]
        with gr.Row():
            category = category_choice(names)
            seed = gr.Number(0, label="Seed", minimum=None)
            sampler = unchecked(
                gr.Dropdown(list(SAMPLERS), value=next(iter(SAMPLERS)), label="Sampler", scale=2)
            )
            go = gr.Button("Compare", variant="primary", elem_id="compare")
            stop = gr.Button("Stop", elem_id="stop-compare")
        self.views, self.texts = [], []
        with gr.Row():
            for calls in CALLS:
                with gr.Column(min_width=220):
                    self.views.append(viewer(f"{calls} call{'s' if calls > 1 else ''}", 280))
                    self.texts.append(gr.HTML())
        run = go.click(
            one_line(self.compare),
            [category, seed, sampler],
            [x for pair in zip(self.views, self.texts, strict=True) for x in pair],
            api_name="compare",
            show_progress="minimal",
            show_progress_on=go,
            **MODEL,
        )
        stop.click(context.stop, None, None, cancels=[run], **PRIVATE)

    def compare(
        self, category: str, seed: float, sampler: str, request: gr.Request
    ) -> Iterator[Any]:
        """Make one shape at 1, 2, 4 and 50 network calls from the same noise.

        Args:
            category: a category.
            seed: 0 or more.
            sampler: "as the checkpoint recommends", "cumulative map (r > t)" or
                "ordinary sampler (r = t)".

        Returns:
            for each number of calls the .glb and a line with the times.
        """
        studio = self.context.studio
        one_of("sampler", sampler, SAMPLERS)
        if category == "all":
            raise ValueError("compare needs one category; got 'all'; choose one")
        name = studio.generator.category_of(0, category)
        noise = Noise.of_shape(whole("seed", seed, 0, MAX_SEED))
        session = self.context.session(request)
        job = session.begin()
        for old in [
            i.number for i in session.items.copy().values() if i.title.startswith("compare")
        ]:
            session.drop(old)
        shown: list[Any] = [None, ""] * len(CALLS)
        yield shown
        for place, calls in enumerate(CALLS):
            settings = ShapeSettings(calls)
            title = f"compare {calls}"
            item, _ = studio.make(job, noise, name, settings, title, SAMPLERS[sampler])
            job.check()
            session.add(item)
            shown[2 * place], shown[2 * place + 1] = in_viewer(item, request), _caption(calls, item)
            update = [gr.skip()] * len(shown)
            update[2 * place], update[2 * place + 1] = shown[2 * place : 2 * place + 2]
            yield update
        yield [gr.skip()] * len(shown) if from_page(request) else shown


def _caption(calls: int, item: Item) -> str:
    facts = item.facts
    return (
        f"<p class='caption'><b>{facts['network_seconds']:.2f} s</b> for {calls} "
        f"call{'s' if calls > 1 else ''} + {facts['mesh_seconds']:.2f} s mesh<br>"
        f"{facts['faces']:,} faces, {'closed' if facts['closed'] else 'not closed'}</p>"
    )
