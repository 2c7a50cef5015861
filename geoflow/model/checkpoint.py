"""Checkpoints: safetensors shards and a config.json in one folder; never pickle.

config.json holds what is needed to use the weights (network, transport, data statistics), the name
and the sha256 of every shard, so that a truncated or foreign file is refused with one line. A
shard's name holds a part of its sum: new shards lie beside the old ones until config.json, written
last, names them. So a save that is cut off leaves the checkpoint that was there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from geoflow.checks import one_of
from geoflow.files import write_atomically

FORMAT, VERSION = "geoflow-checkpoint", 1
SHARD_BYTES = 15_500_000
DTYPES = ("float32", "float16", "int8")
Config = dict[str, Any]
Weights = dict[str, Tensor]


def quantise(weights: Weights, dtype: str) -> Weights:
    """Name -> tensor as it is stored: one of DTYPES, vectors float32 under "int8".

    An int8 matrix has a companion `name.scale` (rows,), one scale an output channel. Raises
    ValueError where the dtype is unknown, a weight is too large for it, or one has the name of
    another one's companion.
    """
    one_of("dtype", dtype, DTYPES)
    stored: dict[str, Tensor] = {}
    for name, value in weights.items():
        value = value.detach().cpu().float().contiguous()
        if dtype == "int8" and value.dim() >= 2:
            if f"{name}.scale" in weights:
                raise ValueError(
                    f"int8 weights need the name {name}.scale for the scale of {name}; a weight "
                    "has it; rename that or use float16"
                )
            scale = value.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
            rows = (value.flatten(1) / scale[:, None]).round()
            stored[name], stored[f"{name}.scale"] = rows.to(torch.int8).view(value.shape), scale
        else:
            stored[name] = value.half() if dtype == "float16" else value
            if value.isfinite().all() > stored[name].isfinite().all():
                raise ValueError(
                    f"{name} must fit {dtype}; its largest value does not; use float32"
                )
    return stored


def dequantise(stored: Weights) -> Weights:
    """The inverse of `quantise`, to float32; ValueError where an int8 matrix lacks its scale."""
    weights: dict[str, Tensor] = {}
    scales = {f"{name}.scale" for name, value in stored.items() if value.dtype == torch.int8}
    for name, value in stored.items():
        if value.dtype == torch.int8:
            scale = stored.get(f"{name}.scale")
            if scale is None or scale.shape != value.shape[:1]:
                raise ValueError(
                    f"int8 weights need a scale a row; {name} has none; copy the checkpoint again"
                )
            weights[name] = value.float() * scale.view((-1,) + (1,) * (value.dim() - 1))
        elif name not in scales:
            weights[name] = value.float()
    return weights


def save_checkpoint(folder: Path, config: Config, weights: Weights, dtype: str = "float16") -> None:
    """Writes shards of at most 16 MB, then config.json, then removes shards it does not name.

    The folder is created where missing; `config` is JSON-serialisable, "format", "version" and
    "weights" are added to it; for `dtype` see `quantise`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, Tensor]] = [{}]
    room = SHARD_BYTES
    for name, value in quantise(weights, dtype).items():
        if value.nbytes > room and shards[-1]:
            shards.append({})
            room = SHARD_BYTES
        shards[-1][name] = value
        room -= value.nbytes
    files = {}
    for k, shard in enumerate(shards, 1):
        data = save(shard)
        digest = hashlib.sha256(data).hexdigest()
        name = f"model-{k:05d}-of-{len(shards):05d}-{digest[:12]}.safetensors"
        write_atomically(folder / name, data)
        files[name] = digest
    head = {"format": FORMAT, "version": VERSION}
    full = head | config | {"weights": {"dtype": dtype, "files": files}}
    write_atomically(folder / "config.json", json.dumps(full, indent=2).encode() + b"\n")
    ours = "model-?????-of-?????-????????????.safetensors"  # other people's files stay
    leftovers = {*folder.glob(ours), *folder.glob(".model-*.tmp")}
    for stale in leftovers - {folder / name for name in files}:
        stale.unlink()


