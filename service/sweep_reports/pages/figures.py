"""Figures: a picture with its title, a sentence that says what it shows, and its numbers as a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal, TypeAlias

from service.sweep_reports.charts import Canvas, Shape, symbol

__all__ = ["NARROW", "WIDE", "Figure", "LegendEntry", "Table", "draw_widths", "legend", "render_figure", "render_table"]

NARROW: Final = 320.0
"""Width of a chart in user units: on a phone of 360 px a unit is at least a pixel, so that text stays readable."""
WIDE: Final = 700.0

MOST_ROWS: Final = 60


Sample: TypeAlias = Shape | Literal["line", "field"]
LegendEntry: TypeAlias = tuple[Sample, str, str]
"""A shape, its style in the style sheet, and what it means."""


@dataclass(frozen=True)
class Table:
    """Numbers behind a picture. Cells are texts."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture of a report.

    name: its anchor in the page. body: the picture as HTML; empty if the sweep has too little for one, and the sentence
    says why. legend: HTML. note: how to read it. is_wide: takes the whole width of the page.
    """

    name: str
    title: str
    sentence: str
    body: str = ""
    legend: str = ""
    table: Table | None = None
    note: str = ""
    is_wide: bool = False


def draw_widths(draw: Callable[[float], Canvas]) -> str:
    """Return a chart for phones and one for wide windows, of which the page shows one."""
    return f"{draw(NARROW).render('narrow')}{draw(WIDE).render('broad')}"


def legend(entries: Sequence[LegendEntry]) -> str:
    """Return the meaning of marks."""
    listed = "".join(f"<li>{_sample(shape, style)}{escape(words)}</li>" for shape, style, words in entries)
    return f'<ul class="legend">{listed}</ul>'


def _sample(shape: Sample, style: str) -> str:
    if shape == "line":
        inner = f'<path d="M1 6H19" class="line {style}"/>'
    elif shape == "field":
        inner = f'<rect x="3" y="1" width="14" height="10" class="{style}"/>'
    else:
        inner = symbol(shape, 10, 6, style)
    return f'<svg viewBox="0 0 20 12" aria-hidden="true">{inner}</svg>'


def render_figure(figure: Figure) -> str:
    """Return a figure as a part of the page."""
    words = [f"<h3>{escape(figure.title)}</h3>", f"<p>{escape(figure.sentence)}</p>"]
    note = f'<p class="note">{escape(figure.note)}</p>' if figure.note else ""
    has_rows = figure.table is not None and figure.table.rows
    table = render_table(figure.table, f"Numbers: {figure.title}") if figure.table and has_rows else ""
    picture = f'<div class="picture">{figure.body}</div>'
    if figure.is_wide:
        parts = f'<div class="words">{"".join(words)}{figure.legend}{note}</div>{picture}{table}'
        return f'<section class="figure wide" id="{figure.name}">{parts}</section>'
    return f'<section class="figure" id="{figure.name}">{"".join(words)}{picture}{figure.legend}{note}{table}</section>'


def render_table(table: Table, title: str, *, summary: str = "Numbers") -> str:
    """Return a table behind a heading that opens it; only its first rows if there are many."""
    rows = table.rows[:MOST_ROWS]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    more = len(table.rows) - len(rows)
    rest = f'<p class="note">{more:,} more rows are in the JSON of the report.</p>' if more else ""
    return (
        f'<details><summary>{escape(summary)}</summary><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{rest}'
        "</details>"
    )


def _cell(text: str) -> str:
    style = ' class="n"' if re.fullmatch(r"[-+]?[\d.,]+(e[-+]?\d+)?%?", text) else ""
    return f"<td{style}>{escape(text)}</td>"
