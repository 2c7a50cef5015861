"""The networks: net(x, t, r, cond) -> raw output. No loss and no transport in here."""

from __future__ import annotations

from typing import Any

from torch import nn

from geoflow.checks import one_of
from geoflow.networks.autoencoder import AutoencoderSizes, Decoder, ShapeAutoencoder
from geoflow.networks.grid import GridSizes, GridTransformer, LatentSizes, LatentTransformer
from geoflow.networks.joints import JointSizes, JointTransformer
from geoflow.networks.points import PointSizes, PointTransformer
from geoflow.networks.pointwise import MLPSizes, PointMLP

NETWORKS: dict[str, tuple[type[nn.Module], type[Any]]] = {
    "GridTransformer": (GridTransformer, GridSizes),
    "LatentTransformer": (LatentTransformer, LatentSizes),
    "ShapeAutoencoder": (ShapeAutoencoder, AutoencoderSizes),
    "ShapeDecoder": (Decoder, AutoencoderSizes),
    "PointTransformer": (PointTransformer, PointSizes),
    "PointMLP": (PointMLP, MLPSizes),
    "JointTransformer": (JointTransformer, JointSizes),
}
"""Name -> network, and the dataclass of its arguments: what config.json names."""


def build_network(name: str, **arguments: Any) -> nn.Module:
    """A network by its name; raises ValueError for another, or arguments that it does not take."""
    one_of("network", name, NETWORKS)
    width = arguments.get("width", 1)
    if isinstance(width, int) and width < 1:
        raise ValueError(f"width of a network must be at least 1; got {width}")
    network, sizes = NETWORKS[name]
    try:
        return network(sizes(**arguments))
    except TypeError as error:
        raise ValueError(f"{name} does not take these arguments: {error}") from None
