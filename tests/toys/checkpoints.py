"""Networks that need no training, or little."""

import dataclasses
from pathlib import Path

import torch

from geoflow.joints.data import CharacterSource
from geoflow.joints.model import JointPredictor
from geoflow.model.checkpoint import save_checkpoint
from geoflow.networks import build_network
from geoflow.recipes import get_recipe
from geoflow.training.recipe import set_fields
from geoflow.training.trainer import Trainer, start_processes
from toys.bodies import toy

METRES = {"chair": 1.0, "lamp": 0.5, "vase": 0.25}


SMALL = {"width": 64, "latents": 16, "rounds": 2, "hidden": 64, "point_hidden": 64}


def standing_shape(size: int) -> torch.Tensor:
    """A pole on a wide foot, y up, as a truncated distance in [-1, 1]."""
    axis = -1 + (torch.arange(size) + 0.5) * 2 / size
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    foot = torch.stack((x / 0.5, (y + 0.5) / 0.3, z / 0.4)).norm(dim=0) - 1
    pole = torch.stack((x / 0.22, y / 0.85, z / 0.22)).norm(dim=0) - 1
    return (torch.minimum(foot, pole) * 0.75).clamp(-1, 1)


def write_tiny(folder: Path, *, spoil: float | None = None, cloud: bool = False) -> Path:
    """One token over a 16^3 grid: the head's bias is the shape, its weights bend it smoothly."""
    size, generator = 16, torch.Generator().manual_seed(0)
    arguments = {"resolution": size, "patch": size, "overlap": 0, "width": 64, "depth": 1,
                 "hidden": 64, "bottleneck": 16, "categories": len(METRES),
                 "cloud": cloud}  # fmt: skip
    torch.manual_seed(0)
    net = build_network("GridTransformer", **arguments)
    shape = standing_shape(size)
    mean, std = float(shape.mean()), float(shape.std())
    axis = torch.linspace(-1, 1, size)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    bends = torch.stack((x, z, x * x, y * y, z * z, x * y), -1).reshape(size**3, -1)
    with torch.no_grad():
        net.head.bias.copy_(((shape - mean) / std).flatten())
        net.head.weight.copy_(0.02 * bends @ torch.randn(6, 64, generator=generator))
        net.final_modulation.weight.copy_(0.3 * torch.randn(128, 64, generator=generator))
        if spoil is not None:
            net.head.bias[7] = spoil
    config = {
        "network": {"name": "GridTransformer", "arguments": arguments},
        "transport": {"name": "x1-FM", "arguments": {"noise_std": 4.0}},
        "data": {"categories": list(METRES), "metres": list(METRES.values()), "resolution": size,
                 "truncation": 0.4, "mean": mean, "std": std},
    }  # fmt: skip
    save_checkpoint(folder, config, net.state_dict(), "float32")
    return folder


def trainer_of(recipe, **changes):
    """A small trainer of a recipe of joints, on 16 stick figures."""
    values = {"batch": 8, "warmup": 10, "ema": 0.95, "cumulative_ema": 0.95, "learning_rate": 2e-3}
    settings = [f"{name}={value}" for name, value in (values | changes).items()]
    recipe = set_fields(dataclasses.replace(get_recipe(recipe), network_arguments=SMALL), settings)
    source = CharacterSource(
        [toy(k) for k in range(16)], torch.device("cpu"), size=128, augment=False
    )
    return Trainer(recipe, source, 0, start_processes(torch.device("cpu")))


def predictor_of(trainer):
    return JointPredictor(trainer.config(), trainer.ema.state_dict(), "", torch.device("cpu"))
