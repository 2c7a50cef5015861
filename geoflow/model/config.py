"""What a checkpoint's config.json says, checked: a wrong value is one line, not a traceback."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geoflow.flow.condition import Net
from geoflow.flow.sampling import sample, time_grid
from geoflow.flow.transport import Transport, get_transport

MOST = 10_000
"""Above any sensible width, depth or side: a damaged number must not fill the memory."""


@dataclass(frozen=True)
class SamplingSettings:
    """How a checkpoint is to be sampled.

    Attributes:
        shift, lead: of the time grid, see geoflow.flow.sampling.time_grid; `lead` where the map is
            folded.
        cumulative_calls: fold the map up to so many calls; None always.
        mean_last: see geoflow.flow.sampling.sample.
    """

    shift: float = 1.0
    lead: float = 0.0
    cumulative_calls: int | None = None
    mean_last: bool = False

    def sample(
        self,
        transport: Transport,
        net: Net,
        noise: Tensor,
        steps: int,
        cond: Any = None,
        *,
        cumulative: bool | None = None,
        **options: Any,
    ) -> Tensor:
        """Carries noise to data in `steps` calls the way these settings say.

        Args:
            cumulative: None does as `cumulative_calls` says.
            transport, net, noise, cond, options: see geoflow.flow.sampling.sample.
        """
        if cumulative is None:
            cumulative = self.cumulative_calls is None or steps <= self.cumulative_calls
        lead = self.lead if cumulative else 0.0
        return sample(
            transport,
            net,
            noise,
            time_grid(transport, steps, shift=self.shift, lead=lead),
            cond,
            cumulative=cumulative,
            mean_last=self.mean_last,
            **options,
        )


@dataclass(frozen=True)
class GridSettings:
    """What the grids of a class-conditional generator mean, and how they are to be sampled.

    Attributes:
        metres: category -> longest side of its shapes, in the order of the labels.
        resolution: cells a side.
        truncation, mean, std: a grid's values are (SDF / truncation - mean) / std.
        sampling: see `SamplingSettings`.
    """

    metres: dict[str, float]
    resolution: int
    truncation: float
    mean: float
    std: float
    sampling: SamplingSettings = SamplingSettings()


@dataclass(frozen=True)
class PointSettings:
    """What the clouds of a class-conditional generator mean, and how they are to be sampled.

    Attributes:
        metres, sampling: see `GridSettings`.
        points: of a cloud in training.
        std: a cloud's values are cube units / std.
    """

    metres: dict[str, float]
    points: int
    std: float
    sampling: SamplingSettings = SamplingSettings()


def read_grid_settings(config: dict[str, Any]) -> GridSettings:
    """The parts "data" and "sampling" of config.json.

    Raises:
        ValueError: one is missing or not what it must be.
    """
    metres = _read_metres(config)
    resolution = _get(config, "data.resolution")
    _must(_is_whole(resolution, 2), "data.resolution", f"a whole number, 2 to {MOST}", resolution)
    _agree(config, "resolution", resolution)
    return GridSettings(
        metres=metres,
        resolution=resolution,
        truncation=_number(config, "data.truncation", above=0),
        mean=_number(config, "data.mean"),
        std=_number(config, "data.std", above=0),
        sampling=read_sampling(config),
    )


def read_point_settings(config: dict[str, Any]) -> PointSettings:
    """The parts "data" and "sampling" of config.json.

    Raises:
        ValueError: one is missing or not what it must be.
    """
    metres = _read_metres(config)
    points = _get(config, "data.points")
    _must(_is_whole(points, 1), "data.points", f"a whole number, 1 to {MOST}", points)
    std = _number(config, "data.std", above=0)
    return PointSettings(metres, points, std, read_sampling(config))


def _read_metres(config: dict[str, Any]) -> dict[str, float]:
    """Category -> longest side, as many as the network has labels."""
    names = _get(config, "data.categories")
    good = isinstance(names, list) and len(set(map(str, names))) == len(names) > 0
    # Names become parts of file names.
    good = good and all(isinstance(c, str) and re.fullmatch(r"\w[\w .-]*", c) for c in names)
    _must(good, "data.categories", "different names of letters, digits and . - _", names)
    metres = _get(config, "data.metres")
    good = isinstance(metres, list) and len(metres) == len(names)
    good = good and all(_is_number(m) and m > 0 for m in metres)
    _must(good, "data.metres", f"{len(names)} positive numbers, one a category", metres)
    _agree(config, "categories", len(names))
    return {name: float(m) for name, m in zip(names, metres, strict=True)}


def _agree(config: dict[str, Any], key: str, want: int) -> None:
    """An argument of the network that data determines, where it is given."""
    arguments = _get(config, "network.arguments")
    got = arguments.get(key, want) if isinstance(arguments, dict) else want
    _must(got == want, f"network.arguments.{key}", f"{want}, as data says", got)


def read_sampling(config: dict[str, Any]) -> SamplingSettings:
    """The part "sampling" of config.json, which may lack any of it.

    Raises:
        ValueError: something in it is not what it must be.
    """
    calls = _get(config, "sampling.cumulative_calls", None)
    what = f"null or a whole number, 0 to {MOST}"
    _must(calls is None or _is_whole(calls, 0), "sampling.cumulative_calls", what, calls)
    lead = _number(config, "sampling.lead", 0.0)
    _must(0 <= lead < 1, "sampling.lead", "at least 0 and below 1", lead)
    mean_last = _get(config, "sampling.mean_last", False)
    _must(isinstance(mean_last, bool), "sampling.mean_last", "true or false", mean_last)
    shift = _number(config, "sampling.shift", 1.0, above=0)
    return SamplingSettings(shift, lead, calls, mean_last)


def read_transport(config: dict[str, Any]) -> Transport:
    """The part "transport" of config.json.

    Raises:
        ValueError: an unknown name or a wrong argument.
    """
    name, arguments = _get(config, "transport.name"), _get(config, "transport.arguments", {})
    _must(isinstance(name, str), "transport.name", "a string", name)
    known = {"noise_std", "data_std", "start", "preconditioning"}
    unknown = sorted(_table("transport.arguments", arguments).keys() - known)
    _must(not unknown, "transport.arguments", f"some of {', '.join(sorted(known))}", unknown)
    for key, value in arguments.items():
        _must(
            isinstance(value, str) if key == "preconditioning" else _is_number(value),
            f"transport.arguments.{key}",
            "a name" if key == "preconditioning" else "a finite number",
            value,
        )
    return get_transport(name, **arguments)


def network_name(config: dict[str, Any]) -> str:
    """The network of config.json.

    Raises:
        ValueError: it is missing or no name.
    """
    name = _get(config, "network.name")
    _must(isinstance(name, str), "network.name", "a string", name)
    return name


_REMEDY = "copy the checkpoint again"
_REQUIRED = object()


def _get(config: dict[str, Any], path: str, default: Any = _REQUIRED) -> Any:
    """The value at "part.key"."""
    part, key = path.split(".")
    if part not in config and default is _REQUIRED:
        raise ValueError(f"config.json lacks {part}; {_REMEDY}")
    table = _table(part, config.get(part, {}))
    if key not in table and default is _REQUIRED:
        raise ValueError(f"config.json lacks {path}; {_REMEDY}")
    return table.get(key, default)


def _must(holds: bool, path: str, what: str, value: Any) -> None:
    if not holds:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise ValueError(f"config.json: {path} must be {what}; got {shown}; {_REMEDY}")


def _table(path: str, value: Any) -> dict[str, Any]:
    _must(isinstance(value, dict), path, "a table", value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST


def _number(
    config: dict[str, Any],
    path: str,
    default: Any = _REQUIRED,
    *,
    above: float = -math.inf,
) -> float:
    value = _get(config, path, default)
    what = "a finite number" if above == -math.inf else f"a finite number above {above:g}"
    _must(_is_number(value) and value > above, path, what, value)
    return float(value)
