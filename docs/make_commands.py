"""Writes docs/commands.md from the command line itself: every command, argument and option.

    python docs/make_commands.py

`tests/test_docs.py` fails while the page and the command line differ.
"""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from geoflow.cli import app

PAGE = Path(__file__).with_name("commands.md")
HEAD = """\
# Commands

Every command of geoflow, with its arguments and options. `geoflow COMMAND --help` says the same.
This page is made by `python docs/make_commands.py`; do not edit it.

"""
TAIL = """\

## Exit codes

0: done. 1: something in the world is wrong (files in the way, a broken checkpoint, a full disk).
2: the command is wrong. 130: interrupted. An error is one line on stderr.
"""


def commands(group: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (name, command) of every command, those of groups as "group name"."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def _value(value: Any) -> str:
    """A default or a choice as a user types it."""
    value = getattr(value, "value", value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _default(param: Any) -> str:
    if param.required:
        return "needed"
    if isinstance(param.default, bool):
        return "on" if param.default else "off"
    empty = param.default is None or callable(param.default) or not _value(param.default)
    return "none" if empty or param.multiple else f"`{_value(param.default)}`"


def _plain(text: str | None) -> str:
    """A help text on one line, in Markdown."""
    text = " ".join((text or "").split())
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")


def _choices(hint: Any) -> list[str]:
    """What an option of this type may be, if it is an enum or None."""
    for kind in (hint, *typing.get_args(hint)):
        if isinstance(kind, enum.EnumMeta):
            return [_value(member) for member in kind]
    return []


def row(param: Any, hint: Any) -> str:
    """One line of a command's table."""
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if param.param_type_name == "argument":
        names = f"`{param.name.upper()}`"
    elif param.metavar:
        names = names[:-1] + f" {param.metavar}`"
    meaning = _plain(param.help)
    choices = _choices(hint)
    words = set(meaning.replace(",", " ").replace(";", " ").replace(".", " ").split())
    if not words.issuperset(choices):
        meaning += f" One of {', '.join(choices)}."
    return f"| {names} | {_default(param)} | {meaning} |"


def section(name: str, command: Any) -> str:
    """A command: its heading, what it does, its table."""
    words = " ".join(p.name.upper() for p in command.params if p.param_type_name == "argument")
    shown = [p for p in command.params if p.name != "help"]
    usage = f"geoflow {name} {words}".rstrip() + (" [OPTIONS]" if shown else "")
    about = "\n\n".join(map(_plain, inspect.cleandoc(command.help).split("\n\n")))
    text = f"## geoflow {name}\n\n{about}\n\n    {usage}\n"
    if shown:
        hints = typing.get_type_hints(command.callback)
        rows = "\n".join(row(p, hints[p.name]) for p in shown)
        text += f"\n| option | default | meaning |\n|---|---|---|\n{rows}\n"
    return text


def page() -> str:
    """The whole page."""
    found = list(commands())
    lines = ["| command | does |", "|---|---|"]
    for name, command in found:
        link = f"[`geoflow {name}`](#geoflow-{name.replace(' ', '-')})"
        lines.append(f"| {link} | {_plain(inspect.cleandoc(command.help).splitlines()[0])} |")
    sections = "\n".join(section(*pair) for pair in found)
    return HEAD + "\n".join(lines) + "\n\n" + sections + TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
