"""A checkpoint that runs: what all applications share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from geoflow.checks import at_least, one_of
from geoflow.flow.condition import Condition
from geoflow.flow.sampling import Guidance
from geoflow.model.config import ClassData, read_network, read_part, read_sampling, read_transport
from geoflow.model.device import half_precision
from geoflow.model.network import network_with


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

    def __init__(
        self, config: dict[str, Any], weights: dict[str, Tensor], digest: str, device: torch.device
    ) -> None:
        name = read_network(config).name
        if name != self.network:
            raise ValueError(
                f"config.json: network.name must be {self.network} for {type(self).__name__}; got "
                f"{name!r}; use another checkpoint"
            )
        self.config, self.digest, self.device = config, digest, device
        self.transport, self.sampling = read_transport(config), read_sampling(config)
        self.read(config)
        self.net = network_with(config, weights)
        self.net.eval().requires_grad_(False).to(device)

    def read(self, config: dict[str, Any]) -> None:
        """Reads the application's own part of config.json.

        Raises:
            ValueError: it is not what it must be.
        """

    def carry(
        self,
        noise: Tensor,
        steps: int,
        cond: Condition | None = None,
        *,
        guidance: Guidance | None = None,
        cumulative: bool | None = None,
        on_step: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """Carries noise to standardised samples, float32 on the device.

        Args:
            noise: (B, ...) standard normal, see geoflow.flow.draw_noise.
            steps: network calls, at least 1.
            cond: what the network is told.
            guidance: exaggerates the condition, at twice the calls.
            cumulative: True folds the map, False samples with r = t, the ordinary multi-step way;
                None does as the checkpoint's config says, see `SamplingSettings`.
            on_step: called with (calls made, state) after each step; may raise to stop.
        """
        at_least("steps", steps, 1)
        with half_precision(self.device, enabled=self.half):
            return self.sampling.sample(
                self.transport,
                self.net,
                noise.to(self.device),
                steps,
                cond,
                cumulative=cumulative,
                guidance=guidance,
                on_step=on_step,
            )


@dataclass(frozen=True)
class Request:
    """What shapes are asked for; shape i depends on (seed, i) and the rest alone.

    Attributes:
        steps: network calls for each, at least 1.
        category: one of the model's `categories`, or "all" for each in turn.
        seed: not negative.
        guidance: above 1 exaggerates the category, at twice the cost.

    Raises:
        ValueError: a number out of range.
    """

    steps: int = 2
    category: str = "all"
    seed: int = 0
    guidance: float = 1.0

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        at_least("steps", self.steps, 1)
        at_least("guidance", self.guidance, 0)


def category_among(categories: Sequence[str], name: str) -> str:
    """The category of that name; case does not matter.

    Raises:
        ValueError: there is none; lists them and the nearest.
    """
    known = {category.casefold(): category for category in categories}
    if name.casefold() not in known:
        one_of("category", name, categories)
    return known[name.casefold()]


class CategoryModel(FlowModel):
    """A class-conditional generator.

    Attributes:
        sample_bytes: peak GPU memory of one usual sample in a network call, generously.
        metres: category -> longest side of its shapes, in the order of the labels.
    """

    sample_bytes: ClassVar[int]
    metres: dict[str, float]

    @property
    def categories(self) -> list[str]:
        """In the order of the labels."""
        return list(self.metres)

    def category_of(self, index: int, category: str = "all") -> str:
        """The category of shape `index`: "all" takes the categories in turn; case does not matter.

        Raises:
            ValueError: unknown category; lists them and the nearest.
        """
        if category == "all":
            return self.categories[index % len(self.categories)]
        return category_among(self.categories, category)

    @classmethod
    def categories_of(cls, config: dict[str, Any]) -> list[str]:
        """The categories of a checkpoint, without its weights."""
        return read_part(config, "data", ClassData).categories

    def batch_size(self, usual: float = 1.0) -> int:
        """Samples per network call.

        On a CPU always 1: a result that never depends on what else is in the batch is the same
        to the last bit, and other samples keep the other cores busy. On a GPU as many as fit, at
        most 64.

        Args:
            usual: size of a sample in usual ones.
        """
        if self.device.type != "cuda":
            return 1
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(min(64, max(1, 0.8 * free // (usual * self.sample_bytes))))

    def condition(
        self, categories: Sequence[str | None], context: Tensor | None = None
    ) -> Condition:
        """What the network is told.

        Args:
            categories: B names, or None where it is not told.
            context: (B, L, C) further condition, see geoflow.flow.Condition.
        """
        unknown = len(self.categories)
        index = [
            unknown if c is None else self.categories.index(self.category_of(0, c))
            for c in categories
        ]
        labels = torch.tensor(index, device=self.device)
        return Condition(labels, None if context is None else context.to(self.device))

    def carry_classes(
        self,
        noise: Tensor,
        categories: Sequence[str | None],
        *,
        context: Tensor | None = None,
        steps: int,
        guidance: float,
        **options: Any,
    ) -> Tensor:
        """Carries noise to standardised samples of categories, see `carry` and `condition`.

        Args:
            guidance: 1 samples the data; above 1 exaggerates the category.
        """
        cond = self.condition(categories, context)
        exaggerate = None
        if guidance != 1.0:
            exaggerate = Guidance(guidance, self.condition([None] * len(categories), cond.context))
        return self.carry(noise, steps, cond, guidance=exaggerate, **options)
