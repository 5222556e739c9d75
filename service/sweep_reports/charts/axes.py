"""Axes: a frame around the marks of a chart, with ticks, grid lines and titles that do not run into each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from service.sweep_reports.charts.canvas import FONT_SIZE, Canvas, text_width
from service.sweep_reports.charts.scales import Categories, Scale, Tick

__all__ = ["Axis", "Frame"]

_TOP, _TOP_WITHOUT_TITLE, _RIGHT, _BOTTOM = 22.0, 6.0, 12.0, 36.0
_GAP: Final = 8.0
"""Least space between two labels of an axis."""
_LONGEST: Final = 21
"""Most letters of a category's label."""


@dataclass(frozen=True)
class Axis:
    """An axis with its title. grid: draw a line across the chart at each tick."""

    scale: Scale
    title: str
    grid: bool = True


class Frame:
    """The place of a chart's marks on a canvas, and its axes.

    Args:
        canvas: to draw on.
        x: the axis from left to right.
        y: the axis from bottom to top; its title stands above it. Categories go from top to bottom.
    """

    def __init__(self, canvas: Canvas, x: Axis, y: Axis) -> None:
        self.canvas, self._x, self._y = canvas, x, y
        self.top, self.bottom = _TOP if y.title else _TOP_WITHOUT_TITLE, canvas.height - _BOTTOM
        self._y_ticks = self._labels_of(y.scale, max(2, int((self.bottom - self.top) / 34)))
        widest = max((text_width(tick.label) for tick in self._y_ticks), default=0.0)
        self.left = max(30.0, widest + 10)
        self.right = canvas.width - _RIGHT
        self._draw_y()
        self._draw_x()

    def x(self, value: float) -> float:
        """Return the horizontal place of a value."""
        return self.left + self._x.scale.unit(value) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Return the vertical place of a value."""
        unit = self._y.scale.unit(value)
        if isinstance(self._y.scale, Categories):
            return self.top + unit * (self.bottom - self.top)
        return self.bottom - unit * (self.bottom - self.top)

    @property
    def band(self) -> float:
        """The height of a category of the vertical axis, or the width of one of the horizontal axis."""
        if isinstance(self._y.scale, Categories):
            return self._y.scale.band * (self.bottom - self.top)
        assert isinstance(self._x.scale, Categories), "one axis has categories"
        return self._x.scale.band * (self.right - self.left)

    def _labels_of(self, scale: Scale, most: int) -> list[Tick]:
        if isinstance(scale, Categories):
            most = max(1, int((self.bottom - self.top) / (FONT_SIZE + 3)))
        return [Tick(tick.value, shortened(tick.label)) for tick in scale.ticks(most)]

    def _draw_y(self) -> None:
        for tick in self._y_ticks:
            y = self.y(tick.value)
            if self._y.grid:
                self.canvas.line(self.left, y, self.right, y, "gr")
            self.canvas.text(self.left - 6, y + FONT_SIZE * 0.36, tick.label, "t", "end")
        self.canvas.line(self.left, self.top, self.left, self.bottom, "ax")
        if self._y.title:
            self.canvas.text(2, FONT_SIZE, fitted(self._y.title, self.canvas.width - 4), "tm")

    def _draw_x(self) -> None:
        self.canvas.line(self.left, self.bottom, self.right, self.bottom, "ax")
        for tick in _spaced(self._x.scale, self.x, self.canvas.width):
            x = self.x(tick.value)
            if self._x.grid and not isinstance(self._x.scale, Categories):
                self.canvas.line(x, self.top, x, self.bottom, "gr")
            self.canvas.line(x, self.bottom, x, self.bottom + 3, "ax")
            half = text_width(tick.label) / 2
            middle = min(max(x, half + 1), self.canvas.width - half - 1)
            self.canvas.text(middle, self.bottom + 5 + FONT_SIZE, tick.label, "t", "middle")
        title = fitted(self._x.title, self.canvas.width - self.left)
        self.canvas.text((self.left + self.right) / 2, self.canvas.height - 4, title, "tm", "middle")


def _spaced(scale: Scale, place: Callable[[float], float], width: float) -> list[Tick]:
    """Return as many ticks as have room for their labels beside each other."""
    ticks: list[Tick] = []
    for most in (8, 7, 6, 5, 4, 3, 2, 1):
        count = most * 3 if isinstance(scale, Categories) else most
        ticks = [Tick(tick.value, shortened(tick.label)) for tick in scale.ticks(count)]
        ends = [_ends(place(tick.value), tick.label, width) for tick in ticks]
        if all(right + _GAP <= left for (_, right), (left, _) in pairwise(ends)):
            return ticks
    return ticks[:1]


def _ends(x: float, label: str, width: float) -> tuple[float, float]:
    half = text_width(label) / 2
    middle = min(max(x, half + 1), width - half - 1)
    return middle - half, middle + half


def shortened(label: str, longest: int = _LONGEST) -> str:
    """Return a label with at most `longest` letters."""
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def fitted(text: str, width: float) -> str:
    """Return as much of a text as fits into a width."""
    if text_width(text) <= width:
        return text
    while text and text_width(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
