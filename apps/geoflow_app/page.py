"""The page: the list of tabs, the theme, and the footer."""

from __future__ import annotations

import gradio as gr
from gradio.themes import Base, Default

from geoflow import __version__
from geoflow_app.parts.ui import Context, Tab
from geoflow_app.tabs import joints, surface
from geoflow_app.tabs.blender import BlenderTab
from geoflow_app.tabs.compare import CompareTab
from geoflow_app.tabs.generate import GenerateTab
from geoflow_app.tabs.meshes import MeshTab

TABS: list[Tab] = [
    Tab("Generate", GenerateTab),
    Tab("Compare", CompareTab),
    Tab("Your mesh", MeshTab),
    Tab("Joints", joints.JointsTab, joints.ready),
    Tab("Surface from points", surface.SurfaceTab, surface.ready),
    Tab("Use from Blender", BlenderTab),
]
"""A tab adds itself with one line here; `ready` leaves it out where its module is missing."""

SYSTEM = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

PHONE = """
@media (max-width: 640px) {
  .gradio-container .main.fillable { padding: 8px; }
  .gradio-container :is(button, input, .tab-like-container) { min-height: 40px; }
  .gradio-container :is(.icon-button, .reset-button) { min-width: 40px !important; }
  .gradio-container input[role=combobox] { min-height: 28px; }
  .gradio-container .tab-container.wrap { background: none; }
  .gradio-container .tab-container.wrap button { height: 40px; padding: 0 10px; }
  .gradio-container input { font-size: 16px !important; }  /* smaller ones make iOS zoom in */
  .gradio-container input:is([type=radio], [type=checkbox]) { min-height: 20px; min-width: 20px; }
  .gradio-container .viewer, .gradio-container #shapes, #shapes .grid-wrap {
    min-width: 100% !important; height: 320px !important; max-height: 320px !important; }
  .gradio-container button.lg { padding: 4px 8px; font-size: 15px; }
  .gradio-container #frame { max-width: none; }
  .gradio-container .facts { grid-template-columns: 1fr; }
}
"""
"""Columns stack by themselves; viewers are low so that a thumb finds room beside them to scroll."""

# The viewer tries WebGPU before WebGL: on machines without it that costs time and logs an error.
# PHONE stands here because gradio takes the selectors of its own `css` apart at every comma.
HEAD = f"<script>delete Navigator.prototype.gpu;</script><style>{PHONE}</style>"

CSS = """
.gradio-container { width: 100%; max-width: 1500px !important; margin: 0 auto; }
.top h1 { margin: 0; font-size: 1.35rem; }
.top p, .note, .hint, .caption { color: var(--body-text-color-subdued); margin: 0; }
.note, .caption { font-size: 0.8rem; padding: 2px 10px 6px; }
.hint { padding: 12px; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr));
         gap: 2px 16px; margin: 0; padding: 6px 2px; font-size: 0.85rem; }
.facts div { display: flex; gap: 8px; }
.facts dt { color: var(--body-text-color-subdued); min-width: 52px; white-space: nowrap; }
.facts dd { margin: 0; }
.facts.wide { display: block; }
#shapes .grid-wrap { padding-top: 34px; }
#frame { max-width: 260px; }
#frame img { width: 100%; height: 100%; object-fit: contain; }
#compare, #stop-compare { align-self: end; }
footer .divider { display: none; }
"""


def theme() -> Base:
    """System fonts only: the page loads nothing from other hosts."""
    return Default(
        primary_hue="teal", secondary_hue="teal", neutral_hue="stone", spacing_size="sm",
        font=SYSTEM, font_mono=MONO,
    )  # fmt: skip


def build_page(context: Context, tabs: list[Tab] | None = None) -> gr.Blocks:
    """The whole page.

    Args:
        context: the model's worker, the sessions and the queue's length.
        tabs: TABS where None.
    """
    with gr.Blocks(title="geoflow", analytics_enabled=False) as page:
        gr.HTML(
            "<div class='top'><h1>geoflow</h1>"
            "<p>3D shapes in one or a few network calls: generate, look, change, export.</p></div>"
        )
        with gr.Tabs(overflow_behavior="wrap"):
            for tab in TABS if tabs is None else tabs:
                if tab.ready(context):
                    with gr.Tab(tab.title):
                        tab.build(context)
        generator = context.studio.generator
        gr.HTML(
            f"<p class='note'>geoflow {__version__}, weights {generator.digest[:12]} on "
            f"{generator.device.type}. One shape is made at a time; at most {context.queue_size} "
            "jobs wait. Your shapes are deleted when you close the page, or after an hour.</p>"
        )

        def leave(request: gr.Request) -> None:
            context.sessions.close(request.session_hash)

        page.unload(leave)
    page.queue(max_size=context.queue_size, default_concurrency_limit=4)
    return page
