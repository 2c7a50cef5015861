"""README.md: its commands exist, its code runs, its tables list every option."""

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import trimesh
import typer
from typer.testing import CliRunner

from geoflow.cli import app
from geoflow.flow.transport import TRANSPORTS
from geoflow.model.checkpoint import assets_folder
from geoflow.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST = (
    "git clone <repository> geoflow && cd geoflow && python3 -m venv .venv && "
    ".venv/bin/pip install -c constraints.txt . && .venv/bin/geoflow generate --n 100 --steps 2"
)
SECOND = (
    'python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ".[test]" && '
    ".venv/bin/python -m pytest"
)
COMMANDS = dict(typer.main.get_command(app).commands)
GROUP = COMMANDS.pop("distribution").commands
COMMANDS |= {f"distribution {name}": command for name, command in GROUP.items()}
needs_bundled = pytest.mark.skipif(
    not (assets_folder() / "checkpoints" / "objects" / "config.json").is_file(),
    reason="the bundled checkpoint is not here",
)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def lines():
    return [line for block in blocks("bash") for line in block.splitlines() if line.strip()]


def geoflow_calls():
    """The words after `geoflow` of every such command in the README's bash blocks."""
    calls = []
    for line in lines():
        for part in re.split(r"\s*(?:&&|\|\||;)\s*", line):
            words = shlex.split(part, comments=True)
            for i, word in enumerate(words):
                program = Path(word).name == "geoflow" and i == 0
                module = word == "geoflow" and i > 0 and words[i - 1] == "-m"
                if program or module:
                    call = words[i + 1 :]
                    group = call[0] == "distribution"
                    calls.append([" ".join(call[:2]), *call[2:]] if group else call)
    return calls


def options_of(command):
    found = {o for p in COMMANDS[command].params for o in (*p.opts, *p.secondary_opts)}
    return {o for o in found if o.startswith("-")}


def test_the_two_commands_are_there_verbatim():
    assert FIRST in lines() and SECOND in lines()
    script = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in script  # which takes the second command from there


def test_there_are_calls_to_check():
    assert {call[0] for call in geoflow_calls()} >= {
        "generate",
        "render",
        "evaluate",
        "train",
        "distribution fit",
        "distribution sample",
        "reconstruct",
        "joints",
        "info",
    }


@pytest.mark.parametrize("call", geoflow_calls(), ids=" ".join)
def test_every_geoflow_command_and_option_exists(call):
    assert call[0] in COMMANDS
    given = {word.split("=")[0] for word in call[1:] if word.startswith("-")}
    assert given <= options_of(call[0])
    if call[0] == "train":
        assert call[1] in RECIPES


@pytest.mark.parametrize("call", geoflow_calls(), ids=" ".join)
@needs_bundled
def test_cheap_commands_run(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    count = int(call[call.index("--n") + 1]) if "--n" in call else 1
    if call[0] in ("train", "distribution fit") or count > 4 or "--checkpoint" in call:
        pytest.skip("not cheap, or it needs a training run")
    if call[0] == "render":
        from geoflow.render.studio import _rendering_error

        if _rendering_error() is not None:
            pytest.skip(f"cannot draw here: {_rendering_error()}")
        made = CliRunner().invoke(app, ["generate", "--n", "2", "--out", call[1]])
        assert made.exit_code == 0, made.stderr
    if call[0] == "joints":
        trimesh.creation.capsule(height=1.2, radius=0.3).export(call[1])
    if call[0] == "reconstruct":
        trimesh.creation.box().export(call[1])
    if call[0] == "evaluate":
        for folder, shape in itertools.product(call[1:3], range(2)):
            Path(folder).mkdir(exist_ok=True)
            trimesh.creation.box().export(f"{folder}/chair_{shape}.obj")
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, (result.stderr, result.exception)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_blocks_run(number, tmp_path, monkeypatch):
    code = blocks("python")[number]
    if "load_generator" in code and needs_bundled.args[0]:
        pytest.skip("the bundled checkpoint is not here")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"README.md python block {number + 1}", "exec"), {"__name__": "readme"})


def test_the_example_is_ten_lines():
    example = blocks("python")[0].splitlines()
    assert len([line for line in example if line.strip()]) <= 10


@pytest.mark.parametrize(
    "command",
    [
        "generate",
        "render",
        "evaluate",
        "train",
        "reconstruct",
        "joints",
        *(n for n in COMMANDS if " " in n),
    ],
)
def test_every_option_is_in_its_table(command):
    begin = README.index(f"Options of `geoflow {command}`")
    table = README[begin : README.index("\n\n", README.index("|", begin))]
    written = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", table))
    expected = options_of(command) - {"--help"}
    missing = {o for o in expected if o not in written and o not in ("-n", "--no-tensorboard")}
    assert not missing and written <= expected


def test_every_recipe_and_transport_is_named():
    for name in (*RECIPES, *TRANSPORTS):
        assert f"`{name}`" in README
    for name in ("u-FM", "x1-FM", "DDIM", "EDM"):
        assert f"the paper's **{name}**" in README


def test_scripts_named_in_bash_exist_and_take_these_options():
    found = 0
    for line in lines():
        for script in re.findall(r"\b((?:data_prep|benchmarks)/\w+\.py)", line):
            source = (ROOT / script).read_text(encoding="utf-8")
            for option in re.findall(r"--([a-z][\w-]*)", line.split(script)[1]):
                assert f'"--{option}"' in source or f"    {option.replace('-', '_')}: " in source
            found += 1
    assert found >= 2


def test_links_lead_somewhere():
    heads = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif target.startswith("assets/") and needs_bundled.args[0]:
            continue
        else:
            assert (ROOT / target).exists(), target


@needs_bundled
def test_no_figure_is_missing():
    assert "TODO-FIGURE" not in README


def test_constraints_pin_every_dependency_and_nothing_local():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()
            pins[re.sub(r"[-_.]+", "-", name).lower()] = version
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for need in (
        *project["dependencies"],
        *(n for k in ("train", "data", "test") for n in extras[k]),
    ):
        name = re.match(r"[\w.-]+", need)[0].lower().replace("_", "-")
        assert name in pins or name == "geoflow", name
    assert "open3d" not in pins


def test_python_dash_m_geoflow_answers():
    command = [sys.executable, "-m", "geoflow", "recipes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "objects-sdf" in done.stdout
