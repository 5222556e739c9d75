"""Cells: a table of values as coloured fields, in a few levels."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from service.sweep_reports.charts.axes import fitted, shortened
from service.sweep_reports.charts.canvas import FONT_SIZE, Canvas, text_width

__all__ = ["LEVELS", "Grid", "draw_cells", "level_of"]

LEVELS = 5
"""Number of colours; the style sheet has a field `h0` and a text `x0` for each."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rows and columns of fields with texts.

    levels: 0 to LEVELS - 1 for each row and column; None leaves the field empty. texts: written into the fields.
    marked: fields with a frame.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    levels: Sequence[Sequence[int | None]]
    texts: Sequence[Sequence[str]]
    row_title: str
    column_title: str
    marked: frozenset[tuple[int, int]] = frozenset()
    hints: Sequence[Sequence[str]] = ()


def level_of(value: float, edges: Sequence[float]) -> int:
    """Return the number of edges that are not above the value."""
    return bisect_right(edges, value)


def draw_cells(grid: Grid, *, width: float, label: str, row_height: float = 26.0) -> Canvas:
    """Draw a grid on a canvas that is as high as its rows need."""
    top = 20.0
    canvas = Canvas(width, top + row_height * len(grid.rows) + 36, label)
    rows = [shortened(row) for row in grid.rows]
    left = min(max([30.0, *(text_width(row) + 10 for row in rows)]), width * 0.4)
    right = width - 8
    cell = (right - left) / max(len(grid.columns), 1)
    canvas.text(2, FONT_SIZE, fitted(grid.row_title, width - 4), "tm")
    for r, row in enumerate(rows):
        y = top + r * row_height
        canvas.text(left - 6, y + row_height / 2 + FONT_SIZE * 0.36, fitted(row, left - 6), "t", "end")
        for c in range(len(grid.columns)):
            _draw_cell(canvas, grid, (r, c), (left + c * cell, y, cell, row_height))
    bottom = top + row_height * len(rows)
    shown_until = -1.0
    for c, column in enumerate(grid.columns):
        text = fitted(column, max(cell * 1.9, 20))
        half, middle = text_width(text) / 2, left + (c + 0.5) * cell
        middle = min(middle, width - half - 1)
        if middle - half > shown_until:
            canvas.text(middle, bottom + 5 + FONT_SIZE, text, "t", "middle")
            shown_until = middle + half + 4
    title = fitted(grid.column_title, width - left)
    canvas.text((left + right) / 2, canvas.height - 4, title, "tm", "middle")
    return canvas


def _draw_cell(canvas: Canvas, grid: Grid, place: tuple[int, int], box: tuple[float, float, float, float]) -> None:
    r, c = place
    x, y, width, height = box
    level = grid.levels[r][c]
    hint = grid.hints[r][c] if grid.hints else ""
    style = "h-none" if level is None else f"h{level}"
    canvas.rectangle(x + 0.5, y + 0.5, width - 1, height - 1, style, hint)
    text = grid.texts[r][c]
    if text and text_width(text) <= width - 3:
        middle = y + height / 2 + FONT_SIZE * 0.36
        canvas.text(x + width / 2, middle, text, "t" if level is None else f"x{level}", "middle")
    if place in grid.marked:
        canvas.rectangle(x + 1.5, y + 1.5, width - 3, height - 3, "marked")
