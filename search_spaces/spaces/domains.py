"""Domains: the values that a name may take, mapped to the unit interval from which samplers draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias, TypeGuard

from search_spaces.recipes import Value, same

_BELOW_ONE: Final = math.nextafter(1.0, 0.0)
_LARGEST_INTEGER: Final = 2**52


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class DomainError(ValueError):
    """An impossible domain: `field` is the faulty part of it, `value` what was received there."""

    def __init__(self, field: str, rule: str, value: object) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule
        self.value = value


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A domain with only one value."""

    value: Value
    default: Value | None = None

    def __post_init__(self) -> None:
        _check_default(self)

    @property
    def size(self) -> int | None:
        """The number of values, always 1."""
        return 1

    def value_at(self, _index: int) -> Value:
        """Return the only value."""
        return self.value

    def contains(self, value: object) -> bool:
        """Return whether `value` is in the domain."""
        return same(self.value, value)

    def from_unit(self, _unit: float) -> Value:
        """Return the only value, whatever the number."""
        return self.value

    def to_unit(self, value: Value) -> float:
        """Return a number from 0 to below 1 that `from_unit` maps to `value`.

        Raises:
            ValueError: `value` is not in the domain.
        """
        _require_contained(self, value)
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A list of different values, each equally likely."""

    values: tuple[Value, ...]
    default: Value | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise DomainError("values", "must contain at least one value", list(self.values))
        for i, value in enumerate(self.values):
            if any(same(value, earlier) for earlier in self.values[:i]):
                raise DomainError("values", "must not contain a value twice", value)
        _check_default(self)

    @property
    def size(self) -> int | None:
        """The number of values."""
        return len(self.values)

    def value_at(self, index: int) -> Value:
        """Return the value number `index`, counted from 0."""
        return self.values[index]

    def contains(self, value: object) -> bool:
        """Return whether `value` is in the domain."""
        return any(same(value, member) for member in self.values)

    def from_unit(self, unit: float) -> Value:
        """Return the value for a number from 0 (included) to 1."""
        return self.values[_index(unit, len(self.values))]

    def to_unit(self, value: Value) -> float:
        """Return a number from 0 to below 1 that `from_unit` maps to `value`.

        Raises:
            ValueError: `value` is not in the domain.
        """
        _require_contained(self, value)
        index = next(i for i, member in enumerate(self.values) if same(member, value))
        return (index + 0.5) / len(self.values)


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `min` to `max`, both included: uniform, or uniform in the logarithm if `log` is true.

    With `integer`, only whole numbers are drawn; with `step`, only `min`, `min + step`, and so on. The default is
    rounded to the closest of these.
    """

    min: float
    max: float
    log: bool = False
    step: float | None = None
    integer: bool = False
    default: Value | None = None

    def __post_init__(self) -> None:
        self._check_bounds()
        if self.log and self.min <= 0:
            raise DomainError("min", "must be > 0 if log is true", self.min)
        if self.step is not None:
            self._check_step()
        _check_default(self)
        if self.default is not None and self.size is not None:
            assert isinstance(self.default, int | float)
            object.__setattr__(self, "default", self.value_at(self._index_of(self.default)))

    def _check_bounds(self) -> None:
        for field, bound in (("min", self.min), ("max", self.max)):
            if not _is_number(bound):
                raise DomainError(field, "must be a finite number", bound)
            if self.integer and (type(bound) is not int or abs(bound) > _LARGEST_INTEGER):
                raise DomainError(field, "must be an integer", bound)
        if self.max <= self.min:
            raise DomainError("max", "must be > min", self.max)

    def _check_step(self) -> None:
        if self.log:
            raise DomainError("step", "must not be given if log is true", self.step)
        if not _is_number(self.step) or not 0 < self.step <= self.max - self.min:
            raise DomainError("step", f"must be > 0 and at most max - min, {self.max - self.min}", self.step)
        if self.integer and type(self.step) is not int:
            raise DomainError("step", "must be an integer", self.step)

    @property
    def _step(self) -> float:
        return 1 if self.step is None else self.step

    @property
    def size(self) -> int | None:
        """The number of values; None if the range is continuous."""
        if not self.integer and self.step is None:
            return None
        # In decimals, because 0.3 is three steps of 0.1, and not so in binary floats.
        return int((_decimal(self.max) - _decimal(self.min)) / _decimal(self._step)) + 1

    def value_at(self, index: int) -> Value:
        """Return the value number `index`, counted from 0, of a range that is not continuous."""
        value = _decimal(self.min) + index * _decimal(self._step)
        return int(value) if self.integer else float(value)

    def _index_of(self, value: float) -> int:
        return round((value - self.min) / self._step)

    def contains(self, value: object) -> bool:
        """Return whether `value` is in the domain."""
        if not _is_number(value):
            return False
        count = self.size
        if count is None:
            return self.min <= value <= self.max
        if not self.min - self._step < value < self.max + self._step:
            return False
        index = self._index_of(value)
        if not 0 <= index < count:
            return False
        nearest = self.value_at(index)
        assert isinstance(nearest, int | float)
        return value == nearest if self.integer else math.isclose(value, nearest, rel_tol=1e-9, abs_tol=1e-12)

    def from_unit(self, unit: float) -> Value:
        """Return the value for a number from 0 (included) to 1."""
        count = self.size
        if count is None:
            return self._continuous(unit)
        if not self.log:
            return self.value_at(_index(unit, count))
        # Each integer has the interval from 0.5 below it to 0.5 above it.
        low, high = math.log(self.min - 0.5), math.log(self.max + 0.5)
        return min(max(round(math.exp(low + unit * (high - low))), int(self.min)), int(self.max))

    def _continuous(self, unit: float) -> float:
        if unit == 0:
            return float(self.min)  # the logarithm's exponential may miss it
        if self.log:
            low, high = math.log(self.min), math.log(self.max)
            value = math.exp(low + unit * (high - low))
        else:
            value = self.min + unit * (self.max - self.min)
        return min(max(value, float(self.min)), float(self.max))

    def to_unit(self, value: Value) -> float:
        """Return a number from 0 to below 1 that `from_unit` maps to `value`.

        Raises:
            ValueError: `value` is not in the domain.
        """
        _require_contained(self, value)
        assert isinstance(value, int | float)
        count = self.size
        if count is not None and not self.log:
            return (self._index_of(value) + 0.5) / count
        if self.log:
            margin = 0.5 if self.integer else 0.0
            low, high = math.log(self.min - margin), math.log(self.max + margin)
            unit = (math.log(value) - low) / (high - low)
        else:
            unit = (value - self.min) / (self.max - self.min)
        return min(max(unit, 0.0), _BELOW_ONE)


Domain: TypeAlias = Fixed | Choice | Range


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


def _index(unit: float, count: int) -> int:
    return min(int(unit * count), count - 1)


def _check_default(domain: Domain) -> None:
    if domain.default is not None and not domain.contains(domain.default):
        raise DomainError("default", "must lie in the domain", domain.default)


def _require_contained(domain: Domain, value: Value) -> None:
    if not domain.contains(value):
        raise ValueError(f"must lie in {domain} ({value!r})")
