"""Figures of the space: importance, freeze depth by learning rate, a contour, and trade-offs with cost."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces import Goal
from service.sweep_reports.charts import (
    Axis,
    Canvas,
    Categories,
    Frame,
    Grid,
    Linear,
    Log,
    Mark,
    Scale,
    draw_bars,
    draw_cells,
    draw_dots,
    draw_marks,
    draw_steps,
    duration_scale,
    level_of,
)
from service.sweep_reports.facts import SweepReport, score
from service.sweep_reports.facts.base import named
from service.sweep_reports.facts.contours import ContourAxis
from service.sweep_reports.facts.depths import DepthGrid
from service.sweep_reports.facts.parameters import written
from service.sweep_reports.facts.tradeoffs import TRAINING_SECONDS, Tradeoff
from service.sweep_reports.pages.figures import NARROW, Figure, LegendEntry, Table, legend
from service.sweep_reports.pages.windows import find_window

__all__ = ["draw_contour", "draw_depths", "draw_importance", "draw_tradeoffs"]

_HEIGHT = 220.0


def draw_importance(report: SweepReport) -> Figure:
    """Return the importance of the hyperparameters with their intervals."""
    importance, title = report.importance, "Which hyperparameters matter"
    if not importance.is_shown:
        return Figure(name="importance", title=title, sentence=importance.sentence)
    shown = importance.parameters
    names = Categories([each.label for each in shown])
    canvas = Canvas(NARROW, 58 + 30 * len(shown), f"{title}. {importance.sentence}")
    widest = min(1.0, max(each.high for each in shown))
    x = Axis(Linear(0.0, widest * 1.04 + 0.01, 0.01), "share of the importance in %")
    frame = Frame(canvas, x, Axis(names, "", grid=False))
    draw_bars(
        frame,
        [
            (float(i), 0.0, each.share, "f1" if each.is_clear else "f0", f"{each.label}: {each.share:.1%}")
            for i, each in enumerate(shown)
        ],
    )
    for i, each in enumerate(shown):
        y, low, high = frame.y(i), frame.x(each.low), frame.x(each.high)
        canvas.line(low, y, high, y, "whisker")
        for end in (low, high):
            canvas.line(end, y - 3, end, y + 3, "whisker")
    rows = [
        [
            p.label,
            str(p.trials),
            f"{p.share:.1%}",
            f"{p.low:.1%}",
            f"{p.high:.1%}",
            "yes" if p.is_clear else "no",
            p.direction,
        ]
        for p in shown
    ]
    entries: list[LegendEntry] = [("field", "f1", "told apart from chance"), ("field", "f0", "not told apart")]
    return Figure(
        name="importance",
        title=title,
        sentence=importance.sentence,
        body=canvas.render(),
        legend=legend(entries),
        table=Table(["hyperparameter", "trials", "share", "low", "high", "clear", "direction"], rows),
        note="By PED-ANOVA, with 95 % intervals: if a value decides whether a trial is among the best. Pruned trials "
        "count with the best value that they reached.",
    )


def draw_depths(report: SweepReport) -> list[Figure]:
    """Return a figure of freeze depth by learning rate for each optimizer."""
    depths, goal = report.depths, Goal(report.sweep.goal)
    title = "Freeze depth by learning rate"
    if not depths.is_shown:
        return [Figure(name="depths", title=title, sentence=depths.sentence)]
    medians = [cell.median for grid in depths.grids for row in grid.cells for cell in row if cell is not None]
    edges = _fifths(medians)
    return [
        _draw_depths(grid, edges, goal, name="depths" if i == 0 else f"depths-{i}", title=title)
        for i, grid in enumerate(depths.grids)
    ]


def _fifths(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered[min(len(ordered) - 1, len(ordered) * part // 5)] for part in range(1, 5)]


def _better_level(value: float, edges: Sequence[float], goal: Goal) -> int:
    """Return the level of a value: 4 for the best fifth, 0 for the worst."""
    level = level_of(value, edges)
    return level if goal is Goal.MAXIMIZE else 4 - level


def _draw_depths(grid: DepthGrid, edges: Sequence[float], goal: Goal, *, name: str, title: str) -> Figure:
    known = [
        (goal.sort_key(cell.median), -cell.trials, (r, c))
        for r, row in enumerate(grid.cells)
        for c, cell in enumerate(row)
        if cell is not None
    ]
    best = min(known)[2]
    ranges = [f"{low:.2g} to {high:.2g}" for low, high in zip(grid.edges, grid.edges[1:], strict=False)]
    middles = [
        f"{(low * high) ** 0.5:.1e}".replace("e-0", "e-") for low, high in zip(grid.edges, grid.edges[1:], strict=False)
    ]
    cell = grid.cells[best[0]][best[1]]
    assert cell is not None, "the best field has trials"
    sentence = (
        f"With {grid.optimizer}, freeze depth {grid.depths[best[0]]} and a learning rate from {ranges[best[1]]} has "
        f"the best median: {score(cell.median)} ({cell.trials} of {grid.trials} trials)."
    )
    canvas = draw_cells(
        Grid(
            rows=grid.depths,
            columns=middles,
            levels=[[None if c is None else _better_level(c.median, edges, goal) for c in row] for row in grid.cells],
            texts=[["" if c is None else f"{c.median:.3f}" for c in row] for row in grid.cells],
            row_title="freeze depth",
            column_title="learning rate, middle of the range",
            marked=frozenset([best]),
            hints=[["" if c is None else f"median {score(c.median)} of {c.trials}" for c in row] for row in grid.cells],
        ),
        width=NARROW,
        label=f"{title}, {grid.optimizer}. {sentence}",
    )
    rows = [
        [depth, rates, str(c.trials), score(c.median), score(c.best)]
        for depth, row in zip(grid.depths, grid.cells, strict=True)
        for rates, c in zip(ranges, row, strict=True)
        if c is not None
    ]
    return Figure(
        name=name,
        title=f"{title}: {grid.optimizer}",
        sentence=sentence,
        body=canvas.render(),
        legend=_level_legend(),
        table=Table(["freeze depth", "learning rate", "trials", "median", "best"], rows),
        note="Fields show the median; an empty one has no trial.",
    )


def _level_legend() -> str:
    words = ("worst fifth", "", "middle", "", "best fifth")
    fields = "".join(f'<li><span class="level l{level}"></span>{word}</li>' for level, word in enumerate(words))
    return f'<ul class="legend levels">{fields}</ul>'


def draw_contour(report: SweepReport) -> Figure:
    """Return the smoothed value over the two most important numbers."""
    contour, goal = report.contour, Goal(report.sweep.goal)
    title = "Two hyperparameters together"
    if not contour.is_shown or contour.x is None or contour.y is None:
        return Figure(name="contour", title=title, sentence=contour.sentence)
    canvas = Canvas(NARROW, 250, f"{title}. {contour.sentence}")
    x, y = contour.x, contour.y
    frame = Frame(canvas, Axis(_scale(x), x.label, grid=False), Axis(_scale(y), y.label, grid=False))
    _fill(frame, contour.cells, contour.edges, goal)
    trials = [
        trial
        for trial in report.trials
        if trial.value is not None
        and trial.state in ("completed", "pruned")
        and x.key in trial.point
        and y.key in trial.point
    ]
    best = min((t for t in trials if t.value is not None), key=lambda t: goal.sort_key(t.value or 0.0))
    draw_dots(frame, [(float(t.point[x.key]), float(t.point[y.key])) for t in trials], "small c6")
    mark = Mark(
        x=float(best.point[x.key]),
        y=float(best.point[y.key]),
        shape="star",
        style="c2 outlined",
        size=5,
        hint=f"{named(best.trial_id)}: {score(best.value or 0.0)}",
    )
    draw_marks(frame, [mark])
    ordered = sorted(trials, key=lambda t: goal.sort_key(t.value or 0.0))
    rows = [
        [named(t.trial_id), written(t.point[x.key]), written(t.point[y.key]), score(t.value or 0.0)] for t in ordered
    ]
    return Figure(
        name="contour",
        title=f"{title}: {x.label} and {y.label}",
        sentence=contour.sentence,
        body=canvas.render(),
        legend=_level_legend(),
        table=Table(["trial", x.label, y.label, report.sweep.metric], rows),
        note="The mean of nearby trials, near ones counting more; empty where no trial is near. Points are trials, the "
        "star is the best of them.",
    )


def _scale(axis: ContourAxis) -> Scale:
    return Log(axis.low, axis.high) if axis.is_log else Linear(axis.low, axis.high)


def _fill(frame: Frame, cells: Sequence[Sequence[float | None]], edges: Sequence[float], goal: Goal) -> None:
    """Fill the area with levels; neighbours of one level in a line become one field."""
    lines, columns = len(cells), len(cells[0])
    height, width = (frame.bottom - frame.top) / lines, (frame.right - frame.left) / columns
    for index, line in enumerate(cells):
        levels = [None if value is None else _better_level(value, edges, goal) for value in line]
        start = 0
        for column in range(1, columns + 1):
            if column == columns or levels[column] != levels[start]:
                if levels[start] is not None:
                    x, y = frame.left + start * width, frame.bottom - (index + 1) * height
                    frame.canvas.rectangle(x, y, (column - start) * width + 0.3, height + 0.3, f"h{levels[start]}")
                start = column


def draw_tradeoffs(report: SweepReport) -> list[Figure]:
    """Return the metric against each cost, with the front of trials that no other beats in both."""
    tradeoffs = report.tradeoffs
    if not tradeoffs.is_shown:
        return [Figure(name="tradeoffs", title=f"{report.sweep.metric} against cost", sentence=tradeoffs.sentence)]
    return [
        _draw_tradeoff(report, each, name="tradeoffs" if i == 0 else f"tradeoffs-{i}")
        for i, each in enumerate(tradeoffs.tradeoffs)
    ]


def _draw_tradeoff(report: SweepReport, each: Tradeoff, *, name: str) -> Figure:
    goal = Goal(report.sweep.goal)
    title = f"{report.sweep.metric} against {each.cost}"
    canvas = Canvas(NARROW, _HEIGHT, f"{title}. {each.sentence}")
    costs = [point.cost for point in each.points]
    axis = Axis(_cost_scale(costs), each.cost)
    if each.cost == TRAINING_SECONDS and not isinstance(axis.scale, Log):
        scale, unit = duration_scale(costs)
        axis = Axis(scale, f"training time of a trial in {unit}")
    elif each.cost == TRAINING_SECONDS:
        axis = Axis(axis.scale, "training time of a trial in s")
    window = find_window([point.value for point in each.points], goal)
    frame = Frame(canvas, axis, Axis(window.scale, report.sweep.metric))
    front = sorted((p for p in each.points if p.is_front), key=lambda p: p.cost if each.goal == "minimize" else -p.cost)
    draw_steps(frame, [(p.cost, window.clip(p.value)) for p in front], "c2")
    draw_dots(frame, [(p.cost, window.clip(p.value)) for p in each.points if not p.is_front], "c1")
    draw_marks(
        frame,
        [
            Mark(
                x=p.cost,
                y=window.clip(p.value),
                shape="diamond",
                style="c2",
                hint=f"{named(p.trial_id)}: {score(p.value)}",
            )
            for p in front
        ],
    )
    rows = [[named(p.trial_id), f"{p.cost:.4g}", score(p.value), "yes" if p.is_front else "no"] for p in each.points]
    entries: list[LegendEntry] = [
        ("diamond", "c2", "on the front: no trial is better in both"),
        ("disc", "c1", "other trial"),
    ]
    return Figure(
        name=name,
        title=title,
        sentence=each.sentence,
        body=canvas.render(),
        legend=legend(entries),
        table=Table(["trial", each.cost, report.sweep.metric, "front"], rows),
        note=window.note("trial"),
    )


def _cost_scale(costs: Sequence[float]) -> Scale:
    low, high = min(costs), max(costs)
    return Log.around(costs) if low > 0 and high / low > 30 else Linear.around(costs)
