"""What a checkpoint's config.json says, checked: a wrong value is one line, not a traceback."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from geoflow.flow.transport import Transport, get_transport
from geoflow.model.sampling import SamplingSettings

MOST = 10_000
"""Above any sensible width, depth or side: a damaged number must not fill the memory."""
REMEDY = "copy the checkpoint again"

Positive = Annotated[float, Field(gt=0, lt=1e18)]
Number = Annotated[float, Field(gt=-1e18, lt=1e18)]


class Part(BaseModel):
    """A table of config.json; what it does not know it ignores."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


P = TypeVar("P", bound=Part)


def read_part(config: dict[str, Any], name: str, kind: type[P], *, optional: bool = False) -> P:
    """The table of that name in config.json, checked; `optional`: it may be missing.

    Raises ValueError, which names it, where it or something in it is not what `kind` must be.
    """
    if name not in config and not optional:
        raise ValueError(f"config.json lacks {name}; {REMEDY}")
    table = config.get(name, {})
    must(isinstance(table, dict), name, "a table", table)
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join((name, *map(str, first["loc"])))
        if first["type"] == "missing":
            raise ValueError(f"config.json lacks {path}; {REMEDY}") from None
        what = first["msg"].replace("Input should be", "must be").replace("Value error, ", "")
        what = what if what.startswith("must") else f"must be otherwise: {what}"
        got = _short(first["input"])
        raise ValueError(f"config.json: {path} {what}; got {got}; {REMEDY}") from None


def must(holds: bool, path: str, what: str, value: Any) -> None:
    """Raises ValueError unless a value of config.json is what it must be; shows the start of it."""
    if not holds:
        raise ValueError(f"config.json: {path} must be {what}; got {_short(value)}; {REMEDY}")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


class _SamplingPart(Part):
    lead: Annotated[float, Field(ge=0, lt=1)] = 0.0
    cumulative_calls: Annotated[int, Field(ge=0, le=MOST)] | None = None
    mean_last: bool = False


def read_sampling(config: dict[str, Any]) -> SamplingSettings:
    """The part "sampling" of config.json, which may lack any of it."""
    part = read_part(config, "sampling", _SamplingPart, optional=True)
    return SamplingSettings(**part.model_dump())


class _Arguments(Part):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    noise_std: Positive = 1.0
    data_std: Positive = 1.0
    start: Number = 0.0
    preconditioning: str = "input"


class _TransportPart(Part):
    name: str
    arguments: _Arguments = _Arguments()


def read_transport(config: dict[str, Any]) -> Transport:
    """The part "transport" of config.json; ValueError for an unknown name or a wrong argument."""
    part = read_part(config, "transport", _TransportPart)
    try:
        return get_transport(part.name, **part.arguments.model_dump(exclude_unset=True))
    except ValueError as error:
        raise ValueError(f"config.json: transport: {error}; {REMEDY}") from None


class NetworkPart(Part):
    """The part "network" of config.json."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


def read_network(config: dict[str, Any]) -> NetworkPart:
    """The network's name and arguments."""
    return read_part(config, "network", NetworkPart)


class ClassData(Part):
    """The part "data" of a class-conditional generator.

    Attributes:
        categories: names in the order of the labels; they become parts of file names.
        metres: longest side of each category's shapes.
    """

    categories: list[Annotated[str, Field(pattern=r"^\w[\w .-]*\z")]] = Field(min_length=1)
    metres: list[Positive]

    @field_validator("categories")
    @classmethod
    def _differ(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError("must be different names")
        return names

    @field_validator("metres")
    @classmethod
    def _one_each(cls, metres: list[float], info: ValidationInfo) -> list[float]:
        count = len(info.data.get("categories", metres))
        if len(metres) != count:
            raise ValueError(f"must be {count} numbers, one a category")
        return metres

    @property
    def longest(self) -> dict[str, float]:
        """Category -> metres."""
        return dict(zip(self.categories, self.metres, strict=True))


def check_argument(config: dict[str, Any], key: str, want: int) -> None:
    """Raises ValueError where an argument of the network is not what the data determines."""
    got = read_network(config).arguments.get(key, want)
    good = got == want and not isinstance(got, bool)
    must(good, f"network.arguments.{key}", f"{want}, as data says", got)
