"""Figures of single hyperparameters: the metric of every trial against its value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from search_spaces import Goal
from service.sweep_reports.charts import Axis, Canvas, Categories, Frame, Mark, Scale, draw_dots, draw_marks, scale_for
from service.sweep_reports.facts import SweepReport, score
from service.sweep_reports.facts.base import named
from service.sweep_reports.facts.parameters import written
from service.sweep_reports.facts.slices import Slice
from service.sweep_reports.facts.trials import TrialFacts
from service.sweep_reports.pages.figures import NARROW, Figure, LegendEntry, Table, legend
from service.sweep_reports.pages.windows import Window, find_window

__all__ = ["draw_slices"]

_HEIGHT = 220.0
_MOST_MARKS = 150
"""Up to this many trials, each point has a hint of its own."""
_HINTED = 20
_GOLDEN = 0.6180339887
"""Golden ratio: multiples of it, less their whole part, lie evenly in the unit interval, however many there are."""


def draw_slices(report: SweepReport) -> list[Figure]:
    """Return the metric against each hyperparameter."""
    slices, goal = report.slices, Goal(report.sweep.goal)
    if not slices.is_shown:
        return [Figure(name="slices", title="One hyperparameter at a time", sentence=slices.sentence)]
    trials = [trial for trial in report.trials if trial.value is not None and trial.state in ("completed", "pruned")]
    window = find_window([trial.value for trial in trials if trial.value is not None], goal)
    return [
        _draw_slice(report, each, trials, window, name="slices" if index == 0 else f"slices-{index}")
        for index, each in enumerate(slices.slices)
    ]


def _draw_slice(report: SweepReport, each: Slice, trials: Sequence[TrialFacts], window: Window, *, name: str) -> Figure:
    title = f"{report.sweep.metric} by {each.label}"
    canvas = Canvas(NARROW, _HEIGHT, f"{title}. {each.sentence}")
    having = [trial for trial in trials if _is_shown(trial.point.get(each.key), each)]
    scale, place = _axis(each, having)
    frame = Frame(canvas, Axis(scale, each.label), Axis(window.scale, report.sweep.metric))
    if each.good_low is not None and each.good_high is not None and not each.is_spread:
        left, right = frame.x(each.good_low), frame.x(each.good_high)
        canvas.rectangle(left - 2, frame.top, right - left + 4, frame.bottom - frame.top, "good")
    _draw_trials(frame, having, place, window)
    for index, choice in enumerate(each.choices):
        y, half = frame.y(window.clip(choice.median)), frame.band * 0.32
        canvas.line(frame.x(index) - half, y, frame.x(index) + half, y, "median")
    return Figure(
        name=name,
        title=title,
        sentence=each.sentence,
        body=canvas.render(),
        legend=_legend(each, having),
        table=_table(report, each, having),
        note=window.note("trial"),
    )


def _is_shown(value: Any, each: Slice) -> bool:
    """Return whether a trial's value has a place on the axis."""
    if each.is_number:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return value is not None and written(value) in [choice.choice for choice in each.choices]


def _axis(each: Slice, trials: Sequence[TrialFacts]) -> tuple[Scale, Callable[[TrialFacts], float]]:
    """Return the scale of the values, and the place of each trial on it."""
    if each.is_number:
        numbers = {trial.trial_id: float(trial.point[each.key]) for trial in trials}
        return scale_for(list(numbers.values()), is_log=each.is_log), lambda trial: numbers[trial.trial_id]
    choices = [choice.choice for choice in each.choices]
    places = _spread(each.key, trials, choices)
    return Categories(choices), lambda trial: places[trial.trial_id]


def _spread(key: str, trials: Sequence[TrialFacts], choices: Sequence[str]) -> dict[str, float]:
    """Return places of trials within the band of their choice, side by side so that points do not cover each other."""
    counts = Counter(written(trial.point[key]) for trial in trials)
    seen: Counter[str] = Counter()
    places = {}
    for trial in trials:
        name = written(trial.point[key])
        seen[name] += 1
        offset = (seen[name] * _GOLDEN) % 1 - 0.5 if counts[name] > 1 else 0.0
        places[trial.trial_id] = choices.index(name) + 0.6 * offset
    return places


def _draw_trials(
    frame: Frame, trials: Sequence[TrialFacts], place: Callable[[TrialFacts], float], window: Window
) -> None:
    """Draw completed trials as discs, pruned ones as rings, and the best as a star."""
    ordered = sorted(trials, key=lambda trial: -(trial.rank or len(trials) + 1))
    if len(trials) > _MOST_MARKS:
        for state, style in (("pruned", "boxes c3"), ("completed", "small c1")):
            chosen = [trial for trial in ordered if trial.state == state]
            draw_dots(frame, [(place(trial), window.clip(trial.value or 0.0)) for trial in chosen], style)
        ordered = ordered[-_HINTED:]
    draw_marks(frame, [_mark(trial, place(trial), window) for trial in ordered])


def _mark(trial: TrialFacts, x: float, window: Window) -> Mark:
    assert trial.value is not None, trial
    hint = f"{named(trial.trial_id)}: {score(trial.value)}, {trial.state}"
    y = window.clip(trial.value)
    if trial.rank == 1:
        return Mark(x=x, y=y, shape="star", style="c2", size=4.5, hint=hint)
    if trial.state == "pruned":
        return Mark(x=x, y=y, shape="ring", style="c3", hint=hint)
    return Mark(x=x, y=y, shape="disc", style="c1", hint=hint)


def _legend(each: Slice, trials: Sequence[TrialFacts]) -> str:
    entries: list[LegendEntry] = []
    if any(trial.rank == 1 for trial in trials):
        entries.append(("star", "c2", "best"))
    if any(trial.state == "completed" for trial in trials):
        entries.append(("disc", "c1", "completed"))
    if any(trial.state == "pruned" for trial in trials):
        entries.append(("square" if len(trials) > _MOST_MARKS else "ring", "c3", "pruned"))
    if each.good_low is not None and not each.is_spread:
        entries.append(("field", "good", "the best fifth"))
    if each.choices:
        entries.append(("line", "median", "median"))
    return legend(entries)


def _table(report: SweepReport, each: Slice, trials: Sequence[TrialFacts]) -> Table:
    metric, goal = report.sweep.metric, Goal(report.sweep.goal)
    if each.choices:
        rows = [[c.choice, str(c.trials), score(c.median), score(c.best)] for c in each.choices]
        return Table([each.label, "trials", "median", "best"], rows)
    ordered = sorted(trials, key=lambda trial: (goal.sort_key(trial.value or 0.0), trial.number))
    rows = [[named(t.trial_id), written(t.point[each.key]), score(t.value or 0.0), t.state] for t in ordered]
    return Table(["trial", each.label, metric, "state"], rows)
