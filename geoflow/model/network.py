"""The network of a checkpoint: planned without memory, then filled with the weights."""

from __future__ import annotations

import warnings
from typing import Any, get_type_hints

import torch
from torch import Tensor, nn

from geoflow.model.config import MOST, REMEDY, read_network, short
from geoflow.networks import NETWORKS, build_network


def network_with(config: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    """The network of config.json with a copy of these weights, on the CPU, float32.

    Raises:
        ValueError: it cannot be built, or the weights do not fit it.
    """
    name, arguments = (part := read_network(config)).name, part.arguments
    hints = get_type_hints(NETWORKS[name][1]) if name in NETWORKS else {}
    for key, value in arguments.items():
        hint, path = hints.get(key, Any), f"network.arguments.{key}"
        if hint in (int, float, str, bool, int | None):
            what = getattr(hint, "__name__", "") or str(hint)
            _must(isinstance(value, hint), path, f"of type {what}", value)
        if isinstance(value, int | float):
            _must(abs(value) <= MOST, path, f"within +-{MOST}", value)
    try:
        # Without memory: a wrong size is found before memory is taken for it.
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):
            net = build_network(name, **arguments)
    except (TypeError, ArithmeticError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"config.json: network.arguments: {reason}; {REMEDY}") from None
    # Copies: a file's memory may be unaligned, and another program may write to it.
    copies = {key: value.to(torch.float32, copy=True) for key, value in weights.items()}
    try:
        net.load_state_dict(copies, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()[:200]
        raise ValueError(f"the weights do not fit the network of config.json: {reason}") from None
    return net


def _must(holds: bool, path: str, what: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"config.json: {path} must be {what}; got {short(value)}; {REMEDY}")
