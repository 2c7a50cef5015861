"""README.md and docs/: commands and options exist, code runs, links and names lead somewhere."""

import importlib
import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import trimesh
import typer
from loading import load_module
from typer.testing import CliRunner

from geoflow.cli import app
from geoflow.flow import TRANSPORTS
from geoflow.model.checkpoint import assets_folder
from geoflow.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (README, *ROOT.glob("docs/*.md"))}
CARDS = {p.relative_to(ROOT).as_posix(): p for p in ROOT.glob("assets/checkpoints/*/README.md")}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in (PAGES | CARDS).items()}
FIRST = (
    "git clone <repository> geoflow && cd geoflow && python3 -m venv .venv && "
    ".venv/bin/pip install -c constraints.txt . && .venv/bin/geoflow generate --n 100 --steps 2"
)
SECOND = (
    'python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ".[test]" && '
    ".venv/bin/python -m pytest"
)
MADE = load_module("make_commands", ROOT / "docs" / "make_commands.py")
COMMANDS = dict(MADE.commands())
SCRIPT = re.compile(r"\b((?:apps|benchmarks|data_prep|docs)/\w+\.py)")
BUNDLED = assets_folder() / "checkpoints"
has_bundled = (BUNDLED / "objects" / "config.json").is_file()
needs_bundled = pytest.mark.skipif(not has_bundled, reason="the bundled checkpoint is not here")


# -- what is written --------------------------------------------------------------------------


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", TEXTS[page], re.DOTALL)


def prose(page):
    """The text without blocks of code."""
    return re.sub(
        r"^    .*$", "", re.sub(r"```.*?```", "", TEXTS[page], flags=re.DOTALL), flags=re.M
    )


def spans(page):
    """Code within lines."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def shell_lines(page):
    return [line for block in blocks(page, "bash") for line in block.splitlines() if line.strip()]


def lines(page):
    """Everything that may be a command: in blocks of bash, indented, within lines."""
    indented = re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", TEXTS[page], flags=re.S), re.M)
    return [*shell_lines(page), *indented, *spans(page)]


def calls_in(line):
    """The words after `geoflow` of every such command in a line; a group's two words are one."""
    for part in re.split(r"\s*(?:&&|\|\||;)\s*", line):
        if re.search(r"(?:^|[\s/])geoflow [a-z-]", part) is None:
            continue
        words = shlex.split(part, comments=True)
        for i, word in enumerate(words):
            module = i > 0 and words[i - 1] == "-m"
            first = i == 0 or "time" in words[0]
            if Path(word).name == "geoflow" and (module or first):
                call = words[i + 1 :]
                group = call[0] not in COMMANDS and " ".join(call[:2]) in COMMANDS
                yield tuple([" ".join(call[:2]), *call[2:]] if group else call)


def calls(of):
    """Each call of all pages once."""
    found = (call for page in TEXTS for line in of(page) for call in calls_in(line))
    return list(dict.fromkeys(found))


def options_of(command):
    params = COMMANDS[command].params
    return {o for p in params for o in (*p.opts, *p.secondary_opts)} | {"--help"}


def options_of_script(script):
    """As argparse (a string) or typer (an annotated argument) spells them."""
    source = (ROOT / script).read_text(encoding="utf-8")
    named = re.findall(r"^    (\w+): (?:Annotated|files\.[A-Z])", source, re.M)
    named += re.findall(r"^    add_(\w+)\(parser\)", source, re.M)
    return {*re.findall(r'"(--[\w-]+)"', source), *(f"--{n.replace('_', '-')}" for n in named)}


def anchors(page):
    """What GitHub calls the headings."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]
    return {f"{s}-{slugs[:i].count(s)}" if s in slugs[:i] else s for i, s in enumerate(slugs)}


# -- commands ---------------------------------------------------------------------------------


def test_the_two_commands_are_there_verbatim():
    assert FIRST in shell_lines("README.md") and SECOND in shell_lines("README.md")
    pattern = re.search(r"grep -m1 -E '([^']+)' README.md", (ROOT / ".ci" / "run").read_text())
    found = [line for line in README.read_text().splitlines() if re.search(pattern[1], line)]
    assert found[0] == SECOND  # what CI runs


def test_every_command_is_shown():
    assert {call[0] for call in calls(shell_lines)} >= COMMANDS.keys() - {"recipes", "info"}
    assert {call[0] for call in calls(spans)} >= {"recipes", "info"}


@pytest.mark.parametrize("call", calls(lines), ids=" ".join)
def test_every_geoflow_command_and_option_exists(call):
    if call[0].startswith("-"):
        known = {o for p in typer.main.get_command(app).params for o in p.opts}
        assert call[0] in known | {"--help"}
        return
    assert call[0] in COMMANDS
    given = {w.split("=")[0] for w in call[1:] if re.match(r"--?[a-z]", w)}
    assert given <= options_of(call[0])
    if call[0] == "train" and len(call) > 1 and call[1].islower():  # not RECIPE
        assert call[1] in RECIPES


def _checkpoint(path, kind):
    """A bundled checkpoint where a page's training run would have left one."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).symlink_to(BUNDLED / kind, target_is_directory=True)


QUICK = [c for c in calls(shell_lines) if c[0] not in ("train", "pack", "distribution sample")]
LONG = [c for c in calls(shell_lines) if c not in QUICK]


