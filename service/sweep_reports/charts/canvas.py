"""A canvas: the elements of one SVG picture as text."""

from __future__ import annotations

from html import escape
from typing import Final

__all__ = ["FONT_SIZE", "Canvas", "number", "text_width"]

FONT_SIZE: Final = 11.0
"""Height of the text in user units; a picture is never shown smaller than drawn."""

_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[] -"), frozenset("mwMWGOQ@%CDHNU")


def number(value: float) -> str:
    """Return a coordinate with one decimal, as short as possible."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Return an estimate of a text's width in user units, rather too wide than too narrow."""
    shares = (
        0.36 if letter in _NARROW else 0.92 if letter in _WIDE else 1.0 if ord(letter) > 0x2E80 else 0.62
        for letter in text
    )
    return size * sum(shares)


class Canvas:
    """Collects elements of a picture of `width` x `height` user units; colours come from classes of the page's style.

    label: the picture in words, for those who do not see it.
    """

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width, self.height, self.label = width, height, label
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a straight line."""
        self._parts.append(
            f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" class="{style}"/>'
        )

    def path(self, data: str, style: str) -> None:
        """Draw a path; data: SVG's commands."""
        if data:
            self._parts.append(f'<path d="{data}" class="{style}"/>')

    def rectangle(self, x: float, y: float, width: float, height: float, style: str, hint: str = "") -> None:
        """Draw a rectangle; hint: shown to a mouse that rests on it."""
        place = f'x="{number(x)}" y="{number(y)}" width="{number(max(width, 0.1))}" height="{number(max(height, 0.1))}"'
        self._add("rect", f'{place} class="{style}"', hint)

    def shape(self, data: str, style: str, hint: str = "") -> None:
        """Draw a small closed path with a hint."""
        self._add("path", f'd="{data}" class="{style}"', hint)

    def text(self, x: float, y: float, text: str, style: str = "t", anchor: str = "start") -> None:
        """Write a text whose base line begins, ends or has its middle at (x, y)."""
        aligned = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text x="{number(x)}" y="{number(y)}" class="{style}"{aligned}>{escape(text)}</text>')

    def render(self, style: str = "") -> str:
        """Return the picture as an element of a page."""
        size = f"{number(self.width)} {number(self.height)}"
        return (
            f'<svg viewBox="0 0 {size}" role="img" aria-label="{escape(self.label)}" class="{style}">'
            f"{''.join(self._parts)}</svg>"
        )

    def _add(self, name: str, attributes: str, hint: str) -> None:
        inner = f"><title>{escape(hint)}</title></{name}>" if hint else "/>"
        self._parts.append(f"<{name} {attributes}{inner}")
