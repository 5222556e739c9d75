"""Scales: from values to places along an axis, with ticks at round values."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["Categories", "Linear", "Log", "Scale", "Tick", "duration_scale", "scale_for"]

_ROUND: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Steps between ticks, times a power of ten (Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990)."""

_SPARE: Final = 0.04
"""Share of the values' range that stays free at either end, so that no mark is cut off."""


class Tick(NamedTuple):
    """A value at which an axis has a label."""

    value: float
    label: str


class Scale(ABC):
    """A map from values to the unit interval: 0 at the axis's start, 1 at its end."""

    @abstractmethod
    def unit(self, value: float) -> float:
        """Return the place of a value."""

    @abstractmethod
    def ticks(self, most: int) -> list[Tick]:
        """Return at most `most` ticks within the scale, at rising values."""


@dataclass(frozen=True)
class Linear(Scale):
    """Equal steps for equal differences, from `low` to `high`. unit_size: values are labelled in units of this size."""

    low: float
    high: float
    unit_size: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"high must be > low ({self.low}, {self.high})")

    @classmethod
    def around(cls, values: Iterable[float], *, at_least: float = 0.0, unit_size: float = 1.0) -> Linear:
        """Return a scale that holds all values with some space at the ends.

        at_least: the smallest difference between the ends.
        """
        low, high = _extremes(values)
        spare = max((high - low) * _SPARE, (at_least - (high - low)) / 2)
        if spare <= 0 or not low - spare < high + spare:  # all values are equal, or nearly
            spare = max(abs(low), abs(high)) * 0.05 or 0.5
        return cls(low - spare, high + spare, unit_size)

    def unit(self, value: float) -> float:
        """Return the place of a value."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[Tick]:
        """Return ticks at multiples of a round step."""
        low, high = self.low / self.unit_size, self.high / self.unit_size
        for step in _steps((high - low) / max(most, 1)):
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if last - first + 1 <= most:
                break
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        places += round(step * 10**places, 6) % 1 != 0
        values = [index * step for index in range(first, last + 1)]
        labels = [_label(value, places, step) for value in values]
        inside = [min(max(value * self.unit_size, self.low), self.high) for value in values]
        return [Tick(value, label) for value, label in zip(inside, labels, strict=True)]


@dataclass(frozen=True)
class Log(Scale):
    """Equal steps for equal factors, from `low` to `high`, both above 0."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"low must be > 0 and high > low ({self.low}, {self.high})")

    @classmethod
    def around(cls, values: Iterable[float]) -> Log:
        """Return a scale that holds all values, which must be > 0, with some space at the ends."""
        low, high = _extremes(values)
        spare = max((math.log(high) - math.log(low)) * _SPARE, math.log(1.05))
        factor = math.exp(spare)
        return cls(low / factor, min(high * factor, sys.float_info.max))

    def unit(self, value: float) -> float:
        """Return the place of a value > 0."""
        low = math.log(self.low)
        return (math.log(value) - low) / (math.log(self.high) - low)

    def ticks(self, most: int) -> list[Tick]:
        """Return ticks at powers of ten, between them at 2 and 5 or at 3 if there is room."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        inside: list[float] = []
        for factors in ((1, 2, 5), (1, 3), (1,)):
            values = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) <= most:
                break
        if len(inside) < 2 and most >= 2:  # less than a decade: round values of the linear kind
            return Linear(self.low, self.high).ticks(most)
        every = math.ceil(len(inside) / max(most, 1))
        return [Tick(value, _log_label(value)) for value in inside[::every]]


@dataclass(frozen=True)
class Categories(Scale):
    """Bands, one for each name; a value is a name's index."""

    names: Sequence[str]

    def unit(self, value: float) -> float:
        """Return the middle of a band, for whole values."""
        return (value + 0.5) / max(len(self.names), 1)

    @property
    def band(self) -> float:
        """The width of a band."""
        return 1 / max(len(self.names), 1)

    def ticks(self, most: int) -> list[Tick]:
        """Return a tick for each name, or for every second, third and so on if there are more than `most`."""
        every = math.ceil(len(self.names) / max(most, 1)) or 1
        return [Tick(float(index), name) for index, name in enumerate(self.names) if index % every == 0]


def scale_for(values: Sequence[float], *, is_log: bool) -> Scale:
    """Return a scale that holds all values; it is linear if one is not above 0, or too small to have all its digits."""
    has_log = is_log and values and min(values) >= sys.float_info.min
    return Log.around(values) if has_log else Linear.around(values)


def duration_scale(seconds: Iterable[float]) -> tuple[Linear, str]:
    """Return a scale for durations that begins at 0, and the unit of its labels: `s`, `min` or `h`."""
    longest = max(seconds, default=0.0) or 1.0
    unit, size = next(
        (unit, size) for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0)) if longest >= 2 * size or size == 1
    )
    return Linear(0.0, longest * (1 + _SPARE), size), unit


def _extremes(values: Iterable[float]) -> tuple[float, float]:
    known = [value for value in values if math.isfinite(value)]
    return (min(known), max(known)) if known else (0.0, 1.0)


def _steps(smallest: float) -> Iterable[float]:
    """Yield round steps, rising, from the largest that is not above `smallest`."""
    power = math.floor(math.log10(smallest)) if smallest > 0 else 0
    while True:
        for step in _ROUND[:-1]:
            if step * 10.0**power >= smallest * (1 - 1e-9):
                yield step * 10.0**power
        power += 1


def _label(value: float, places: int, step: float) -> str:
    """Return a value as text. places: after the point; of a value from a million on, all digits down to the step's."""
    if abs(value) >= 1e6:
        digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(step)) + 2  # a step has two, such as 2.5
        return f"{value:.{max(3, digits)}g}"
    text = f"{value:,.{places}f}"
    return "0" if not text.strip("-0.,") else text


def _log_label(value: float) -> str:
    return f"{value:g}" if 1e-3 <= value < 1e5 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