@pytest.mark.parametrize("call", QUICK, ids=" ".join)
@needs_bundled
def test_quick_commands_run(call, tmp_path, monkeypatch):
    """With two shapes instead of many."""
    monkeypatch.chdir(tmp_path)
    call = list(call)
    if "--n" in call:
        call[call.index("--n") + 1] = str(min(2, int(call[call.index("--n") + 1])))
    if "--checkpoint" in call:
        kind = "points" if "points" in call else "objects"
        _checkpoint(call[call.index("--checkpoint") + 1], kind)
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
    result = CliRunner().invoke(app, [*call[0].split(), *call[1:]])
    assert result.exit_code == 0, (result.stderr, result.exception)


@pytest.mark.parametrize("call", LONG, ids=" ".join)
def test_long_commands_lack_nothing_but_their_data(call, tmp_path, monkeypatch):
    """In an empty folder they end with 1, a missing file; 2 would be a wrong command."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*call[0].split(), *call[1:]])
    assert result.exit_code == 1, (result.stderr, result.exception)


def test_commands_page_is_up_to_date():
    assert MADE.page() == TEXTS["docs/commands.md"], "run: python docs/make_commands.py"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_is(command):
    for param in COMMANDS[command].params:
        assert param.name == "help" or param.help.endswith("."), param.name


class Colour(StrEnum):
    red, blue = "red", "blue"


def test_commands_page_lists_choices_and_escapes():
    toy = typer.Typer()

    @toy.command()
    def paint(colour: Annotated[Colour | None, typer.Option(help="A <b> | c.")] = None):
        """Paints."""

    row = MADE.row(typer.main.get_command(toy).params[0], Colour | None)
    assert row == "| `--colour` | none | A &lt;b&gt; \\| c. One of red, blue. |"


@pytest.mark.parametrize("page", TEXTS)
def test_scripts_exist_and_take_these_options(page):
    for line in lines(page):
        for script in SCRIPT.findall(line):
            given = re.findall(r"(?<!\S)(--[a-z][\w-]*)", line.split(script)[1])
            assert set(given) <= options_of_script(script), line


def test_options_named_alone_are_options_of_something():
    scripts = [p.relative_to(ROOT) for d in ("apps", "benchmarks", "data_prep") for p in
               ROOT.glob(f"{d}/*.py")]  # fmt: skip
    known = set().union(*map(options_of, COMMANDS), *map(options_of_script, scripts))
    for page in TEXTS:
        for span in spans(page):
            if span.startswith("--"):
                assert re.match(r"--[\w-]+", span)[0] in known, (page, span)


def test_the_apps_options_are_in_its_table():
    table = re.search(r"\| option of `apps/gradio_app.py`.*?\n\n", TEXTS["docs/app.md"], re.S)[0]
    added = re.findall(r'add_argument\("(--[\w-]+)"', (ROOT / "apps/gradio_app.py").read_text())
    assert re.findall(r"^\| `(--[\w-]+)`", table, re.M) == added


# -- code and names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page, number", [(p, i) for p in TEXTS for i in range(len(blocks(p, "python")))]
)
def test_python_blocks_run(page, number, tmp_path, monkeypatch):
    code = blocks(page, "python")[number]
    if re.search(r"\bload_(generator|joint)", code) and not has_bundled:
        pytest.skip("the bundled checkpoint is not here")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"{page} python block {number + 1}", "exec"), {"__name__": "page"})


def test_the_example_is_ten_lines():
    example = blocks("README.md", "python")[0].splitlines()
    assert len([line for line in example if line.strip()]) <= 10


@pytest.mark.parametrize("page", TEXTS)
def test_python_names_exist(page):
    for name in {m[0] for span in spans(page) if (m := re.match(r"geoflow(\.\w+)+", span))}:
        module, attribute = name.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), attribute), name


@pytest.mark.parametrize("page", TEXTS)
def test_files_named_exist(page):
    inside = re.compile(r"(?:geoflow|apps|benchmarks|data_prep|docs|tests|assets)/[\w./-]*")
    for name in filter(inside.fullmatch, spans(page)):
        if has_bundled or not name.startswith("assets/"):
            assert (ROOT / name).exists(), name


def test_every_recipe_and_transport_is_named():
    rows = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \|", TEXTS["docs/training.md"], re.M)
    assert set(re.findall(r"`([a-z-]+)`", " ".join(rows))) == set(RECIPES)
    for name in TRANSPORTS:
        assert f"`{name}`" in TEXTS["docs/method.md"]
    for name in ("u-FM", "x1-FM", "DDIM", "EDM"):
        assert f"the paper's **{name}**" in TEXTS["docs/method.md"]


# -- pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        if target.startswith("http") or ("assets/" in path and not has_bundled):
            continue
        file = ((PAGES | CARDS)[page].parent / path).resolve() if path else (PAGES | CARDS)[page]
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.relative_to(ROOT).as_posix()), target


def test_every_page_and_picture_is_reached():
    """By a link from another page."""
    linked = set()
    for page in TEXTS:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose(page)):
            linked.add(((PAGES | CARDS)[page].parent / target).resolve())
    there = {p.resolve() for p in (*ROOT.glob("docs/*.md"), *ROOT.glob("assets/*.png"))}
    assert there <= linked, there - linked


def test_the_readme_is_short():
    assert README.stat().st_size <= 10_000


def test_no_figure_is_missing():
    assert not [page for page, text in TEXTS.items() if "TODO" in text]


# -- around them ------------------------------------------------------------------------------


def test_constraints_pin_every_dependency_and_nothing_local():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()
            pins[re.sub(r"[-_.]+", "-", name).lower()] = version
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
