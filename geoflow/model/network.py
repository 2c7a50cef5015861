"""The network of a config.json with its weights."""

from __future__ import annotations

import warnings
from typing import Any, get_type_hints

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from geoflow.model.config import MOST, REMEDY, read_network, short
from geoflow.networks import NETWORKS, build_network


def network_with(config: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    """The network of config.json with these weights, on the CPU.

    Raises:
        ValueError: it cannot be built, or the weights do not fit it.
    """
    name, arguments = (part := read_network(config)).name, part.arguments
    hints = get_type_hints(NETWORKS[name].__init__) if name in NETWORKS else {}
    for key, value in arguments.items():
        hint, path = hints.get(key, Any), f"network.arguments.{key}"
        if hint in (int, float, str, bool, int | None):
            what = getattr(hint, "__name__", "") or str(hint)
            _must(isinstance(value, hint), path, f"of type {what}", value)
        if isinstance(value, int | float):
            _must(abs(value) <= MOST, path, f"within +-{MOST}", value)
    try:
        # Without memory: a wrong size is found before memory is taken for it.
        with torch.device("meta"), _Unfilled(), warnings.catch_warnings(action="ignore"):
            plan = build_network(name, **arguments)
    except (TypeError, ArithmeticError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"config.json: network.arguments: {reason}; {REMEDY}") from None
    try:
        plan.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()[:200]
        raise ValueError(f"the weights do not fit the network of config.json: {reason}") from None
    with _Unfilled():
        net = build_network(name, **arguments)
    net.load_state_dict(weights)
    return net


class _Unfilled(TorchFunctionMode):
    """No first values are drawn: weights replace them, and without memory torch would load its
    compiler for that."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, Tensor.uniform_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _must(holds: bool, path: str, what: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"config.json: {path} must be {what}; got {short(value)}; {REMEDY}")
