"""Decide which entries of a space can be drawn, and which can be drawn together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from search_spaces.recipes import PARAMETERS, Value, same
from search_spaces.spaces.domains import Choice, Domain, Fixed
from search_spaces.spaces.space import Condition

Facts = dict[str, tuple[Value, ...]]
"""The values to which each key or name is restricted."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An entry under examination; its domain is None if the document's is invalid."""

    key: str
    name: str | None
    domain: Domain | None
    conditions: tuple[Condition, ...]

    @property
    def referred_keys(self) -> frozenset[str]:
        """The keys by which conditions may refer to this entry."""
        return frozenset({self.key} if self.name is None else {self.key, self.name})

    def may_be(self, value: Value) -> bool:
        """Return whether the entry can have this value."""
        return self.domain is None or self.domain.contains(value)


@dataclass
class Reachable:
    """The entries that can be drawn, as far as examined, each with the facts under which it is drawn."""

    _candidates: list[tuple[Candidate, Facts]] = field(default_factory=list)

    def facts_under(self, conditions: Iterable[Condition]) -> Facts | None:
        """Return the facts that follow from all `conditions`; None if they contradict each other."""
        facts: Facts | None = {}
        for condition in conditions:
            facts = _join(facts, {condition.key: condition.allowed})
        while facts is not None:
            grown = self._deduce(facts)
            if grown == facts:
                return facts
            facts = grown
        return None

    def _deduce(self, facts: Facts) -> Facts | None:
        """Add to `facts` what follows from each key that only one entry can give."""
        grown: Facts | None = dict(facts)
        for key, allowed in facts.items():
            givers = self._givers(key, facts)
            if not givers:
                return None
            if len(givers) == 1:
                candidate, needed = givers[0]
                left = tuple(value for value in allowed if candidate.may_be(value))
                grown = _join(_join(grown, needed), {key: left})
        return grown

    def _givers(self, key: str, facts: Facts) -> list[tuple[Candidate, Facts]]:
        return [
            (candidate, needed)
            for candidate, needed in self._candidates
            if key in candidate.referred_keys
            and _join(facts, needed) is not None
            and (key not in facts or any(candidate.may_be(value) for value in facts[key]))
        ]

    def is_given(self, key: str) -> bool:
        """Return whether any entry gives `key`."""
        return any(key in candidate.referred_keys for candidate, _ in self._candidates)

    def may_be(self, key: str, value: Value) -> bool:
        """Return whether an entry can give `key` this value; a continuous range does not count."""
        return any(
            candidate.may_be(value) and (candidate.domain is None or candidate.domain.size is not None)
            for candidate, _ in self._candidates
            if key in candidate.referred_keys
        )

    def possible_values(self, name: str, facts: Facts) -> list[Value] | None:
        """Return the values that `name` may have under `facts`; None if they cannot be listed."""
        if not self.is_given(name):
            default = PARAMETERS[name].default()
            return [] if default is None else [default]
        values: list[Value] = []
        for candidate, _ in self._givers(name, facts):
            if isinstance(candidate.domain, Fixed):
                values.append(candidate.domain.value)
            elif isinstance(candidate.domain, Choice):
                values += candidate.domain.values
            else:
                return None
        return [value for value in values if name not in facts or _among(value, facts[name])]

    def add(self, candidate: Candidate, facts: Facts) -> None:
        """Add an entry that is drawn under `facts`."""
        self._candidates.append((candidate, facts))

    def rivals(self, name: str, facts: Facts) -> list[Candidate]:
        """Return the entries for recipe name `name` that may be drawn together with an entry under `facts`."""
        return [
            candidate
            for candidate, needed in self._candidates
            if candidate.name == name and _join(facts, needed) is not None
        ]


def _among(value: Value, values: Iterable[Value]) -> bool:
    return any(same(value, other) for other in values)


def _join(facts: Mapping[str, tuple[Value, ...]] | None, more: Facts | None) -> Facts | None:
    """Return both sets of facts; None if they contradict each other."""
    if facts is None or more is None:
        return None
    joined = dict(facts)
    for key, allowed in more.items():
        left = tuple(value for value in joined.get(key, allowed) if _among(value, allowed))
        if not left:
            return None
        joined[key] = left
    return joined