def load_checkpoint(folder: Path) -> tuple[Config, Weights, str]:
    """Reads and checks a checkpoint: config, name -> float32 tensor, and a hash of all weights.

    Raises ValueError, of one line: missing, truncated, altered, of another version, or holds NaN.
    """
    config = read_config(folder)
    stored: dict[str, Tensor] = {}
    for name, digest in config["weights"]["files"].items():
        path = folder / Path(name).name
        if not path.is_file():
            raise ValueError(f"checkpoint shard {path} is missing; copy the whole folder again")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise ValueError(
                f"checkpoint shard {path} is truncated or altered (sha256 differs from "
                "config.json); copy it again"
            )
        try:
            stored |= load_file(path)
        except SafetensorError as error:
            raise ValueError(f"checkpoint shard {path} is not safetensors: {error}") from None
    weights = dequantise(stored)
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(
                f"checkpoint {folder} holds NaN or infinity in {name}; use another checkpoint"
            )
    return config, weights, digest_of(config)


def mean_of(checkpoints: Sequence[tuple[Config, Weights]]) -> tuple[Config, Weights]:
    """The mean of the weights of checkpoints of one network, with the config of the first.

    Raises ValueError where they are of different networks or transports.
    """
    config, first = checkpoints[0]
    for other, weights in checkpoints[1:]:
        for key in ("network", "transport"):
            if other.get(key) != config.get(key):
                raise ValueError(
                    f"checkpoints to average must have one {key}; theirs are {config.get(key)} and "
                    f"{other.get(key)}; give runs of one recipe"
                )
        if {n: w.shape for n, w in weights.items()} != {n: w.shape for n, w in first.items()}:
            raise ValueError("checkpoints to average must hold the same weights; they do not")
    if len(checkpoints) == 1:
        return config, first
    return config, {n: torch.stack([w[n] for _, w in checkpoints]).mean(0) for n in first}


def digest_of(config: Config) -> str:
    """A hash of all weights that a config.json names (hex)."""
    return hashlib.sha256("".join(config["weights"]["files"].values()).encode()).hexdigest()


def read_config(folder: Path) -> Config:
    """The config.json of a checkpoint; cheap, and all that a bad request needs.

    Raises ValueError, of one line: missing, no JSON, of another version, or names no weights.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"a checkpoint is a folder with config.json; {folder} has none")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f'{path} must say "format": "{FORMAT}"; it is not a geoflow checkpoint')
    if config.get("version") != VERSION:
        raise ValueError(
            f"checkpoint {folder} has version {config.get('version')}; this geoflow reads version "
            f"{VERSION}; install the geoflow that wrote it"
        )
    weights = config.get("weights")
    files = weights.get("files") if isinstance(weights, dict) else None
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise ValueError(f"{path} lists no weight files; copy the checkpoint again")
    return config


def bundled_folder(name: str) -> Path:
    """Where a bundled checkpoint is: inside the wheel, or at the top of a checkout."""
    here = Path(__file__).parents[1]
    inside = here / "assets"
    return (inside if inside.is_dir() else here.parent / "assets") / "checkpoints" / name


def has_checkpoint(name: str) -> bool:
    """Whether the bundled checkpoint of that name is part of this installation."""
    return (bundled_folder(name) / "config.json").is_file()


def checkpoint_folder(name: str | Path, bundled: Sequence[str]) -> Path:
    """The folder of a bundled checkpoint, or the one that is named: a checkpoint, or a run.

    A Path is always a folder. Raises ValueError where `name` is neither a folder nor one of
    `bundled`, or the checkpoint was left out of this installation.
    """
    folder = Path(name)
    if isinstance(name, str) and name in bundled:
        folder = bundled_folder(name)
        if not folder.is_dir():
            raise ValueError(
                f"checkpoint {name} is not part of this installation; give a folder (--checkpoint)"
            )
    if not folder.is_dir():
        raise ValueError(
            f"checkpoint must be {' or '.join(['a folder', *bundled])}; {str(name)!r} is not"
        )
    inner = folder / "checkpoint"
    return inner if (inner / "config.json").is_file() else folder
