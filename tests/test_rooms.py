"""The house: who may import whom, and how large a file or a function may be. No exceptions."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Room -> what it may import of geoflow beside itself and its root, which holds the version.
GROUND = {"checks", "files"}
BELOW = GROUND | {"flow", "networks", "geometry", "io", "render", "data", "model", "training"}
APPLICATIONS = {"shapes", "clouds", "surface", "joints"}
LADDER = {
    "checks": set(),
    "files": set(),
    "flow": {"checks"},
    "networks": GROUND | {"flow.condition", "geometry.isosurface"},
    "geometry": GROUND,
    "io": GROUND | {"geometry"},
    "render": GROUND | {"geometry", "io"},
    "data": GROUND,
    "model": GROUND | {"flow", "networks"},
    "training": GROUND | {"model", "flow", "networks", "data", "render"},
    **{application: BELOW for application in APPLICATIONS},
    "clouds.mesher": BELOW | {"shapes"},
    "pretrained": BELOW | APPLICATIONS,
    "recipes": BELOW | APPLICATIONS,
    "scores": GROUND | {"geometry", "io"},
    "cli": BELOW | APPLICATIONS | {"pretrained", "recipes", "scores"},
    "__main__": {"cli"},
    "__init__": set(),
}
FLOW_NEEDS = {"torch", "numpy", "geoflow", "lazy_loader", *sys.stdlib_module_names}
OUTSIDE = ("apps", "data_prep", "benchmarks")  # they import geoflow, a room or a file of its root
MOST_ROOT_FILES, MOST_LINES, MOST_FUNCTION_LINES, MOST_ARGUMENTS = 8, 400, 60, 9

FILES = sorted(
    p for f in ("geoflow", *OUTSIDE) for p in (ROOT / f).rglob("*.py") if p.stat().st_size
)
TREES = {path: ast.parse(path.read_text("utf-8")) for path in FILES}


def find(module, near=ROOT):
    """The file of a module of ours; `near` is where else the importing script would look."""
    for base in (ROOT, near):
        path = base.joinpath(*module.split("."))
        for found in (path / "__init__.py", path.with_suffix(".py")):
            if found in TREES:
                return found
    return None


def origin(path, name):
    """The file that a name of a package comes from: of its stub, a module in it, or itself."""
    if path.name != "__init__.py":
        return path
    stub = path.with_suffix(".pyi")
    for node in ast.parse(stub.read_text()).body if stub.exists() else []:
        if isinstance(node, ast.ImportFrom) and any(a.name == name for a in node.names):
            inside = path.parent.joinpath(*(node.module or name).split("."))
            return find(".".join(inside.relative_to(ROOT).parts))
    return find(".".join((*path.parent.relative_to(ROOT).parts, name))) or path


def imports(path):
    """(line, module, name or "", file or None) of every import, lazy and typing ones too."""
    top = path.relative_to(ROOT).parts[0]
    near = ROOT / top if top in OUTSIDE else ROOT
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, "", find(alias.name, near)
        elif isinstance(node, ast.ImportFrom):
            package = path.parents[node.level - 1].relative_to(ROOT).parts if node.level else ()
            module = ".".join((*package, *filter(None, [node.module])))
            whole = find(module, near)
            for alias in node.names:
                yield node.lineno, module, alias.name, whole and origin(whole, alias.name)


def of(*tops):
    """The files of some top folders."""
    return [path for path in FILES if path.relative_to(ROOT).parts[0] in tops]


def dotted(path):
    """geoflow/flow/paths.py -> flow.paths; a room's __init__ is the room."""
    parts = path.relative_to(ROOT / "geoflow").with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def allowed(source, target):
    """Whether one file of geoflow may import another."""
    room = source.split(".")[0]
    may = LADDER.get(source, LADDER.get(room, set())) | {room, "__init__"}
    return target in may or target.split(".")[0] in may


def here(path, line):
    return f"{path.relative_to(ROOT)}:{line}"


def test_nothing_is_imported_upwards():
    wrong = [
        f"{here(path, line)} imports {dotted(file)}"
        for path in of("geoflow")
        for line, _, _, file in imports(path)
        if file and not allowed(dotted(path), dotted(file))
    ]
    assert not wrong, "\n".join(wrong)


def test_flow_needs_torch_alone():
    wrong = [
        f"{here(path, line)} imports {module}"
        for path in of("geoflow")
        if dotted(path).split(".")[0] == "flow"
        for line, module, _, _ in imports(path)
        if module.split(".")[0] not in FLOW_NEEDS
    ]
    assert not wrong, "\n".join(wrong)


def test_no_cycle():
    graph = {path: {f for *_, f in imports(path) if f and f != path} for path in FILES}
    cycles = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
            break
        except CycleError as error:
            cycle = error.args[1]
            cycles.append(" -> ".join(str(path.relative_to(ROOT)) for path in cycle))
            graph[cycle[1]].remove(cycle[0])  # a node comes before those that it is needed by
    assert not cycles, "\n".join(cycles)


def test_rooms_are_entered_by_their_doors():
    """apps, data_prep and benchmarks import what `geoflow` or a room lists."""
    wrong = []
    for path in of(*OUTSIDE):
        for line, module, name, file in imports(path):
            if module.split(".")[0] == "geoflow":
                inside = module.count(".") > 1 or (
                    module != "geoflow" and name and find(f"{module}.{name}")
                )
                unlisted = name and file == find(module) and not binds(file, name)
                if inside or unlisted:
                    wrong.append(f"{here(path, line)} imports {name} of {module}")
    assert not wrong, "\n".join(wrong)


def binds(path, name):
    """Whether a file defines or imports a name."""
    return any(
        name in (getattr(node, key, None) for key in ("name", "id", "asname"))
        for node in ast.walk(TREES[path])
    )


def test_no_export_is_named_like_a_module():
    """Else an import of the module changes what the room's name means."""
    wrong = [
        f"{stub.relative_to(ROOT)}: {alias.name}"
        for stub in (ROOT / "geoflow").rglob("__init__.pyi")
        for node in ast.parse(stub.read_text("utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if (stub.parent / f"{alias.name}.py").exists() or (stub.parent / alias.name).exists()
    ]
    assert not wrong, "\n".join(wrong)


def test_the_root_is_small():
    names = sorted(path.name for path in (ROOT / "geoflow").glob("*.py"))
    assert len(names) <= MOST_ROOT_FILES, " ".join(names)


def test_files_fit_a_reader():
    sizes = {path: path.read_text("utf-8").count("\n") for path in FILES}
    wrong = [f"{here(path, size)}" for path, size in sizes.items() if size > MOST_LINES]
    assert not wrong, f"over {MOST_LINES} lines:\n" + "\n".join(wrong)


def test_functions_fit_a_screen():
    wrong = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    lines -= node.body[0].end_lineno - node.body[0].lineno + 1
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = sum(argument.arg not in ("self", "cls") for argument in given)
                if lines > MOST_FUNCTION_LINES or count > MOST_ARGUMENTS:
                    wrong.append(f"{here(path, node.lineno)} {node.name}: {lines} lines, {count}")
    assert not wrong, "lines or arguments:\n" + "\n".join(wrong)
