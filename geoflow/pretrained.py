"""From a name or a folder to the model it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from geoflow.clouds.model import PointGenerator
from geoflow.joints.model import JointPredictor
from geoflow.model.checkpoint import checkpoint_folder, load_checkpoint
from geoflow.model.config import network_name
from geoflow.model.device import pick_device
from geoflow.shapes.model import ObjectGenerator
from geoflow.surface.model import PointDistribution

BUNDLED = ("objects", "points")
BUNDLED_JOINTS = ("characters",)


@overload
def load_generator(
    name: str | Path = ..., device: str = ..., backbone: None = None
) -> ObjectGenerator | PointGenerator: ...
@overload
def load_generator(name: str | Path, device: str, backbone: Literal["grid"]) -> ObjectGenerator: ...
@overload
def load_generator(
    name: str | Path, device: str, backbone: Literal["points"]
) -> PointGenerator: ...


def load_generator(
    name: str | Path = "objects", device: str = "auto", backbone: str | None = None
) -> ObjectGenerator | PointGenerator:
    """Loads a bundled checkpoint by name, or one from a folder: of meshes, or of clouds.

    Args:
        name: "objects", "points", or a folder with config.json (a training run's `checkpoint`). A
            folder that is called like a bundled checkpoint is "./objects", or a Path.
        device: "auto", "cpu" or "cuda".
        backbone: what it must be, "grid" or "points"; None takes both.

    Raises:
        ValueError: unknown name, a broken checkpoint, one of another backbone, or no such device;
            one line.
    """
    config, weights, digest = load_checkpoint(checkpoint_folder(name, BUNDLED))
    points = network_name(config) == PointGenerator.network
    kind = PointGenerator if points else ObjectGenerator
    if backbone not in (None, kind.backbone):
        raise ValueError(
            f"checkpoint must be of the backbone {backbone}; {str(name)!r} is of {kind.backbone}"
        )
    return kind(config, weights, digest, pick_device(device))


def load_joint_predictor(name: str | Path = "characters", device: str = "auto") -> JointPredictor:
    """Loads a bundled joint predictor by name, or one from a folder.

    Args:
        name: "characters", or a folder with config.json (a training run's `checkpoint`).
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: unknown name, a broken checkpoint, or no such device; one line.
    """
    config, weights, digest = load_checkpoint(checkpoint_folder(name, BUNDLED_JOINTS))
    return JointPredictor(config, weights, digest, pick_device(device))


def load_distribution(run: str | Path, device: str = "auto") -> PointDistribution:
    """What `geoflow distribution fit` wrote.

    Args:
        run: its folder, or the folder `checkpoint` in it.
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: no such run, a broken one, or one of something else.
    """
    folder = Path(run)
    inner = folder / "checkpoint"
    where = inner if (inner / "config.json").is_file() else folder
    if not (where / "config.json").is_file():
        raise ValueError(f"RUN must be a folder that geoflow distribution fit wrote; {run} is not")
    config, weights, _ = load_checkpoint(where)
    return PointDistribution(config, weights, pick_device(device))
