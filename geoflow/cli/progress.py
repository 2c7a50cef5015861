"""Progress of the commands; rich is imported when one starts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(title: str, total: int, completed: int = 0) -> Iterator[Callable[[str], None]]:
    """A rich progress bar on stderr; `with progress_bar(...) as advance: advance(label)`."""
    from rich import progress
    from rich.console import Console

    counted = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn())
    columns = ("{task.description}", *counted, "{task.fields[label]}")
    bar = progress.Progress(*columns, console=Console(stderr=True))
    task = bar.add_task(title, total=total, completed=completed, label="")
    with bar:
        yield lambda label="": bar.update(task, advance=1, label=label)
