"""A space as people read it: each entry with its domain, its default and when it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.recipes import Value
from search_spaces.spaces.domains import Choice, Domain, Fixed
from search_spaces.spaces.space import Entry, Space, default_value

__all__ = ["conditions", "default_in", "domain_as_written", "domain_in_words", "is_shown"]


def domain_as_written(domain: Domain) -> dict[str, Any]:
    """Return a domain as a sweep file has it, without the default."""
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
    """Return a domain in words, such as `flip, none` or `0.0001 to 0.1, log`."""
    if isinstance(domain, Fixed):
        return _word(domain.value)
    if isinstance(domain, Choice):
        return ", ".join(map(_word, domain.values))
    how = [", log" if domain.log else "", f" in steps of {domain.step:g}" if domain.step is not None else ""]
    if domain.integer and domain.step is None:
        how.append(", whole")
    return f"{domain.min:g} to {domain.max:g}{''.join(how)}"


def conditions(entry: Entry) -> dict[str, list[Any]]:
    """Return the values for which the entry is drawn, by each key or name that it depends on."""
    return {condition.key: [_plain(value) for value in condition.allowed] for condition in entry.conditions}


def is_shown(entry: Entry, key: str) -> bool:
    """Return whether a condition on `key` adds to the branch in the entry's key, such as `optimizer[adamw].lr`."""
    return not entry.key.startswith((f"{key}[", f"{key.removesuffix('.name')}["))


def default_in(space: Space, entry: Entry) -> Value | None:
    """The value of `entry` in the point closest to the default one in which it is drawn."""
    asked = _asked_for(space, entry)

    def offer(one: Entry, drawn: Mapping[str, Value]) -> Iterator[Value]:
        default = default_value(one, drawn)
        yield default
        for value in asked if one is not entry else ():
            if one.domain.contains(value) and value != default:
                yield value

    return next((point[entry.key] for point in space.points(offer) if entry.key in point), None)


def _asked_for(space: Space, entry: Entry) -> list[Value]:
    """Return all values on which `entry`, or what it depends on, is conditional."""
    found: list[Value] = []
    keys = {entry.key}
    for one in reversed(space.entries):
        if keys & {one.key, one.name}:
            keys |= {condition.key for condition in one.conditions}
            found += [value for condition in one.conditions for value in condition.allowed]
    return found


def _plain(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _word(value: Value) -> str:
    return f"[{', '.join(f'{number:g}' for number in value)}]" if isinstance(value, tuple) else str(value)
