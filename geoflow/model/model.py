"""What the generators share: noise with a number, categories, the sampler, one worker a core."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from geoflow.checks import at_least, one_of
from geoflow.flow.condition import Condition
from geoflow.model.config import (
    GridSettings,
    PointSettings,
    read_transport,
)
from geoflow.model.device import half_precision
from geoflow.model.network import network_with
from geoflow.model.threads import single_threaded_torch

Made = TypeVar("Made")


class ClassSampler:
    """A class-conditional checkpoint: noise and category names to standardised samples.

    Args:
        settings: what config says of the data and of sampling.
        config: the checkpoint's config.json.
        weights: name -> float32 tensor.
        digest: hash of the weights, for the manifest.
        device: where the network runs.

    Raises:
        ValueError: config is not what it must be, or the weights do not fit its network.
    """

    backbone = ""
    sample_bytes = 0
    """Peak GPU memory of one usual sample in a network call, generously."""

    def __init__(
        self,
        settings: GridSettings | PointSettings,
        config: dict[str, Any],
        weights: dict[str, Tensor],
        digest: str,
        device: torch.device,
    ) -> None:
        self.transport = read_transport(config)
        self.net = network_with(config, weights)
        self.metres = settings.metres
        self.categories = list(self.metres)
        self.sampling = settings.sampling
        self.config, self.digest, self.device = config, digest, device
        self.net.eval().requires_grad_(False).to(device)

    def category_of(self, index: int, category: str = "all") -> str:
        """The category of shape `index`: "all" takes the categories in turn.

        Raises:
            ValueError: unknown category; lists them and the nearest.
        """
        if category == "all":
            return self.categories[index % len(self.categories)]
        one_of("category", category, ["all", *self.categories])
        return category

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

    def carry(
        self,
        noise: Tensor,
        categories: Sequence[str | None],
        *,
        context: Tensor | None = None,
        steps: int,
        guidance: float,
        cumulative: bool | None,
        on_step: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """Carries noise to standardised samples, float32 on the device.

        Args:
            noise: (B, ...) standard normal, see `draw_noise`.
            categories: B names, or None where the network is not told.
            context: (B, L, C) further condition, see geoflow.networks.layers.Condition.
            steps: network calls.
            guidance: 1 samples the data; above 1 exaggerates the category, at two calls a step.
            cumulative: True folds the map, False samples with r = t, the ordinary multi-step way;
                None does as the checkpoint's config says, see `SamplingSettings`.
            on_step: called with (calls made, state) after each step; may raise to stop.
        """
        cond = self.condition(categories, context)
        with half_precision(self.device):
            return self.sampling.sample(
                self.transport,
                self.net,
                noise.to(self.device),
                steps,
                cond,
                cumulative=cumulative,
                guidance=guidance,
                null=self.condition([None] * len(categories), cond.context),
                on_step=on_step,
            )

    def condition(
        self, categories: Sequence[str | None], context: Tensor | None = None
    ) -> Condition:
        """What the network is told: B names, or None; and the context (B, L, C), see `carry`."""
        unknown = len(self.categories)
        index = [
            unknown if c is None else self.categories.index(self.category_of(0, c))
            for c in categories
        ]
        labels = torch.tensor(index, device=self.device)
        return Condition(labels, None if context is None else context.to(self.device))

    def check_request(self, seed: int, steps: int, guidance: float, category: str) -> None:
        """Raises ValueError for an unknown category or a number out of range."""
        at_least("seed", seed, 0)
        at_least("steps", steps, 1)
        at_least("guidance", guidance, 0)
        self.category_of(0, category)

    def in_order(
        self,
        indices: Sequence[int],
        size: int,
        draw: Callable[[Sequence[int]], np.ndarray],
        finish: Callable[[int, np.ndarray, float], Made],
    ) -> Iterator[Made]:
        """Makes shapes in the order of `indices`, several at a time: on a CPU one a core.

        torch works with one thread an operation until the last shape is taken.

        Args:
            indices: numbers of the shapes.
            size: of a batch.
            draw: B numbers -> (B, ...), by the network.
            finish: (number, its array, seconds spent) -> shape, by a worker.

        Yields:
            shapes as they are finished.
        """

        def start(part: Sequence[int], pool: ThreadPoolExecutor) -> list[Future[Made]]:
            if self.device.type != "cuda":
                return [pool.submit(whole, i) for i in part]
            begin = time.perf_counter()
            arrays = draw(part)
            spent = (time.perf_counter() - begin) / len(part)
            return [pool.submit(finish, i, a, spent) for i, a in zip(part, arrays, strict=True)]

        def whole(index: int) -> Made:
            begin = time.perf_counter()
            array = draw([index])[0]
            return finish(index, array, time.perf_counter() - begin)

        with single_threaded_torch() as workers, ThreadPoolExecutor(workers) as pool:
            waiting: list[Future[Made]] = []
            try:
                for begin in range(0, len(indices), size):
                    waiting += start(indices[begin : begin + size], pool)
                    ahead = 2 * max(size, workers)
                    while waiting and (waiting[0].done() or len(waiting) > ahead):
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
