"""Recipes that a space would draw and that cannot be: found when the space is read, not when they come up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from search_spaces.recipes import PARAMETERS, RULES, Rule, Setting, Value
from search_spaces.spaces.domains import Choice, Domain, Fixed
from search_spaces.spaces.space import Entry, Point, Space


@dataclass(frozen=True, kw_only=True)
class Clash:
    """The entry to be changed, None where the space gives none of the names; what to say, and of which value."""

    rule: Rule
    entry: Entry | None
    text: str
    value: Value | None


def clashes(space: Space, setting: Setting) -> Iterator[Clash]:
    """Yield a clash for each rule that a recipe of this space breaks, and each entry that breaks it."""
    for rule in RULES:
        found: set[str] = set()
        for point in _points(rule, space):
            clash = _clash(rule, space, point, setting)
            if clash is not None and (key := clash.entry.key if clash.entry else "") not in found:
                found.add(key)
                yield clash


def _points(rule: Rule, space: Space) -> Iterator[Point]:
    """Points in which everything that the rule is about takes every value that it may tell apart."""
    asked = _asked(rule, space)

    def offer(entry: Entry, _: Mapping[str, Value]) -> tuple[Value, ...]:
        return _representatives(entry.domain) if entry in asked else (entry.domain.from_unit(0.0),)

    return space.points(offer)


def _asked(rule: Rule, space: Space) -> list[Entry]:
    """The entries that a rule is about, and those that decide whether they are drawn."""
    names = set(rule.names)
    asked: list[Entry] = []
    for entry in reversed(space.entries):
        if {entry.key, entry.name} & names:
            asked.append(entry)
            names |= {condition.key for condition in entry.conditions}
    return asked


def _representatives(domain: Domain) -> tuple[Value, ...]:
    """Return the listed values, or the ends of a range: a rule that a number of it breaks is broken by an end."""
    if isinstance(domain, Fixed):
        return (domain.value,)
    return domain.values if isinstance(domain, Choice) else (domain.from_unit(0.0), domain.max)


def _clash(rule: Rule, space: Space, point: Point, setting: Setting) -> Clash | None:
    drawn = {entry.name: point[entry.key] for entry in space.entries if entry.name and entry.key in point}
    text = rule.broken(_completed(drawn), setting)
    if text is None:
        return None
    given = {entry.name: entry for entry in space.entries if entry.name in rule.names and entry.key in point}
    blamed = rule.names[0]
    if blamed in given:
        return Clash(rule=rule, entry=given[blamed], text=text, value=drawn[blamed])
    other = next((given[name] for name in rule.names if name in given), None)
    return Clash(rule=rule, entry=other, text=f"{blamed} {text}", value=None)


def _completed(drawn: Mapping[str, Value]) -> dict[str, Value]:
    """With the defaults of what is not drawn and is used."""
    values = dict(drawn)
    for name, parameter in PARAMETERS.items():
        if name not in values:
            decider = parameter.decided_by
            default = parameter.default(values.get(decider, PARAMETERS[decider].default()) if decider else None)
            if default is not None:
                values[name] = default
    return values
