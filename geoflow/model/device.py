"""Where a network runs, and in which precision."""

from __future__ import annotations

import torch

from geoflow.checks import ArgumentError, one_of


def pick_device(name: str = "auto") -> torch.device:
    """The device of "auto", "cpu" or "cuda"; ValueError for others and "cuda" without a GPU."""
    one_of("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ArgumentError(
            "device cuda needs a GPU that torch can use; it finds none; use cpu or auto"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def half_precision(device: torch.device, *, enabled: bool = True) -> torch.autocast:
    """bfloat16 where a network runs on a GPU; float32 on a CPU."""
    return torch.autocast("cuda", torch.bfloat16, enabled=enabled and device.type == "cuda")
