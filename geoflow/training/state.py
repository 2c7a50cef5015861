"""The state of a training run: run/state.safetensors, from which --resume goes on."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from geoflow.files import write_atomically

STATE = "state.safetensors"


def write_state(run: Path, meta: dict[str, str], tensors: dict[str, Tensor]) -> None:
    """Replaces the state of a run whole; tensors are named "group.name"."""
    write_atomically(run / STATE, save(tensors, metadata=meta))


def read_state(
    run: Path, want: dict[str, str], device: torch.device
) -> tuple[dict[str, str], dict[str, dict[str, Tensor]]]:
    """The meta data, and group -> name -> tensor.

    Args:
        run: folder of the run.
        want: meta data that must be there.
        device: where the tensors go.

    Raises:
        ValueError: no state there, a broken one, or one that is not as wanted.
    """
    path = run / STATE
    if not path.is_file():
        raise ValueError(f"--resume needs {path}; it does not exist; start without --resume")
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            meta, tensors = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is broken ({error}); start without --resume") from None
    for key, value in want.items():
        if meta.get(key) != value:
            raise ValueError(
                f"{path} was made with {key} {meta.get(key)}; this run has {value}; use the "
                "same, or another --out"
            )
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        group, rest = name.split(".", 1)
        groups.setdefault(group, {})[rest] = value
    return meta, groups
