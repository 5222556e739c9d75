"""Figures of the search: the best value so far, learning curves, workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search_spaces import Goal
from service.sweep_reports.charts import (
    Axis,
    Canvas,
    Categories,
    Frame,
    Linear,
    Mark,
    Tick,
    draw_bars,
    draw_dots,
    draw_line,
    draw_marks,
    draw_steps,
    duration_scale,
)
from service.sweep_reports.facts import SweepReport, duration, score
from service.sweep_reports.facts.base import named
from service.sweep_reports.facts.curves import BEST_CURVES, Curve
from service.sweep_reports.pages.figures import NARROW, Figure, LegendEntry, Table, draw_widths, legend
from service.sweep_reports.pages.windows import Window, find_window

__all__ = ["draw_curves", "draw_progress", "draw_timeline"]

_HEIGHT = 230.0
_MOST_LABELLED_WORKERS = 24
_MOST_PRUNED = 300
_MOST_LARGE_DOTS = 150


def draw_progress(report: SweepReport) -> list[Figure]:
    """Return the best value so far against trials, and against seconds."""
    progress, goal = report.progress, Goal(report.sweep.goal)
    if not progress.is_shown:
        return [Figure(name="progress", title="Best value so far", sentence=progress.sentence)]
    window = find_window([value for _, _, value in progress.results if value is not None], goal)
    time_scale, unit = duration_scale([progress.seconds])
    axes = (
        ("progress", "Best value so far, by trials", Axis(_counts(progress.finished), "finished trials")),
        ("progress-time", "Best value so far, by time", Axis(time_scale, f"working time in {unit}")),
    )
    places: Sequence[Callable[[int, float], float]] = (lambda count, _: float(count), lambda _, seconds: seconds)
    rows = [
        [named(each.trial_id), str(each.finished), duration(each.seconds), score(each.value)]
        for each in progress.improvements
    ]
    table = Table(["improved by", "finished trials", "working time", report.sweep.metric], rows)
    last = progress.improvements[-1]
    late = last.seconds / progress.seconds if progress.seconds else 0.0
    sentences = (
        progress.sentence,
        f"{score(last.value)} was reached after {duration(last.seconds)}, {late:.0%} of the time until the last trial "
        f"had finished ({duration(progress.seconds)}).",
    )
    pictures = [_draw_progress(report, axis, place, window) for (_, _, axis), place in zip(axes, places, strict=True)]
    return [
        Figure(
            name=name, title=title, sentence=sentence, body=body, legend=words, table=table, note=window.note("value")
        )
        for (name, title, _), sentence, (body, words) in zip(axes, sentences, pictures, strict=True)
    ]


def _counts(most: int) -> Linear:
    return Linear(0.0, max(most, 1) * 1.04)


def _draw_progress(
    report: SweepReport, x: Axis, place: Callable[[int, float], float], window: Window
) -> tuple[str, str]:
    """Return the picture and its legend."""
    progress = report.progress
    canvas = Canvas(NARROW, _HEIGHT, f"Best {report.sweep.metric} so far against {x.title}. {progress.sentence}")
    frame = Frame(canvas, x, Axis(window.scale, report.sweep.metric))
    entries: list[LegendEntry] = []
    values = [(place(count, seconds), window.clip(v)) for count, seconds, v in progress.results if v is not None]
    draw_dots(frame, values, "c3" if len(values) <= _MOST_LARGE_DOTS else "small c3")
    if progress.default_value is not None:
        level = window.clip(progress.default_value)
        draw_line(frame, [(0.0, level), (place(progress.finished, progress.seconds), level)], "dashed c4")
        entries.append(("line", "dashed c4", "default recipe"))
    steps = [(place(each.finished, each.seconds), window.clip(each.value)) for each in progress.improvements]
    draw_steps(frame, steps, "thick c1", until=place(progress.finished, progress.seconds))
    draw_marks(
        frame,
        [
            Mark(x=px, y=py, shape="diamond", style="c1", hint=f"{named(each.trial_id)}: {score(each.value)}")
            for (px, py), each in zip(steps, progress.improvements, strict=True)
        ],
    )
    marks: list[LegendEntry] = [("diamond", "c1", "new best"), ("disc", "c3", "other trial"), *entries]
    return canvas.render(), legend(marks)


def draw_curves(report: SweepReport) -> Figure:
    """Return the learning curves: the best twenty in colour, the others in grey."""
    curves, goal = report.curves, Goal(report.sweep.goal)
    title = "Learning curves"
    if not curves.is_shown:
        return Figure(name="curves", title=title, sentence=curves.sentence)
    window = find_window([v for curve in curves.curves for v in curve.values if v is not None], goal)
    is_best = [_is_best(curve) for curve in curves.curves]
    best = [curve for curve, chosen in zip(curves.curves, is_best, strict=True) if chosen]
    others = [curve for curve, chosen in zip(curves.curves, is_best, strict=True) if not chosen]
    shown = others[:: max(1, -(-len(others) // _MOST_PRUNED))]

    def draw(width: float) -> Canvas:
        canvas = Canvas(width, 250 if width < 500 else 320, f"{title} of {report.sweep.metric}. {curves.sentence}")
        x = Axis(Linear(1.0, max(curves.epochs, 2)), "epoch", grid=False)
        frame = Frame(canvas, _Whole.axis(x), Axis(window.scale, report.sweep.metric))
        for curve in shown:
            draw_line(frame, _points(curve, window), "dotted c3" if curve.state == "pruned" else "thin c3")
        single = [points[0] for curve in shown if len(points := _points(curve, window)) == 1]
        draw_dots(frame, single, "small c3")
        for curve in reversed(best):
            draw_line(frame, _points(curve, window), "thick c2" if curve.rank == 1 else "c1", _hint(curve))
        _mark_best(frame, best, window, goal)
        return canvas

    rows = [
        [named(c.trial_id), c.state, str(len(c.epochs)), *(_first_and_last(c)), _best_of(c, goal)]
        for c in curves.curves
    ]
    left_out = len(others) - len(shown)
    note = " ".join(
        text
        for text in (
            window.note("value"),
            f"{left_out} of the {len(others)} grey curves are left out." if left_out else "",
        )
        if text
    )
    return Figure(
        name="curves",
        title=title,
        sentence=curves.sentence,
        body=draw_widths(draw),
        legend=_curve_legend(best, others),
        table=Table(["trial", "state", "epochs", "first", "last", "best"], rows),
        note=note,
        is_wide=True,
    )


def _is_best(curve: Curve) -> bool:
    return curve.rank is not None and curve.rank <= BEST_CURVES and (curve.state != "pruned" or curve.rank == 1)


class _Whole(Linear):
    """A scale with ticks at whole numbers only."""

    @classmethod
    def axis(cls, axis: Axis) -> Axis:
        """Return the axis with whole ticks."""
        assert isinstance(axis.scale, Linear), axis
        return Axis(cls(axis.scale.low, axis.scale.high), axis.title, axis.grid)

    def ticks(self, most: int) -> list[Tick]:
        """Return ticks at whole numbers."""
        ticks = [tick for tick in super().ticks(most) if abs(tick.value - round(tick.value)) < 1e-9]
        return [Tick(tick.value, f"{round(tick.value)}") for tick in ticks]


def _points(curve: Curve, window: Window) -> list[tuple[float, float]]:
    return [(float(e), window.clip(v)) for e, v in zip(curve.epochs, curve.values, strict=True) if v is not None]


def _mark_best(frame: Frame, best: Sequence[Curve], window: Window, goal: Goal) -> None:
    first = next((curve for curve in best if curve.rank == 1), None)
    if first is None:
        return
    epoch, value = min(
        ((e, v) for e, v in zip(first.epochs, first.values, strict=True) if v is not None),
        key=lambda pair: (goal.sort_key(pair[1]), pair[0]),
    )
    mark = Mark(x=float(epoch), y=window.clip(value), shape="star", style="c2", size=4, hint=_hint(first))
    draw_marks(frame, [mark])


def _hint(curve: Curve) -> str:
    return f"{named(curve.trial_id)}, rank {curve.rank}, {curve.state}"


def _curve_legend(best: Sequence[Curve], others: Sequence[Curve]) -> str:
    entries: list[LegendEntry] = []
    if best:
        entries.append(("line", "thick c2", f"best: {named(best[0].trial_id)}"))
    if len(best) > 1:
        entries.append(("line", "c1", f"the next {len(best) - 1}" if len(best) > 2 else "the next"))
    if any(curve.state == "pruned" for curve in others):
        entries.append(("line", "dotted c3", "pruned"))
    if any(curve.state != "pruned" for curve in others):
        entries.append(("line", "c3", "others"))
    return legend(entries)


def _first_and_last(curve: Curve) -> list[str]:
    known = [value for value in curve.values if value is not None]
    return [score(known[0]), score(known[-1])]


def _best_of(curve: Curve, goal: Goal) -> str:
    return score(goal.best(value for value in curve.values if value is not None))


_STATE_STYLES = {"completed": "f1", "pruned": "f3", "failed": "f5", "retrying": "f5", "running": "f4"}


def draw_timeline(report: SweepReport) -> Figure:
    """Return the attempts of all workers over time."""
    timeline = report.timeline
    title = "Workers over time"
    if not timeline.is_shown:
        return Figure(name="timeline", title=title, sentence=timeline.sentence)

    def draw(width: float) -> Canvas:
        rows = timeline.workers
        canvas = Canvas(width, 62 + max(30.0, rows * (22.0 if rows <= 12 else 9.0)), f"{title}. {timeline.sentence}")
        scale, unit = duration_scale([timeline.seconds])
        names = Categories([str(row + 1) if rows <= _MOST_LABELLED_WORKERS else "" for row in range(rows)])
        frame = Frame(canvas, Axis(scale, f"working time in {unit}"), Axis(names, "worker", grid=False))
        bars = [
            (
                float(span.worker),
                span.start,
                span.end,
                "f2" if span.phase == "confirm" else _STATE_STYLES.get(span.state, "f4"),
                f"{named(span.trial_id)}: {span.state}, {duration(span.end - span.start)}",
            )
            for span in timeline.spans
        ]
        draw_bars(frame, bars, thickness=0.74)
        for at, _ in timeline.pauses:
            draw_line(frame, [(at, -0.5), (at, rows - 0.5)], "dashed c5")
        return canvas

    rows = [
        [named(s.trial_id), str(s.attempt), s.state, str(s.worker + 1), f"{s.start:.1f}", f"{s.end:.1f}"]
        for s in timeline.spans
    ]
    return Figure(
        name="timeline",
        title=title,
        sentence=timeline.sentence,
        body=draw_widths(draw),
        legend=_timeline_legend(report),
        table=Table(["trial", "attempt", "state", "row", "start in s", "end in s"], rows),
        note="A row is a place for one trial at a time; the ledger does not name the machine behind it.",
        is_wide=True,
    )


def _timeline_legend(report: SweepReport) -> str:
    spans = report.timeline.spans
    states = dict.fromkeys(span.state for span in spans if span.phase == "search")
    words = {"retrying": "failed, tried again"}
    entries: list[LegendEntry] = [
        ("field", _STATE_STYLES.get(state, "f4"), words.get(state, state)) for state in states
    ]
    if any(span.phase == "confirm" for span in spans):
        entries.append(("field", "f2", "confirmation"))
    if report.timeline.pauses:
        entries.append(("line", "dashed c5", "pause, left out"))
    return legend(entries)
