"""Comparisons of two sweeps: data, space, settings, winners and cost, and whether the winners can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import Condition, Domain, Entry, Metric, Range, SpecError, SweepSpec
from search_spaces.spaces import Choice, Fixed
from service.formats import counted
from service.ledgers import LOG_SCALED, OWN_STAGES, Json, Sweep
from service.reports.leaderboards import Leaderboard

__all__ = ["Comparison", "Difference", "describe_entry"]

SECTIONS = ("data", "space", "settings", "winner", "recipe", "cost")
_REASONS = {
    "name": "another set",
    "image_size": "another size",
    "images": "another number",
    "split": "another split",
}
_DATA = ("name", "source", "image_size", "images", "mode", "digest")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference between two sweeps; `first` and `second` are plain values, None if a sweep has no such value."""

    section: str
    name: str
    first: Any
    second: Any


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The differences between two sweeps, and obstacles to comparing their winners."""

    first: Leaderboard
    second: Leaderboard

    @property
    def obstacles(self) -> list[str]:
        """Reasons for which a difference between the winners' values says nothing about their recipes."""
        first, second = self.first.sweep, self.second.sweep
        obstacles = []
        if first.metric != second.metric:
            obstacles.append(f"they optimise different metrics ({first.metric} and {second.metric})")
        if first.data.get("digest") != second.data.get("digest"):
            obstacles.append(f"they read different images: {_why_other_images(first, second)}")
        obstacles += [
            f"{board.sweep.id} has no trial with a value" for board in (self.first, self.second) if not board.best
        ]
        return obstacles

    def differences(self) -> list[Difference]:
        """Return all differences, by section: data, space, settings, winners, cost."""
        return [*self._data(), *self._space(), *self._settings(), *self._winners(), *self._cost()]

    def _data(self) -> Iterator[Difference]:
        sweeps = (self.first.sweep, self.second.sweep)
        yield from _differing("data", *({name: sweep.data.get(name) for name in _DATA} for sweep in sweeps))
        yield from _differing("data", *(_prefixed("split", sweep.data.get("split") or {}) for sweep in sweeps))

    def _space(self) -> Iterator[Difference]:
        entries = [_entries(board.sweep) for board in (self.first, self.second)]
        yield from _differing("space", *entries)

    def _settings(self) -> Iterator[Difference]:
        settings = [board.sweep.present_settings for board in (self.first, self.second)]
        for values in settings:
            for name in ("space.drawn", LOG_SCALED, OWN_STAGES):
                values.pop(name, None)
        yield from _differing("settings", *settings)

    def _winners(self) -> Iterator[Difference]:
        yield from _differing("winner", *(_winner(board) for board in (self.first, self.second)), keep=True)
        recipes = [board.best.recipe if board.best else {} for board in (self.first, self.second)]
        yield from _differing("recipe", *recipes)

    def _cost(self) -> Iterator[Difference]:
        yield from _differing("cost", *(_cost_of(board) for board in (self.first, self.second)), keep=True)

    @property
    def gap(self) -> float:
        """The amount by which the first winner is better; only if there are no obstacles."""
        first, second = (board.best.best_value if board.best else None for board in (self.first, self.second))
        assert first is not None, self.first.sweep
        assert second is not None, self.second.sweep
        return self.first.sweep.goal.gain(first, second)

    def as_json(self) -> Json:
        """Return the comparison for `compare -o json`."""
        sections: dict[str, list[Json]] = {name: [] for name in SECTIONS}
        for difference in self.differences():
            values = {"name": difference.name, "one": difference.first, "other": difference.second}
            sections[difference.section].append(values)
        ids = {"one": self.first.sweep.id, "other": self.second.sweep.id}
        return ids | {"comparable": not self.obstacles, "obstacles": self.obstacles} | sections


def _differing(
    section: str, first: Mapping[str, Any], second: Mapping[str, Any], *, keep: bool = False
) -> Iterator[Difference]:
    """Yield names whose values differ, in order; all names if `keep`."""
    for name in dict.fromkeys([*first, *second]):
        if keep or first.get(name) != second.get(name):
            yield Difference(section=section, name=name, first=first.get(name), second=second.get(name))


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in values.items()}


def _entries(sweep: Sweep) -> dict[str, str]:
    """Return the values that each key of the space may have, as text; for an explicit list, its length."""
    spec = _spec_of(sweep)
    if spec is None:
        return {"(not readable by this version)": sweep.spec_file}
    if spec.points:
        return {"points": f"{len(spec.points)} recipes"}
    chosen = [entry for entry in spec.space.entries if not (entry.conditions and entry.key.endswith("].name"))]
    first = {"points": f"{counted(len(spec.first_points), 'recipe')} first"} if spec.first_points else {}
    return {entry.key: describe_entry(entry) for entry in chosen} | first


def _spec_of(sweep: Sweep) -> SweepSpec | None:
    try:
        return sweep.read_spec()
    except SpecError:
        return None


def describe_entry(entry: Entry) -> str:
    """Return the values of an entry, such as `0.0001 to 0.1 log` or `one of 0, 3 (default 3)`, and its conditions."""
    text = _domain(entry.domain)
    if entry.domain.default is not None:
        text += f" (default {entry.domain.default})"
    conditions = [condition for condition in entry.conditions if not _is_in_key(entry, condition)]
    needed = " and ".join(f"{condition.key} is {' or '.join(map(str, condition.allowed))}" for condition in conditions)
    return f"{text} if {needed}" if needed else text


def _is_in_key(entry: Entry, condition: Condition) -> bool:
    """Return whether the key shows the condition, as `optimizer[adamw].lr` shows that the optimizer is adamw."""
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


def _why_other_images(first: Sweep, second: Sweep) -> str:
    reasons = [reason for name, reason in _REASONS.items() if first.data.get(name) != second.data.get(name)]
    return ", ".join(reasons) or "their content changed"
