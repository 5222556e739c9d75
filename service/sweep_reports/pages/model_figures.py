"""Figures of the chosen model: augmentation, confusion, mistakes, calibration, optimism and confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Final

from service.confirmations import difference_text, score_text
from service.sweep_reports.charts import (
    Axis,
    Canvas,
    Categories,
    Frame,
    Grid,
    Linear,
    Mark,
    Shape,
    draw_cells,
    draw_line,
    draw_marks,
)
from service.sweep_reports.facts import SweepReport, score
from service.sweep_reports.facts.base import named
from service.sweep_reports.facts.decisions import ConfirmedRecipe
from service.sweep_reports.pages.figures import NARROW, Figure, LegendEntry, Table, legend
from service.sweep_reports.pages.pictures import Pictures

__all__ = [
    "draw_augmentation",
    "draw_calibration",
    "draw_confirmation",
    "draw_confusion",
    "draw_mistakes",
    "draw_optimism",
]

_MOST_CLASSES = 12
"""A matrix of more classes is not drawn, since its fields could not be read on a phone."""


_MARKS: Final[tuple[tuple[Shape, str], ...]] = (("disc", "c1"), ("ring", "c1"), ("diamond", "c2"))


def draw_augmentation(pictures: Pictures) -> Figure:
    """Return training images beside views of them by the policy of the recipe to use."""
    title = "What the augmentation does"
    if pictures.missing or not pictures.augmented:
        return Figure(name="augmentation", title=title, sentence=pictures.missing or "There are no training images.")
    rows = "".join(
        f'<div class="strip"><p>{escape(each.label)}</p>'
        f'<figure><img src="{each.original}" alt="{escape(f"training image, {each.label}")}">'
        "<figcaption>image</figcaption></figure>"
        + "".join(
            f'<figure><img src="{view}" alt="{escape(f"view {n} of it")}"><figcaption>view {n}</figcaption></figure>'
            for n, view in enumerate(each.views, start=1)
        )
        + "</div>"
        for each in pictures.augmented
    )
    what = "changes nothing" if pictures.policy == "none" else "gives these views"
    return Figure(
        name="augmentation",
        title=title,
        sentence=f"The recipe to use augments with {pictures.policy}, which {what} of training images.",
        body=f'<div class="strips">{rows}</div>',
    )


def draw_confusion(report: SweepReport) -> Figure:
    """Return the confusion matrix, or the most frequent confusions of many classes."""
    confusion, title = report.confusion, "Which classes are confused"
    if not confusion.is_shown:
        return Figure(name="confusion", title=title, sentence=confusion.sentence)
    rows = [[pair.label, pair.predicted, str(pair.images), f"{pair.share:.1%}"] for pair in confusion.pairs]
    table = Table(["true class", "predicted", "images", "of the class"], rows)
    if confusion.matrix is None or len(confusion.classes) > _MOST_CLASSES:
        note = f"A matrix of {len(confusion.classes)} classes would be too small to read; the most frequent confusions:"
        return Figure(
            name="confusion", title=title, sentence=confusion.sentence, body=_draw_pairs(report), table=table, note=note
        )
    totals = [max(sum(row), 1) for row in confusion.matrix]
    shares = [[count / total for count in row] for row, total in zip(confusion.matrix, totals, strict=True)]
    size = len(confusion.classes)
    canvas = draw_cells(
        Grid(
            rows=confusion.classes,
            columns=confusion.classes,
            levels=[
                [None if not n else min(4, int(s * 5)) for n, s in zip(*rows_, strict=True)]
                for rows_ in zip(confusion.matrix, shares, strict=True)
            ],
            texts=[[str(count) for count in row] for row in confusion.matrix],
            row_title="true class",
            column_title="predicted class",
            marked=frozenset((i, i) for i in range(size)),
            hints=[
                [
                    f"{true} taken for {predicted}: {confusion.matrix[r][c]} ({shares[r][c]:.1%})"
                    for c, predicted in enumerate(confusion.classes)
                ]
                for r, true in enumerate(confusion.classes)
            ],
        ),
        width=NARROW,
        label=f"{title}. {confusion.sentence}",
        row_height=40.0 if size <= 4 else 26.0,
    )
    return Figure(
        name="confusion",
        title=title,
        sentence=confusion.sentence,
        body=canvas.render(),
        table=table,
        note="Numbers of val images; a darker field is a larger part of the true class. Framed fields are right.",
    )


def _draw_pairs(report: SweepReport) -> str:
    pairs = report.confusion.pairs[:10]
    if not pairs:
        return ""
    canvas = Canvas(NARROW, 58 + 34 * len(pairs), f"Most frequent confusions. {report.confusion.sentence}")
    scale = Linear(0.0, max(pair.images for pair in pairs) * 1.08)
    for index, pair in enumerate(pairs):
        y = 24 + index * 34
        canvas.text(2, y, f"{pair.label[:22]} taken for {pair.predicted[:22]}: {pair.images}", "t")
        canvas.rectangle(2, y + 5, scale.unit(pair.images) * 300, 10, "f1")
    return canvas.render()


def draw_mistakes(report: SweepReport, pictures: Pictures) -> Figure:
    """Return the images of the worst mistakes."""
    mistakes, title = report.mistakes, "Worst mistakes"
    if not mistakes.is_shown:
        return Figure(name="mistakes", title=title, sentence=mistakes.sentence)
    rows = [[str(each.position), each.label, each.predicted, f"{each.true_probability:.1%}"] for each in mistakes.worst]
    body = "".join(
        f'<figure><img src="{pictures.mistakes[each.position]}" '
        f'alt="{escape(f"val image {each.position}, {each.label}, taken for {each.predicted}")}">'
        f"<figcaption><b>{escape(each.label)}</b> taken for <b>{escape(each.predicted)}</b>"
        f"<br>true class {each.true_probability:.1%}</figcaption></figure>"
        for each in mistakes.worst
        if each.position in pictures.mistakes
    )
    return Figure(
        name="mistakes",
        title=title,
        sentence=mistakes.sentence,
        body=f'<div class="gallery">{body}</div>' if body else "",
        table=Table(["place in the split", "true class", "predicted", "probability of the true class"], rows),
        note="" if body else pictures.missing or "",
        is_wide=bool(body),
    )


def draw_calibration(report: SweepReport) -> Figure:
    """Return the reliability diagram."""
    calibration, title = report.calibration, "Can its probabilities be believed"
    if not calibration.is_shown:
        return Figure(name="calibration", title=title, sentence=calibration.sentence)
    canvas = Canvas(NARROW, 230, f"{title}. {calibration.sentence}")
    unit = Linear(0.0, 1.02)
    frame = Frame(canvas, Axis(unit, "probability of the predicted class"), Axis(unit, "accuracy"))
    draw_line(frame, [(0.0, 0.0), (1.0, 1.0)], "dashed c4")
    most = max(each.images for each in calibration.bins)
    draw_line(frame, [(each.confidence, each.accuracy) for each in calibration.bins], "c1")
    marks = [
        Mark(
            x=each.confidence,
            y=each.accuracy,
            style="c1",
            size=2.5 + 4.5 * (each.images / most) ** 0.5,
            hint=f"{each.images} images: probability {each.confidence:.1%}, accuracy {each.accuracy:.1%}",
        )
        for each in calibration.bins
    ]
    draw_marks(frame, marks)
    rows = [
        [f"{each.low:.1f} to {each.high:.1f}", str(each.images), f"{each.confidence:.1%}", f"{each.accuracy:.1%}"]
        for each in calibration.bins
    ]
    entries: list[LegendEntry] = [
        ("disc", "c1", "images, more for a larger disc"),
        ("line", "dashed c4", "probabilities that are right"),
    ]
    return Figure(
        name="calibration",
        title=title,
        sentence=calibration.sentence,
        body=canvas.render(),
        legend=legend(entries),
        table=Table(["probability", "images", "mean probability", "accuracy"], rows),
    )


def draw_optimism(report: SweepReport) -> Figure:
    """Return the best score beside what is to be expected of it."""
    optimism, title = report.optimism, "How optimistic the best score is"
    if not optimism.is_shown or optimism.measured is None or optimism.corrected is None:
        return Figure(name="optimism", title=title, sentence=optimism.sentence)
    names = ["measured", "expected"]
    values = [optimism.measured, optimism.corrected]
    headline = report.headline
    intervals: list[tuple[float, float] | None] = [None, None]
    if headline.value is not None and headline.low is not None and headline.high is not None:
        names.append("confirmed")
        values.append(headline.value)
        intervals.append((headline.low, headline.high))
    canvas = Canvas(NARROW, 60 + 30 * len(names), f"{title}. {optimism.sentence}")
    ends = [*values, *(end for interval in intervals if interval for end in interval)]
    frame = Frame(canvas, Axis(Linear.around(ends), report.sweep.metric), Axis(Categories(names), "", grid=False))
    for index, (value, interval) in enumerate(zip(values, intervals, strict=True)):
        if interval is not None:
            canvas.line(frame.x(interval[0]), frame.y(index), frame.x(interval[1]), frame.y(index), "whisker")
        shape, style = _MARKS[index]
        draw_marks(frame, [Mark(x=value, y=float(index), shape=shape, style=style, size=4.5, hint=score(value))])
    return Figure(
        name="optimism",
        title=title,
        sentence=optimism.sentence,
        body=canvas.render(),
        table=Table(["score", report.sweep.metric], [[n, score(v)] for n, v in zip(names, values, strict=True)]),
        note="Expected: of the best trial on new images, by resampling the val images. "
        + (
            "Confirmed: of the recipe to use, on confirmation images, with its 95 % interval." if len(names) > 2 else ""
        ),
    )


def draw_confirmation(report: SweepReport) -> Figure:
    """Return the confirmed recipes with their leads over the default, measured and corrected."""
    confirmation, title = report.confirmation, "Confirmation on fresh seeds"
    if not confirmation.is_shown:
        return Figure(name="confirmation", title=title, sentence=confirmation.sentence)
    bounded = confirmation.bounded
    leads = [recipe for recipe in confirmation.recipes if recipe.lead is not None]
    body = _draw_leads(report, leads) if leads else ""
    rows = [
        [
            named(recipe.trial_id) if recipe.trial_id else "not in the search",
            recipe.role,
            _score(recipe.search_score, bounded),
            _score(recipe.retrained_score, bounded),
            _difference(recipe.measured_lead, bounded),
            _difference(recipe.lead, bounded),
            " to ".join(_difference(end, bounded) for end in (recipe.low, recipe.high) if end is not None),
            "" if recipe.probability is None else f"{min(recipe.probability, 0.999):.3f}",
            "chosen" if recipe.is_chosen else "",
        ]
        for recipe in confirmation.recipes
    ]
    return Figure(
        name="confirmation",
        title=title,
        sentence=confirmation.sentence,
        body=body,
        legend=_open_table(rows),
        is_wide=True,
        note=" ".join([*confirmation.notes, f"A winner needs a probability of {confirmation.gate:g}."]),
    )


def _open_table(rows: Sequence[Sequence[str]]) -> str:
    header = [
        "recipe",
        "role",
        "search",
        "retrained",
        "measured lead",
        "corrected lead",
        "95 % interval",
        "P(better)",
        "",
    ]
    head = "".join(f'<th scope="col">{name}</th>' if name else "<td></td>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Confirmed recipes"><table><thead><tr>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _draw_leads(report: SweepReport, leads: Sequence[ConfirmedRecipe]) -> str:
    names = [named(recipe.trial_id or "") for recipe in leads]
    confirmation = report.confirmation
    scale, unit = (100, "points") if confirmation.bounded else (1, "loss")
    title = f"Corrected leads over the default in {unit}. {confirmation.sentence}"
    canvas = Canvas(NARROW, 60 + 30 * len(leads), title)
    ends = [scale * end for recipe in leads for end in (recipe.low, recipe.high, recipe.lead, 0.0) if end is not None]
    frame = Frame(
        canvas,
        Axis(Linear.around(ends), f"corrected lead over the default, {unit}"),
        Axis(Categories(names), "", grid=False),
    )
    canvas.line(frame.x(0.0), frame.top, frame.x(0.0), frame.bottom, "zero")
    for index, recipe in enumerate(leads):
        assert recipe.lead is not None, recipe
        if recipe.low is not None and recipe.high is not None:
            low, high = frame.x(scale * recipe.low), frame.x(scale * recipe.high)
            canvas.line(low, frame.y(index), high, frame.y(index), "whisker")
        x, y = scale * recipe.lead, float(index)
        mark = Mark(x=x, y=y, size=4.5)
        draw_marks(frame, [replace(mark, shape="star", style="c2") if recipe.is_chosen else mark])
    return canvas.render()


def _score(value: float | None, bounded: bool) -> str:
    return "" if value is None else score_text(value, bounded=bounded)


def _difference(value: float | None, bounded: bool) -> str:
    return "" if value is None else difference_text(value, bounded=bounded)
