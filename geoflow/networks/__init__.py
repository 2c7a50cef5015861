"""The networks: net(x, t, r, cond) -> raw output. No loss and no transport in here."""

from __future__ import annotations

from typing import Any

from torch import nn

from geoflow.checks import one_of
from geoflow.networks.grid import GridTransformer
from geoflow.networks.joints import JointTransformer
from geoflow.networks.points import PointTransformer
from geoflow.networks.pointwise import PointMLP

NETWORKS: dict[str, type[nn.Module]] = {
    "GridTransformer": GridTransformer,
    "PointTransformer": PointTransformer,
    "PointMLP": PointMLP,
    "JointTransformer": JointTransformer,
}


def build_network(name: str, **arguments: Any) -> nn.Module:
    """A network by the name its checkpoint gives.

    Raises:
        ValueError: unknown name or arguments it does not take.
    """
    one_of("network", name, NETWORKS)
    try:
        return NETWORKS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"{name} does not take these arguments: {error}") from None
