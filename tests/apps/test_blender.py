"""A second reader: Blender's bpy imports what the app exports, and the axes are right there.

bpy 4.2 needs a Python of its own: GEOFLOW_BPY_PYTHON names an interpreter that has it.
"""

import json
import os
import subprocess

import numpy as np
import pytest

BPY = os.environ.get("GEOFLOW_BPY_PYTHON")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BPY, reason="GEOFLOW_BPY_PYTHON names no Python with bpy"),
]

REPORT = """
import json
import numpy as np
low, high, centre, vertices = [], [], [], []
for thing in [o for o in bpy.data.objects if o.type == "MESH" and o.select_get()]:
    vertices += [list(thing.matrix_world @ v.co) for v in thing.data.vertices]
print("REPORT" + json.dumps(np.array(vertices).round(6).tolist()))
"""
IMPORT = {
    "glb": "bpy.ops.import_scene.gltf(filepath=path)",
    "obj": "bpy.ops.wm.obj_import(filepath=path)",
    "stl": "bpy.ops.wm.stl_import(filepath=path, global_scale=0.001)",
}


def in_blender(code):
    done = subprocess.run([BPY, "-c", code], capture_output=True, text=True, timeout=300)
    line = [text for text in done.stdout.splitlines() if text.startswith("REPORT")]
    assert line, done.stdout[-2000:] + done.stderr[-2000:]
    return np.array(json.loads(line[0][6:]))


def wedge(folder, kind):
    """0.3 wide, 1 high, 0.6 deep; its front (+z) is low and its left (+x) is heavy."""
    from geoflow import write_mesh

    corners = np.array(
        [[-0.15, 0, -0.3], [0.15, 0, -0.3], [0.15, 0, 0.3], [-0.15, 0, 0.3],
         [-0.15, 0.6, -0.3], [0.15, 1, -0.3]]
    )  # fmt: skip
    faces = np.array(
        [[0, 1, 2], [0, 2, 3], [0, 4, 5], [0, 5, 1], [1, 5, 2], [0, 3, 4], [3, 2, 5], [3, 5, 4]]
    )
    return write_mesh(folder / f"wedge.{kind}", corners, faces)


@pytest.mark.parametrize("kind", ["glb", "obj", "stl"])
def test_up_front_and_size(tmp_path, kind):
    path = wedge(tmp_path, kind)
    code = f"import bpy\nbpy.ops.wm.read_factory_settings(use_empty=True)\npath = {str(path)!r}\n"
    points = in_blender(code + IMPORT[kind] + REPORT)
    low, high = points.min(0), points.max(0)
    np.testing.assert_allclose(high - low, [0.3, 0.6, 1.0], atol=1e-5)  # x, y deep, z up; metres
    assert low[2] == pytest.approx(0, abs=1e-6)  # stands on the ground
    top = points[points[:, 2].argmax()]
    assert top[1] == pytest.approx(0.3, abs=1e-5)  # the back is at +y: the front looks along -y
    assert top[0] == pytest.approx(0.15, abs=1e-5)  # not mirrored


@pytest.mark.parametrize("kind", ["glb", "obj", "stl"])
def test_the_snippet_of_the_page_runs_in_blender(server, kind):
    from geoflow_app.tabs.blender import SNIPPET

    code = SNIPPET.format(address=server.url.rstrip("/"), steps=2)
    assert '"glb", 0]' in code
    code = code.replace('["chair", 7', '["lamp", 7').replace('"glb", 0]', f'"{kind}", 0]')
    start = "import bpy\nbpy.ops.wm.read_factory_settings(use_empty=True)\n"
    points = in_blender(start + code + REPORT)
    low, high = points.min(0), points.max(0)
    assert (high - low)[2] == pytest.approx(0.5, rel=1e-4) and abs(low[2]) < 1e-4
    assert (high - low)[2] > 1.2 * (high - low)[:2].max()
    assert points[:, 2].mean() < 0.45 * high[2]  # the wide foot is below


def test_a_wrong_word_reaches_blender_in_one_line(server):
    from geoflow_app.tabs.blender import SNIPPET

    code = SNIPPET.format(address=server.url.rstrip("/"), steps=2).replace('"chair"', '"chiar"')
    done = subprocess.run([BPY, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and "did you mean 'chair'" in done.stderr.splitlines()[-1]
