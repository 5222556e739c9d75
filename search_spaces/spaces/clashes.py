"""Find forbidden recipes that a space would draw, when the space is read and not when a trial draws them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from search_spaces.recipes import PARAMETERS, RULES, Rule, TrainingContext, Value
from search_spaces.spaces.domains import Choice, Domain, Fixed
from search_spaces.spaces.space import Entry, Point, Space


@dataclass(frozen=True, kw_only=True)
class Clash:
    """A broken rule: the entry to change (None if the space gives none of the rule's names), the message, the value."""

    rule: Rule
    entry: Entry | None
    text: str
    value: Value | None


def find_clashes(space: Space, context: TrainingContext) -> Iterator[Clash]:
    """Yield a clash for each rule that a recipe of this space breaks, and for each entry that breaks it."""
    for rule in RULES:
        keys: set[str] = set()
        for point in _points(rule, space):
            clash = _clash(rule, space, point, context)
            if clash is not None and (key := clash.entry.key if clash.entry else "") not in keys:
                keys.add(key)
                yield clash


def _points(rule: Rule, space: Space) -> Iterator[Point]:
    """Yield points in which the rule's names take every value that can make a difference to the rule."""
    relevant = _relevant(rule, space)

    def offer(entry: Entry, _: Mapping[str, Value]) -> tuple[Value, ...]:
        return _representatives(entry.domain) if entry in relevant else (entry.domain.from_unit(0.0),)

    return space.points(offer)


def _relevant(rule: Rule, space: Space) -> list[Entry]:
    """Return the entries for a rule's names, and those that decide whether these are drawn."""
    names = set(rule.names)
    relevant: list[Entry] = []
    for entry in reversed(space.entries):
        if {entry.key, entry.name} & names:
            relevant.append(entry)
            names |= {condition.key for condition in entry.conditions}
    return relevant


def _representatives(domain: Domain) -> tuple[Value, ...]:
    """Return the listed values, or the two ends of a range: if a number of a range breaks a rule, an end does."""
    if isinstance(domain, Fixed):
        return (domain.value,)
    return domain.values if isinstance(domain, Choice) else (domain.from_unit(0.0), domain.max)


def _clash(rule: Rule, space: Space, point: Point, context: TrainingContext) -> Clash | None:
    drawn = {entry.name: point[entry.key] for entry in space.entries if entry.name and entry.key in point}
    text = rule.broken(_completed(drawn), context)
    if text is None:
        return None
    given = {entry.name: entry for entry in space.entries if entry.name in rule.names and entry.key in point}
    changed = rule.names[0]
    if changed in given:
        return Clash(rule=rule, entry=given[changed], text=text, value=drawn[changed])
    other = next((given[name] for name in rule.names if name in given), None)
    return Clash(rule=rule, entry=other, text=f"{changed} {text}", value=None)


def _completed(drawn: Mapping[str, Value]) -> dict[str, Value]:
    """Add the defaults of the names that are used but not drawn."""
    values = dict(drawn)
    for name, parameter in PARAMETERS.items():
        if name not in values:
            decider = parameter.decided_by
            default = parameter.default(values.get(decider, PARAMETERS[decider].default()) if decider else None)
            if default is not None:
                values[name] = default
    return values
