"""The networks: net(x, t, r, cond) -> raw output. No loss and no transport in here."""

from __future__ import annotations

from typing import Any

from torch import nn

from geoflow.networks.grid import GridTransformer

NETWORKS: dict[str, type[nn.Module]] = {"GridTransformer": GridTransformer}


def build_network(name: str, **arguments: Any) -> nn.Module:
    """A network by the name its checkpoint gives.

    Raises:
        ValueError: unknown name or arguments it does not take.
    """
    if name not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}; got {name!r}")
    try:
        return NETWORKS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"{name} does not take these arguments: {error}") from None
