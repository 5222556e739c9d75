"""Describe a space for people: each entry with its domain, its default and the conditions under which it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.recipes import Value
from search_spaces.spaces.domains import Choice, Domain, Fixed
from search_spaces.spaces.space import Entry, Space, default_value

__all__ = ["conditions", "default_in", "domain_as_written", "domain_in_words", "is_shown"]


def domain_as_written(domain: Domain) -> dict[str, Any]:
    """Return a domain as a sweep file writes it, without the default."""
    if isinstance(domain, Fixed):
        return {"value": _plain(domain.value)}
    if isinstance(domain, Choice):
        return {"values": [_plain(value) for value in domain.values]}
    written: dict[str, Any] = {"min": domain.min, "max": domain.max}
    if domain.log:
        written["log"] = True
    if domain.step is not None:
        written["step"] = domain.step
    return written | ({"int": True} if domain.integer else {})


def domain_in_words(domain: Domain) -> str:
    """Describe a domain, such as `flip, none` or `0.0001 to 0.1, log`."""
    if isinstance(domain, Fixed):
        return _word(domain.value)
    if isinstance(domain, Choice):
        return ", ".join(map(_word, domain.values))
    details = [", log" if domain.log else "", f" in steps of {domain.step:g}" if domain.step is not None else ""]
    if domain.integer and domain.step is None:
        details.append(", whole")
    return f"{domain.min:g} to {domain.max:g}{''.join(details)}"


def conditions(entry: Entry) -> dict[str, list[Any]]:
    """Return the values for which the entry is drawn, for each key or name on which it is conditional."""
    return {condition.key: [_plain(value) for value in condition.allowed] for condition in entry.conditions}


def is_shown(entry: Entry, key: str) -> bool:
    """Return whether to show a condition on `key`: not if the entry's key has it, as in `optimizer[adamw].lr`."""
    return not entry.key.startswith((f"{key}[", f"{key.removesuffix('.name')}["))


def default_in(space: Space, entry: Entry) -> Value | None:
    """Return the value of `entry` in the point closest to the default point, among those that draw it."""
    required = _required_values(space, entry)

    def offer(candidate: Entry, drawn: Mapping[str, Value]) -> Iterator[Value]:
        default = default_value(candidate, drawn)
        yield default
        for value in required if candidate is not entry else ():
            if candidate.domain.contains(value) and value != default:
                yield value

    return next((point[entry.key] for point in space.points(offer) if entry.key in point), None)


def _required_values(space: Space, entry: Entry) -> list[Value]:
    """Return every value on which `entry`, or an entry that it depends on, is conditional."""
    values: list[Value] = []
    keys = {entry.key}
    for other in reversed(space.entries):
        if keys & {other.key, other.name}:
            keys |= {condition.key for condition in other.conditions}
            values += [value for condition in other.conditions for value in condition.allowed]
    return values


def _plain(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _word(value: Value) -> str:
    return f"[{', '.join(f'{number:g}' for number in value)}]" if isinstance(value, tuple) else str(value)
