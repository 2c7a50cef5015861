"""A checkpoint that runs: what all applications share."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, get_type_hints

import torch
from torch import Tensor, nn

from geoflow.flow.condition import Condition
from geoflow.flow.sampling import Guidance
from geoflow.model import config as parts
from geoflow.model.checkpoint import Config, Weights
from geoflow.model.device import half_precision
from geoflow.model.maker import Maker
from geoflow.networks import NETWORKS, build_network


class FlowModel:
    """A network, its map, and what config.json says of both.

    Args:
        config: the checkpoint's config.json.
        weights: name -> float32 tensor.
        digest: hash of the weights, for the manifest.
        device: where the network runs.

    Attributes:
        network: name of the network that such a checkpoint holds.
        half: whether the network runs in bfloat16 on a GPU.

    Raises:
        ValueError: config is not what it must be, or the weights do not fit its network.
    """

    network: ClassVar[str]
    half: ClassVar[bool] = True

    def __init__(self, config: Config, weights: Weights, digest: str, device: torch.device) -> None:
        name = parts.read_network(config).name
        if name != self.network:
            raise ValueError(
                f"config.json: network.name must be {self.network} for {type(self).__name__}; got "
                f"{name!r}; use another checkpoint"
            )
        self.config, self.digest, self.device = config, digest, device
        self.transport, self.sampling = parts.read_transport(config), parts.read_sampling(config)
        self.read(config)
        self.net = network_with(config, weights)
        self.net.eval().requires_grad_(False).to(device)

    def read(self, config: Config) -> None:
        """Reads the application's own part of config.json; raises ValueError as `read_part`."""

    def carry(
        self, noise: Tensor, steps: int, cond: Condition | None = None, **options: Any
    ) -> Tensor:
        """Carries (B, ...) standard normal noise to standardised samples, float32 on the device.

        In `steps` network calls, at least 1, of a network that is told `cond`; the options are
        cumulative, guidance and on_step of `SamplingSettings.sample`.
        """
        with half_precision(self.device, enabled=self.half):
            noise = noise.to(self.device)
            return self.sampling.sample(self.transport, self.net, noise, steps, cond, **options)


class CategoryModel(FlowModel, Maker):
    """A class-conditional generator.

    Attributes:
        sample_bytes: peak GPU memory of one usual sample in a network call, generously.
    """

    sample_bytes: ClassVar[int]

    @classmethod
    def categories_of(cls, config: Config) -> list[str]:
        """The categories of a checkpoint, without its weights."""
        return parts.read_part(config, "data", parts.ClassData).categories

    def batch_size(self, usual: float = 1.0) -> int:
        """Samples per network call, for samples of a size in usual ones.

        On a CPU always 1: a result that never depends on what else is in the batch is the same
        to the last bit, and other samples keep the other cores busy. On a GPU as many as fit, at
        most 64.
        """
        if self.device.type != "cuda":
            return 1
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(min(64, max(1, 0.8 * free // (usual * self.sample_bytes))))

    def condition(
        self, categories: Sequence[str | None], context: Tensor | None = None
    ) -> Condition:
        """What the network is told: B names, or None where it is not told; context (B, L, C)."""
        names = [None if name is None else self.category_of(0, name) for name in categories]
        known = [*self.categories, None]
        labels = torch.tensor([known.index(name) for name in names], device=self.device)
        return Condition(labels, None if context is None else context.to(self.device))

    def carry_classes(
        self,
        noise: Tensor,
        categories: Sequence[str | None],
        context: Tensor | None = None,
        *,
        steps: int = 2,
        guidance: float = 1.0,
        **options: Any,
    ) -> Tensor:
        """As `carry`, to samples of categories, see `condition`.

        A guidance of 1 samples the data; above 1 it exaggerates the category, at twice the calls.
        """
        cond, exaggerate = self.condition(categories, context), None
        if guidance != 1.0:
            exaggerate = Guidance(guidance, self.condition([None] * len(categories), cond.context))
        return self.carry(noise, steps, cond, guidance=exaggerate, **options)


def network_with(config: Config, weights: Weights) -> nn.Module:
    """The network of config.json with a copy of these weights, on the CPU, float32.

    Raises ValueError where it cannot be built, or the weights do not fit it.
    """
    name, arguments = (part := parts.read_network(config)).name, part.arguments
    hints = get_type_hints(NETWORKS[name][1]) if name in NETWORKS else {}
    for key, value in arguments.items():
        hint, path = hints.get(key, Any), f"network.arguments.{key}"
        if hint in (int, float, str, bool, int | None):
            what = getattr(hint, "__name__", "") or str(hint)
            parts.must(isinstance(value, hint), path, f"of type {what}", value)
        if isinstance(value, int | float):
            parts.must(abs(value) <= parts.MOST, path, f"within +-{parts.MOST}", value)
    try:
        # Without memory: a wrong size is found before memory is taken for it.
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):
            net = build_network(name, **arguments)
    except (TypeError, ArithmeticError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"config.json: network.arguments: {reason}; {parts.REMEDY}") from None
    # Copies: a file's memory may be unaligned, and another program may write to it.
    copies = {key: value.to(torch.float32, copy=True) for key, value in weights.items()}
    try:
        net.load_state_dict(copies, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()[:200]
        raise ValueError(f"the weights do not fit the network of config.json: {reason}") from None
    return net
