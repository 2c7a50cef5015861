"""One thread a worker, no GPU tests without a GPU, and a points checkpoint without training."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from geoflow.model.checkpoint import save_checkpoint
from geoflow.networks import build_network

METRES = {"chair": 1.0, "lamp": 0.5, "vase": 0.25}
ARGUMENTS = {"width": 64, "latents": 8, "rounds": 1, "blocks": 1, "hidden": 32,
             "point_hidden": 32, "categories": 3}  # fmt: skip


def pytest_configure() -> None:
    """Two workers with two threads each on two cores would mostly wait for one another."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


def _write(folder: Path, transport: str = "EDM") -> Path:
    """A network of random weights: no shapes, but clouds that depend on all they should."""
    torch.manual_seed(0)
    net = build_network("PointTransformer", **ARGUMENTS)
    with torch.no_grad():
        net.head.weight.normal_(std=0.2)
        net.modulation.weight.normal_(std=0.2)
        net.label.weight.normal_()
    config = {
        "kind": "objects-points",
        "network": {"name": "PointTransformer", "arguments": ARGUMENTS},
        "transport": {"name": transport, "arguments": {}},
        "data": {"categories": list(METRES), "metres": list(METRES.values()), "points": 64,
                 "std": 0.4},
    }  # fmt: skip
    save_checkpoint(folder, config, net.state_dict(), "float32")
    return folder


@pytest.fixture(scope="session")
def write_tiny_points() -> Callable[..., Path]:
    """(folder, transport="EDM") -> the folder, with a checkpoint of chairs, lamps and vases."""
    return _write


@pytest.fixture(scope="session")
def tiny_points(tmp_path_factory) -> Path:
    """Folder of such a checkpoint, EDM."""
    return _write(tmp_path_factory.mktemp("points") / "checkpoint")
