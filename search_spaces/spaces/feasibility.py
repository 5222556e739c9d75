"""Feasibility of entries: those that can be drawn, and those that can never be drawn together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from search_spaces.recipes import PARAMETERS, Value, same
from search_spaces.spaces.domains import Choice, Domain, Fixed
from search_spaces.spaces.space import Condition

Facts = dict[str, tuple[Value, ...]]
"""The values that a key or name must have."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An entry under examination; its domain is None where the document has it wrong."""

    key: str
    name: str | None
    domain: Domain | None
    conditions: tuple[Condition, ...]

    @property
    def answers(self) -> frozenset[str]:
        """The keys under which conditions may ask about this entry."""
        return frozenset({self.key} if self.name is None else {self.key, self.name})

    def may_be(self, value: Value) -> bool:
        """Return whether the candidate can have this value."""
        return self.domain is None or self.domain.contains(value)


@dataclass
class Reachable:
    """The entries that can be drawn, as far as known, each with the facts that must hold."""

    _found: list[tuple[Candidate, Facts]] = field(default_factory=list)

    def facts(self, conditions: Iterable[Condition]) -> Facts | None:
        """Return the facts that hold if all `conditions` do; None if they never do together."""
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
        """`facts`, and what follows where only one entry can answer for a key."""
        grown: Facts | None = dict(facts)
        for key, allowed in facts.items():
            answering = self._answering(key, facts)
            if not answering:
                return None
            if len(answering) == 1:
                candidate, needed = answering[0]
                left = tuple(value for value in allowed if candidate.may_be(value))
                grown = _join(_join(grown, needed), {key: left})
        return grown

    def _answering(self, key: str, facts: Facts) -> list[tuple[Candidate, Facts]]:
        return [
            (candidate, needed)
            for candidate, needed in self._found
            if key in candidate.answers
            and _join(facts, needed) is not None
            and (key not in facts or any(candidate.may_be(value) for value in facts[key]))
        ]

    def asked(self, key: str) -> bool:
        """Return whether any entry gives `key` a value."""
        return any(key in candidate.answers for candidate, _ in self._found)

    def may_be(self, key: str, value: Value) -> bool:
        """Return whether some entry can give `key` this value; a continuous range never does."""
        return any(
            candidate.may_be(value) and (candidate.domain is None or candidate.domain.size is not None)
            for candidate, _ in self._found
            if key in candidate.answers
        )

    def possible(self, name: str, facts: Facts) -> list[Value] | None:
        """The values that a listed `name` may have under `facts`; None where they cannot be listed."""
        if not self.asked(name):
            default = PARAMETERS[name].default()
            return [] if default is None else [default]
        values: list[Value] = []
        for candidate, _ in self._answering(name, facts):
            if isinstance(candidate.domain, Fixed):
                values.append(candidate.domain.value)
            elif isinstance(candidate.domain, Choice):
                values += candidate.domain.values
            else:
                return None
        return [value for value in values if name not in facts or _among(value, facts[name])]

    def add(self, candidate: Candidate, facts: Facts) -> None:
        """Add an entry that can be drawn if `facts` hold."""
        self._found.append((candidate, facts))

    def rivals(self, name: str, facts: Facts) -> list[Candidate]:
        """The entries for the same recipe name that may be drawn together with one under `facts`."""
        return [one for one, needed in self._found if one.name == name and _join(facts, needed) is not None]


def _among(value: Value, values: Iterable[Value]) -> bool:
    return any(same(value, one) for one in values)


def _join(facts: Mapping[str, tuple[Value, ...]] | None, more: Facts | None) -> Facts | None:
    """Both sets of facts; None where they contradict each other."""
    if facts is None or more is None:
        return None
    joined = dict(facts)
    for key, allowed in more.items():
        left = tuple(value for value in joined.get(key, allowed) if _among(value, allowed))
        if not left:
            return None
        joined[key] = left
    return joined
