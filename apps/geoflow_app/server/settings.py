"""How a shape is made, and the checks of what people ask for."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_STEPS = 2
MAX_STEPS, MAX_COUNT, MAX_SEED = 8, 16, 2**31 - 1


@dataclass(frozen=True)
class ShapeSettings:
    """How a shape is made.

    Attributes:
        steps: network calls.
        guidance: 1 is neutral.
        resolution: cells a side of the grid that the mesh is made of.
        backbone: "grid", or "points" for a shape by way of a cloud.
    """

    steps: int = 1
    guidance: float = 1.0
    resolution: int = 64
    backbone: str = "grid"


def settings_of(
    steps: float, guidance: float, resolution: float, backbone: str = "grid"
) -> ShapeSettings:
    """Checked settings.

    Raises:
        ValueError: a number out of its range.
    """
    if not isinstance(guidance, int | float) or not 0 <= guidance <= 5:
        raise ValueError(f"guidance must be from 0 to 5; got {guidance}; 1 is neutral")
    if resolution not in (64, 128, 256):
        raise ValueError(f"resolution must be 64, 128 or 256; got {resolution}; 64 is fastest")
    calls = whole("steps", steps, 1, MAX_STEPS)
    return ShapeSettings(calls, float(guidance), int(resolution), backbone)


def whole(name: str, value: float | None, least: int, most: int) -> int:
    """A whole number within bounds.

    Raises:
        ValueError: it is missing, no whole number, or outside.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or not number or not least <= value <= most or value != int(value):
        raise ValueError(
            f"{name} must be a whole number from {least} to {most}; got {value}; change it"
        )
    return int(value)
