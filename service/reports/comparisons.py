"""Two sweeps side by side: what was asked for, what came out, what it cost, and whether that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import Condition, Domain, Entry, Metric, Range, SpecError, SweepSpec, parse_spec
from search_spaces.spaces import Choice, Fixed
from service.ledgers import Json, Sweep
from service.reports.leaderboards import Leaderboard

__all__ = ["Comparison", "Difference", "describe_entry"]

SECTIONS = ("data", "space", "settings", "winner", "recipe", "cost")
_SPELLED = {
    "name": "another set",
    "image_size": "another size",
    "images": "another number",
    "split": "another split",
}
_DATA = ("name", "source", "image_size", "images", "mode", "digest")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is not the same: `one` and `other` are plain values, None where a sweep has none."""

    section: str
    name: str
    one: Any
    other: Any


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What differs between two sweeps, by section, and why their winners cannot be compared, if they cannot."""

    one: Leaderboard
    other: Leaderboard

    @property
    def obstacles(self) -> list[str]:
        """Why a difference between the winners' values says nothing about their recipes; empty where it does."""
        one, other = self.one.sweep, self.other.sweep
        found = []
        if one.metric != other.metric:
            found.append(f"they optimise different metrics ({one.metric} and {other.metric})")
        if one.data.get("digest") != other.data.get("digest"):
            found.append(f"they read different images: {_why_other_images(one, other)}")
        found += [f"{board.sweep.id} has no trial with a value" for board in (self.one, self.other) if not board.best]
        return found

    def differences(self) -> list[Difference]:
        """Everything that differs, section after section: data, space, settings, winners, cost."""
        return [*self._data(), *self._space(), *self._settings(), *self._winners(), *self._cost()]

    def _data(self) -> Iterator[Difference]:
        one, other = self.one.sweep, self.other.sweep
        yield from _differing("data", *({name: of.data.get(name) for name in _DATA} for of in (one, other)))
        yield from _differing("data", *(_prefixed("split", of.data.get("split") or {}) for of in (one, other)))

    def _space(self) -> Iterator[Difference]:
        entries = [_entries(board.sweep) for board in (self.one, self.other)]
        yield from _differing("space", *entries)

    def _settings(self) -> Iterator[Difference]:
        plans = [dict(board.sweep.settings) for board in (self.one, self.other)]
        for plan in plans:
            plan.pop("space.drawn", None)
        yield from _differing("settings", *plans)

    def _winners(self) -> Iterator[Difference]:
        yield from _differing("winner", *(_winner(board) for board in (self.one, self.other)), keep=True)
        recipes = [board.best.recipe if board.best else {} for board in (self.one, self.other)]
        yield from _differing("recipe", *recipes)

    def _cost(self) -> Iterator[Difference]:
        yield from _differing("cost", *(_cost_of(board) for board in (self.one, self.other)), keep=True)

    @property
    def gap(self) -> float:
        """By how much the first winner is better, whichever way better is; only where nothing is an obstacle."""
        one, other = (board.best.best_value if board.best else None for board in (self.one, self.other))
        assert one is not None, self.one.sweep
        assert other is not None, self.other.sweep
        return self.one.sweep.goal.gain(one, other)

    def as_json(self) -> Json:
        """The contract of `compare -o json`."""
        sections: dict[str, list[Json]] = {name: [] for name in SECTIONS}
        for found in self.differences():
            sections[found.section].append({"name": found.name, "one": found.one, "other": found.other})
        ids = {"one": self.one.sweep.id, "other": self.other.sweep.id}
        return ids | {"comparable": not self.obstacles, "obstacles": self.obstacles} | sections


def _differing(
    section: str, one: Mapping[str, Any], other: Mapping[str, Any], *, keep: bool = False
) -> Iterator[Difference]:
    """Names whose values differ, in order; all of them where `keep`."""
    for name in dict.fromkeys([*one, *other]):
        if keep or one.get(name) != other.get(name):
            yield Difference(section=section, name=name, one=one.get(name), other=other.get(name))


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in values.items()}


def _entries(sweep: Sweep) -> dict[str, str]:
    """What each key of the space may be, as text; of an explicit list, its length."""
    spec = _spec_of(sweep)
    if spec is None:
        return {"(not readable by this version)": sweep.spec_file}
    if spec.points:
        return {"points": f"{len(spec.points)} recipes"}
    chosen = [entry for entry in spec.space.entries if not (entry.conditions and entry.key.endswith("].name"))]
    return {entry.key: describe_entry(entry) for entry in chosen}


def _spec_of(sweep: Sweep) -> SweepSpec | None:
    try:
        return parse_spec(sweep.spec_text, file=sweep.spec_file)
    except SpecError:
        return None


def describe_entry(entry: Entry) -> str:
    """Such as `0.0001 to 0.1 log`, `one of 0, 3 (default 3)`, `16`; with its conditions."""
    text = _domain(entry.domain)
    if entry.domain.default is not None:
        text += f" (default {entry.domain.default})"
    asked = [one for one in entry.conditions if not _said_by_key(entry, one)]
    needed = " and ".join(f"{one.key} is {' or '.join(map(str, one.allowed))}" for one in asked)
    return f"{text} if {needed}" if needed else text


def _said_by_key(entry: Entry, condition: Condition) -> bool:
    """`optimizer[adamw].lr` says already that the optimizer is adamw."""
    return entry.key.startswith(f"{condition.key.removesuffix('.name')}[")


def _domain(domain: Domain) -> str:
    if isinstance(domain, Fixed):
        return str(domain.value)
    if isinstance(domain, Choice):
        return f"one of {', '.join(map(str, domain.values))}"
    assert isinstance(domain, Range)
    step = f" step {domain.step:g}" if domain.step else ""
    return f"{domain.min:g} to {domain.max:g}{step}{' integer' if domain.integer else ''}{' log' if domain.log else ''}"


def _winner(board: Leaderboard) -> Json:
    best = board.best
    if best is None:
        return {"trial": None}
    metrics = board.metrics(best)
    test = {name: value for name, value in metrics.items() if name == Metric(board.sweep.metric).on("test")}
    return {"trial": best.id, board.sweep.metric: best.best_value} | test | {"epoch": best.best_epoch}


def _cost_of(board: Leaderboard) -> Json:
    counts = {f"trials {state}": count for state, count in board.counts().items()}
    return {
        "trials": len(board.trials),
        **counts,
        "epochs": sum(trial.epochs for trial in board.trials),
        "seconds": board.sweep.seconds,
        "worker seconds": round(sum(board.seconds(trial) for trial in board.trials), 1),
    }


def _why_other_images(one: Sweep, other: Sweep) -> str:
    found = [what for name, what in _SPELLED.items() if one.data.get(name) != other.data.get(name)]
    return ", ".join(found) or "their content changed"
