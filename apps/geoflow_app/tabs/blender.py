"""The Use from Blender tab: a snippet for Blender's Python console, and the call behind it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from geoflow import Noise
from geoflow_app.parts.files import export_one
from geoflow_app.parts.ui import MODEL, PRIVATE, Context, one_line
from geoflow_app.server.settings import DEFAULT_STEPS, MAX_SEED, settings_of, whole
from geoflow_app.tabs.exports import faces_of

SNIPPET = '''\
# Paste into Blender's Text Editor (Scripting tab) and press Run. Nothing has to be installed.
import json, os, tempfile, urllib.request

import bpy

APP = "{address}"
# category, seed, steps, guidance, resolution, format, most faces (0: all)
WANTED = ["chair", 7, {steps}, 1.0, 64, "glb", 0]


def call(name, data):
    """One call of the geoflow app: its answer, or an error with its one line."""
    body = json.dumps({{"data": data}}).encode()
    head = {{"Content-Type": "application/json"}}
    request = urllib.request.Request(f"{{APP}}/gradio_api/call/{{name}}", body, head)
    event = json.load(urllib.request.urlopen(request))["event_id"]
    with urllib.request.urlopen(f"{{APP}}/gradio_api/call/{{name}}/{{event}}") as answer:
        kind = ""
        for line in answer.read().decode().splitlines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: ") and kind == "error":
                raise RuntimeError(line[6:])
            elif line.startswith("data: ") and kind == "complete":
                return json.loads(line[6:])
    raise RuntimeError("the app gave no answer")


shape = call("make_file", WANTED)[0]
path = os.path.join(tempfile.mkdtemp(), os.path.basename(shape["path"]))
urllib.request.urlretrieve(shape["url"], path)
if path.endswith(".glb"):
    bpy.ops.import_scene.gltf(filepath=path)  # glTF is y up: the importer turns it
elif path.endswith(".obj"):
    bpy.ops.wm.obj_import(filepath=path, forward_axis="NEGATIVE_Z", up_axis="Y")
else:  # stl: millimetres, z up already
    bpy.ops.wm.stl_import(filepath=path, global_scale=0.001)
print(bpy.context.selected_objects, "stands upright, its front along -Y")
'''


class BlenderTab:
    """The tab's components and handlers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        gr.Markdown(
            "Run this inside Blender while the app runs: it makes a chair and imports it upright, "
            "in metres, looking at you in the front view. Change `WANTED` for other shapes. "
            "With files on disk: *File > Import > glTF* needs no settings; for *Wavefront (.obj)* "
            "keep the defaults, Forward -Z and Up Y."
        )
        code = gr.Code(
            SNIPPET.format(address="http://127.0.0.1:7860", steps=DEFAULT_STEPS),
            language="python", label="Blender", interactive=False, lines=20,
        )  # fmt: skip
        gr.Markdown(
            "From other Python programs use `gradio_client`: "
            "`Client(address).predict('chair', 7, 2, 1.0, 64, 'glb', 0, api_name='/make_file')`. "
            "All calls are under *Use via API* at the bottom of the page."
        )
        with gr.Column(visible=False):
            inputs = [
                gr.Textbox("chair", label="category"),
                gr.Number(0, label="seed"),
                gr.Number(DEFAULT_STEPS, label="steps"),
                gr.Number(1.0, label="guidance"),
                gr.Number(64, label="resolution"),
                gr.Textbox("glb", label="format"),
                gr.Number(0, label="faces"),
            ]
            file = gr.File(label="file")
            button = gr.Button()
        button.click(one_line(self.make_file), inputs, file, api_name="make_file", **MODEL)
        gr.on(None, self.snippet, None, code, **PRIVATE)  # as the page opens

    def make_file(
        self,
        category: str,
        seed: float,
        steps: float,
        guidance: float,
        resolution: float,
        kind: str,
        faces: float,
        request: gr.Request,
    ) -> Any:
        """Make one shape and write it to a file: everything in one call, for scripts.

        Args:
            category: a category.
            seed: 0 or more; the shape is shape 0 of `geoflow generate --seed`.
            steps: network calls, 1 to 8.
            guidance: 1 is neutral.
            resolution: 64, 128 or 256 cells a side.
            kind: glb, obj, stl, ply or 3mf.
            faces: at most so many faces, at least 50; 0 keeps all.

        Returns:
            the file.
        """
        studio, settings = self.context.studio, settings_of(steps, guidance, resolution)
        most, number = faces_of(faces), whole("seed", seed, 0, MAX_SEED)
        name = studio.generator.category_of(0, category)
        session = self.context.session(request)
        job = session.begin()
        title = f"{name}, seed {number}"
        item, _ = studio.make(job, Noise.of_shape(number), name, settings, title)
        session.add(item)
        return str(export_one(job, item, kind, most))

    def snippet(self, request: gr.Request) -> str:
        """The snippet with the address under which the page was opened."""
        base = request.headers.get("host", "127.0.0.1:7860")
        scheme = request.headers.get("x-forwarded-proto", "http")
        return SNIPPET.format(address=f"{scheme}://{base}", steps=DEFAULT_STEPS)
