"""Shapes of categories, made on request: meshes or clouds, one by one and in order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from geoflow.checks import at_least, one_of
from geoflow.model.batches import in_order

ATTEMPTS = 4  # noises that are tried for a shape


@dataclass(frozen=True)
class Request:
    """What shapes are asked for; shape i depends on (seed, i) and the rest alone.

    Attributes:
        steps: network calls for each, at least 1.
        category: one of the maker's `categories`, or "all" for each in turn.
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

    @property
    def size(self) -> float:
        """Of a shape in usual ones."""
        return 1.0


@dataclass(frozen=True)
class Made:
    """One generated shape.

    Attributes:
        index: its number; with the seed it determines the shape.
        category: what was asked for.
        seconds: spent on it; where a batch is drawn at once, its share.
    """

    index: int
    category: str
    seconds: float

    def trimesh(self) -> Any:
        """A trimesh.Trimesh or trimesh.PointCloud; `metadata` holds category and index."""
        raise NotImplementedError

    @property
    def metadata(self) -> dict[str, Any]:
        return {"category": self.category, "index": self.index}


def category_among(categories: Sequence[str], name: str) -> str:
    """The category of that name, in any case; ValueError lists them where there is none."""
    known = {category.casefold(): category for category in categories}
    if name.casefold() not in known:
        one_of("category", name, categories)
    return known[name.casefold()]


class Maker:
    """Makes shapes of categories.

    Attributes:
        asks, made: the `Request` that it takes, the `Made` that it gives.
        device: where shapes are drawn.
        metres: category -> longest side of its shapes, in the order of the labels.
    """

    asks: ClassVar[type[Any]] = Request
    made: ClassVar[Any] = Made
    device: torch.device
    metres: dict[str, float]

    @property
    def categories(self) -> list[str]:
        """In the order of the labels."""
        return list(self.metres)

    def category_of(self, index: int, category: str = "all") -> str:
        """The category of shape `index`: "all" takes them in turn, see `category_among`."""
        if category == "all":
            return self.categories[index % len(self.categories)]
        return category_among(self.categories, category)

    def batch_size(self, usual: float = 1.0) -> int:
        """Shapes a network call, for shapes of a size in usual ones."""
        raise NotImplementedError

    def draw(self, part: Sequence[int], names: list[str], asked: Any, attempt: int) -> Tensor:
        """Arrays of the shapes of these numbers and categories, by the network."""
        raise NotImplementedError

    def usable(self, array: np.ndarray) -> bool:
        """Whether one of these arrays is a shape; if not it is drawn again from fresh noise."""
        return True

    def finish(self, index: int, array: np.ndarray, name: str, asked: Any) -> Any:
        """The mesh or cloud of the array of shape `index`, in metres."""
        raise NotImplementedError

    def stream(self, indices: Sequence[int], **request: Any) -> Iterator[Any]:
        """Makes shapes in the order of `indices`, several at a time, each a `Made`.

        A request has the fields of a `Request`, and of meshes `resolution`, of clouds `points`.
        Raises ValueError for an unknown category, a number out of range, or a cloud that is not
        finite or that no surface can be made of.
        """
        asked: Request = self.asks(**request)
        self.category_of(0, asked.category)

        def draw(part: Sequence[int], attempt: int = 0) -> np.ndarray:
            names = [self.category_of(i, asked.category) for i in part]
            return self.draw(part, names, asked, attempt).cpu().numpy()

        def finish(index: int, array: np.ndarray, spent: float) -> Made:
            begin, attempt = time.perf_counter(), 0
            while not self.usable(array) and attempt < ATTEMPTS - 1:
                attempt += 1
                array = draw([index], attempt)[0]
            name = self.category_of(index, asked.category)
            shape = self.finish(index, array, name, asked)
            return self.made(index, name, spent + time.perf_counter() - begin, shape)

        size, on_gpu = self.batch_size(asked.size), self.device.type == "cuda"
        return in_order(indices, size, draw, finish, on_gpu=on_gpu)

    def generate(self, n: int = 1, **request: Any) -> list[Any]:
        """Generates n shapes: generate(4, category="chair", steps=2, seed=0).

        Args:
            n: how many, at least 1.
            request: see `stream`.

        Returns:
            trimesh.Trimesh (closed meshes) or trimesh.PointCloud objects in metres, y up, facing
            +z, feet on y = 0, the longest side of the box around them that of the category;
            `metadata` holds category and index.

        Raises:
            ValueError: as `stream`.
        """
        at_least("n", n, 1)
        return [shape.trimesh() for shape in self.stream(range(n), **request)]
