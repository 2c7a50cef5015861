"""From a name or a folder to the model that it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from geoflow.clouds.model import PointGenerator
from geoflow.joints.model import JointPredictor
from geoflow.model.checkpoint import checkpoint_folder, load_checkpoint, read_config
from geoflow.model.config import read_network
from geoflow.model.device import pick_device
from geoflow.model.model import FlowModel
from geoflow.shapes.model import LatentGenerator, ObjectGenerator
from geoflow.surface.model import SurfaceModel

MODELS: dict[str, type[FlowModel]] = {
    "meshes": ObjectGenerator,
    "meshes by way of latents": LatentGenerator,
    "clouds": PointGenerator,
    "joints": JointPredictor,
    "a surface": SurfaceModel,
}
"""What a checkpoint may make, and the model that does."""
BUNDLED = ("objects", "points", "characters")

M = TypeVar("M", bound=FlowModel)


def load(
    name: str | Path = "objects",
    device: str = "auto",
    kinds: tuple[type[M], ...] = tuple(MODELS.values()),
) -> M:
    """Loads a bundled checkpoint by name, or one from a folder.

    Args:
        name: "objects", "points", "characters", or a folder: a checkpoint, or a training run. A
            folder that is called like a bundled checkpoint is "./objects", or a Path.
        device: "auto", "cpu" or "cuda".
        kinds: models that it may be.

    Raises:
        ValueError: unknown name, a broken checkpoint, one of another kind, or no such device; one
            line.
    """
    folder = checkpoint_folder(name, BUNDLED)
    kind, where = _kind_of(read_config(folder), name, kinds), pick_device(device)
    return kind(*load_checkpoint(folder), where)


def config_of(name: str | Path, kinds: tuple[type[M], ...]) -> dict[str, Any]:
    """The config.json of what `load` would load, without its weights; checked in the same way."""
    config = read_config(checkpoint_folder(name, BUNDLED))
    _kind_of(config, name, kinds)
    return config


def _kind_of(config: dict[str, Any], name: str | Path, kinds: tuple[type[M], ...]) -> type[M]:
    network = read_network(config).name
    for kind in MODELS.values():
        if kind.network == network and issubclass(kind, kinds):
            return kind
    made = {model.network: what for what, model in MODELS.items()}
    want = " or ".join(made[kind.network] for kind in kinds)
    has = f"makes {made[network]}" if network in made else f"holds the network {network!r}"
    raise ValueError(f"checkpoint must be one that makes {want}; {str(name)!r} {has}; give another")


def load_generator(
    name: str | Path = "objects", device: str = "auto"
) -> ObjectGenerator | PointGenerator:
    """Loads a generator, of meshes or of clouds, see `load`."""
    return load(name, device, (ObjectGenerator, PointGenerator))


def load_joint_predictor(name: str | Path = "characters", device: str = "auto") -> JointPredictor:
    """Loads a joint predictor, see `load`."""
    return load(name, device, (JointPredictor,))


def load_surface(run: str | Path, device: str = "auto") -> SurfaceModel:
    """Loads what `geoflow train shape-distribution` made, see `load`."""
    return load(run, device, (SurfaceModel,))
