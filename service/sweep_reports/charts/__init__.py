"""Charts as inline SVG: scales, axes and marks, drawn for a given width, coloured by the page's style sheet."""

from service.sweep_reports.charts.axes import Axis, Frame
from service.sweep_reports.charts.canvas import Canvas, number, text_width
from service.sweep_reports.charts.cells import Grid, draw_cells, level_of
from service.sweep_reports.charts.marks import (
    Mark,
    Shape,
    draw_band,
    draw_bars,
    draw_dots,
    draw_line,
    draw_marks,
    draw_steps,
    symbol,
)
from service.sweep_reports.charts.scales import Categories, Linear, Log, Scale, Tick, duration_scale, scale_for

__all__ = [
    "Axis",
    "Canvas",
    "Categories",
    "Frame",
    "Grid",
    "Linear",
    "Log",
    "Mark",
    "Scale",
    "Shape",
    "Tick",
    "draw_band",
    "draw_bars",
    "draw_cells",
    "draw_dots",
    "draw_line",
    "draw_marks",
    "draw_steps",
    "duration_scale",
    "level_of",
    "number",
    "scale_for",
    "symbol",
    "text_width",
]
