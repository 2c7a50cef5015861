"""Where a training step of characters-joints spends its time.

    python benchmarks/joint_step_cost.py DATA [--batch 128] [--steps 40] [--device auto]

Prints milliseconds of the batch alone (drawn and augmented), of a step that trains r = t only and
of one with r > t, and the kernels that take longest in the latter. DATA holds npz files of
characters. Compiled on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from script import add_device, argument_parser, run_script

from geoflow.checks import require
from geoflow.joints import CharacterSource
from geoflow.model import pick_device
from geoflow.recipes import get_recipe
from geoflow.training import Trainer, set_fields, start_processes


def milliseconds(call: Callable[[], object], steps: int, device: torch.device) -> float:
    """The mean over `steps` calls; a GPU is waited for before and after."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    begin = time.perf_counter()
    for _ in range(steps):
        call()
    wait()
    return 1e3 * (time.perf_counter() - begin) / steps


def main() -> None:
    """Prints the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    add_device(parser)
    options = parser.parse_args()
    require("accelerate")
    accelerator = start_processes(pick_device(options.device))
    device = accelerator.device
    source = CharacterSource.open(options.data, device)
    draws = torch.Generator(device).manual_seed(0)
    source.batch(options.batch, draws)
    cost = milliseconds(lambda: source.batch(options.batch, draws), options.steps, device)
    print(f"batch alone {cost:.1f} ms", flush=True)
    recipe = set_fields(get_recipe("characters-joints"), [f"batch={options.batch}"])
    for name, instant in (("r = t", 1.0), ("r > t", 0.0)):
        trainer = Trainer(set_fields(recipe, [f"instant={instant}"]), source, 0, accelerator)
        if device.type == "cuda":
            trainer.compile()
        for _ in range(12 if device.type == "cuda" else 1):
            trainer.train_step()
        print(
            f"{name} {milliseconds(trainer.train_step, options.steps, device):.1f} ms", flush=True
        )
        with torch.profiler.profile() as profile:
            trainer.train_step()
        by = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
        print(profile.key_averages().table(by, row_limit=20, max_name_column_width=70))


if __name__ == "__main__":
    run_script(main)
