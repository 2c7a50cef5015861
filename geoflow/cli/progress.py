"""Progress of the commands; rich is imported when one starts."""

from __future__ import annotations

from collections.abc import Callable


class progress_bar:  # noqa: N801
    """A rich progress bar on stderr; `with progress_bar(...) as advance: advance(label)`."""

    def __init__(self, title: str, total: int, completed: int = 0) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[label]}"),
            console=Console(stderr=True),
        )
        self.task = self.bar.add_task(title, total=total, completed=completed, label="")

    def __enter__(self) -> Callable[[str], None]:
        self.bar.start()
        return lambda label="": self.bar.update(self.task, advance=1, label=label)

    def __exit__(self, *error: object) -> None:
        self.bar.stop()
