"""Progress: the best value so far, against the number of finished trials and against working seconds."""

from __future__ import annotations

from collections.abc import Collection

from service.sweep_reports.facts.base import Part, Section, decimals, difference, duration, named, ordinal, score
from service.sweep_reports.facts.rows import SweepRows
from service.sweep_reports.facts.timelines import WorkClock

__all__ = ["Improvement", "Progress", "read_progress"]


class Improvement(Part):
    """A trial whose value was better than all before it."""

    trial_id: str
    finished: int
    """Number of trials that had finished by then, this one included."""
    seconds: float
    """Working seconds since the sweep's start."""
    value: float


class Progress(Section):
    """The best value so far."""

    finished: int
    """Number of finished trials."""
    seconds: float
    """Working seconds until the last of them had finished."""
    improvements: tuple[Improvement, ...] = ()
    default_value: float | None = None
    """Value of the default recipe's trial; null if it has none."""
    results: tuple[tuple[int, float, float | None], ...] = ()
    """Finished trials in order: how many had finished, working seconds, value."""


def read_progress(rows: SweepRows, clock: WorkClock) -> Progress:
    """Return the course of the best value."""
    ranked = set(rows.ranks)
    finished = sorted((t for t in rows.trials if t.finished_at is not None), key=lambda t: (t.finished_at, t.number))
    improvements: list[Improvement] = []
    results: list[tuple[int, float, float | None]] = []
    best: float | None = None
    for count, trial in enumerate(finished, start=1):
        seconds = decimals(clock.seconds(trial.finished_at or 0), 3)
        value = trial.best_value if trial.id in ranked else None
        results.append((count, seconds, value))
        if value is not None and rows.goal.is_better(value, best):
            best = value
            improvements.append(Improvement(trial_id=trial.id, finished=count, seconds=seconds, value=value))
    default = _default_value(rows, ranked)
    end = results[-1][1] if results else 0.0
    return Progress(
        sentence=_sentence(rows, improvements, default, results),
        is_shown=bool(improvements),
        finished=len(finished),
        seconds=end,
        improvements=improvements,
        default_value=default,
        results=results,
    )


def _default_value(rows: SweepRows, ranked: Collection[str]) -> float | None:
    """Return the value of the default recipe's trial, which comes after the points that run first; None without one."""
    if rows.sweep.settings.get("search.algorithm") == "points":
        return None
    spec = rows.spec
    if spec is None or not spec.first_points:
        return next((t.best_value for t in rows.trials if t.number == 0 and t.id in ranked), None)
    identity = spec.space.recipe(spec.space.default()).anchored(spec.folder).identity
    return next((t.best_value for t in rows.trials if t.identity == identity and t.id in ranked), None)


def _sentence(
    rows: SweepRows,
    improvements: list[Improvement],
    default: float | None,
    results: list[tuple[int, float, float | None]],
) -> str:
    finished = len(results)
    if not improvements:
        return "No trial has a value yet." if not finished else "No finished trial has a value."
    last = improvements[-1]
    best, metric = score(last.value), rows.sweep.metric
    equal = sum(value == last.value for _, _, value in results) - 1
    text = (
        f"The best {metric}, {best}, came {'first ' * bool(equal)}with {named(last.trial_id)}, the "
        f"{ordinal(last.finished)} of {finished} to finish, after {duration(last.seconds)} of "
        f"{duration(results[-1][1])}"
    )
    if default is not None and rows.goal.is_better(last.value, default):
        text += f"; it is {difference(last.value, default)} better than the default recipe's {score(default)}"
    elif default is not None:
        text += "; it is the default recipe's value"
    later = finished - last.finished
    if equal:
        others = "One later trial equals" if equal == 1 else f"{equal} later trials equal"
        return f"{text}. {others} it, and none is better."
    return f"{text}. The {later} trials after it brought nothing better." if later > 1 else f"{text}."
