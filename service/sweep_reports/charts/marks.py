"""Marks of a chart: points, lines, steps, bars and bands.

The state of a trial is shown by the shape of its mark as well as by its colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from service.sweep_reports.charts.axes import Frame
from service.sweep_reports.charts.canvas import number

__all__ = ["Mark", "Shape", "draw_band", "draw_bars", "draw_dots", "draw_line", "draw_marks", "draw_steps", "symbol"]

Shape = Literal["disc", "ring", "diamond", "star", "cross", "square", "triangle"]
Place = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A point of a chart. style: its class in the style sheet. hint: shown to a mouse that rests on it."""

    x: float
    y: float
    shape: Shape = "disc"
    style: str = "c1"
    size: float = 3.5
    hint: str = ""


def draw_marks(frame: Frame, marks: Iterable[Mark]) -> None:
    """Draw points, each with its hint."""
    for mark in marks:
        frame.canvas.shape(
            _SHAPES[mark.shape](frame.x(mark.x), frame.y(mark.y), mark.size), f"{mark.style} {mark.shape}", mark.hint
        )


def symbol(shape: Shape, x: float, y: float, style: str, size: float = 3.5) -> str:
    """Return a mark at a place of a canvas, for a legend."""
    return f'<path d="{_SHAPES[shape](x, y, size)}" class="{style} {shape}"/>'


def draw_dots(frame: Frame, places: Iterable[Place], style: str) -> None:
    """Draw many points as one path: a line of no length with round ends is a dot."""
    frame.canvas.path("".join(f"M{number(frame.x(x))} {number(frame.y(y))}h0" for x, y in places), f"dots {style}")


def draw_line(frame: Frame, places: Sequence[Place], style: str, hint: str = "") -> None:
    """Draw a line through places; a single place becomes a dot."""
    if not places:
        return
    ends = [f"{number(frame.x(x))} {number(frame.y(y))}" for x, y in places]
    frame.canvas.shape(f"M{'L'.join(ends)}" if len(ends) > 1 else f"M{ends[0]}h0", f"line {style}", hint)


def draw_steps(frame: Frame, places: Sequence[Place], style: str, *, until: float | None = None) -> None:
    """Draw a line that keeps each value until the next place, and the last one until `until`."""
    if not places:
        return
    parts = [f"M{number(frame.x(places[0][0]))} {number(frame.y(places[0][1]))}"]
    parts += [f"H{number(frame.x(x))}V{number(frame.y(y))}" for x, y in places[1:]]
    if until is not None:
        parts.append(f"H{number(frame.x(until))}")
    frame.canvas.path("".join(parts), f"line {style}")


def draw_band(frame: Frame, low: Sequence[Place], high: Sequence[Place], style: str) -> None:
    """Fill the area between two lines."""
    ends = [f"{number(frame.x(x))} {number(frame.y(y))}" for x, y in [*low, *reversed(high)]]
    frame.canvas.path(f"M{'L'.join(ends)}Z" if ends else "", style)


def draw_bars(frame: Frame, bars: Iterable[tuple[float, float, float, str, str]], *, thickness: float = 0.62) -> None:
    """Draw horizontal bars on categories: (category's index, start, end, style, hint)."""
    height = frame.band * thickness
    for index, start, end, style, hint in bars:
        x, y = frame.x(min(start, end)), frame.y(index) - height / 2
        frame.canvas.rectangle(x, y, abs(frame.x(end) - frame.x(start)), height, style, hint)


def _polygon(
    corners: int, *, turn: float, inner: float = 1.0, grow: float = 1.0
) -> Callable[[float, float, float], str]:
    def draw(x: float, y: float, size: float) -> str:
        count = corners if inner == 1.0 else 2 * corners
        angles = [turn + 2 * math.pi * index / count for index in range(count)]
        radii = [size * grow * (inner if index % 2 and inner != 1.0 else 1.0) for index in range(count)]
        ends = [
            f"{number(x + r * math.cos(a))} {number(y + r * math.sin(a))}" for r, a in zip(radii, angles, strict=True)
        ]
        return f"M{'L'.join(ends)}Z"

    return draw


def _circle(x: float, y: float, size: float) -> str:
    radius, width = number(size), number(2 * size)
    return f"M{number(x - size)} {number(y)}a{radius} {radius} 0 1 0 {width} 0a{radius} {radius} 0 1 0 -{width} 0Z"


def _cross(x: float, y: float, size: float) -> str:
    arm, whole = number(size * 0.9), number(size * 1.8)
    left, top = number(x - size * 0.9), number(y - size * 0.9)
    return f"M{left} {top}l{whole} {whole}m-{whole} 0l{whole} -{whole}m-{arm} {arm}"


_SHAPES: Final[dict[Shape, Callable[[float, float, float], str]]] = {
    "disc": _circle,
    "ring": _circle,
    "diamond": _polygon(4, turn=0.0, grow=1.3),
    "square": _polygon(4, turn=math.pi / 4, grow=1.2),
    "triangle": _polygon(3, turn=-math.pi / 2, grow=1.3),
    "star": _polygon(5, turn=-math.pi / 2, inner=0.45, grow=1.9),
    "cross": _cross,
}
