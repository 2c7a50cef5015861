"""The log of a training run: log.csv, and TensorBoard where asked for."""

from __future__ import annotations

import csv
import sys
from pathlib import Path


class Log:
    """Rows of run/log.csv; a resumed run drops those past the step it resumes from."""

    def __init__(self, run: Path, start_step: int, tensorboard: bool) -> None:
        self.path = run / "log.csv"
        rows = []
        if start_step and self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [r for r in csv.reader(file)][1:]
        kept = [r for r in rows if r and int(r[0]) <= start_step]
        self.file = self.path.open("w", newline="", encoding="utf-8")
        self.rows = csv.writer(self.file)
        self.rows.writerow(["step", "error", "learning_rate", "seconds"])
        self.rows.writerows(kept)
        self.board = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(run / "tensorboard"), purge_step=start_step)

    def write(self, step: int, error: float, rate: float, seconds: float) -> None:
        self.rows.writerow([step, repr(error), repr(rate), f"{seconds:.1f}"])
        self.file.flush()
        if self.board:
            self.board.add_scalar("error", error, step)
            self.board.add_scalar("learning_rate", rate, step)

    def status(self, step: int, steps: int, error: float, seconds: float, every: int) -> None:
        """One line on stderr: rewritten on a terminal, now and then in a log file."""
        end = "\r" if sys.stderr.isatty() else "\n"
        if sys.stderr.isatty() or step % (20 * every) == 0:
            line = f"step {step:>7}/{steps}  error {error:.4f}  {seconds / 60:6.1f} min"
            print(line, end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        self.file.close()
        if self.board:
            self.board.close()
