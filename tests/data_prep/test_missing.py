"""A script of data_prep or benchmarks that lacks a module says so in one line, before any work."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HIDE = """
import runpy, sys
sys.modules[sys.argv[1]] = None
sys.argv = sys.argv[2:]
sys.path[0] = sys.argv[0].rsplit("/", 1)[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("module", "script", "arguments", "install"),
    [
        ("anny", "data_prep/anny_bodies.py", ["OUT/a.npz"], "read the top of data_prep/anny_"),
        ("bpy", "data_prep/infinigen_objects.py", ["OUT"], "read the top of data_prep/infinigen"),
        ("igl", "data_prep/objects.py", ["MESHES", "--out", "OUT"], "pip install 'geoflow[data]'"),
        ("accelerate", "benchmarks/joint_step_cost.py", ["OUT"], "pip install 'geoflow[train]'"),
    ],
)
def test_a_missing_module_is_one_line(tmp_path, module, script, arguments, install):
    mesh = tmp_path / "meshes" / "bed" / "a_1.obj"
    mesh.parent.mkdir(parents=True)
    mesh.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    out = tmp_path / "out"
    places = {"OUT": str(out), "MESHES": str(tmp_path / "meshes"), "OUT/a.npz": str(out / "a.npz")}
    command = [sys.executable, "-c", HIDE, module, ROOT / script]
    done = subprocess.run(
        command + [places.get(a, a) for a in arguments], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    line = f"the module {module} must be installed; it is not; {install}"
    assert line in done.stderr and done.stderr.count("\n") == 1
    assert not out.exists()
