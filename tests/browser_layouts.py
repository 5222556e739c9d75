"""Measurements of a report in a browser: is anything cut off, covered, or too small to read?"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page

__all__ = ["check_layout"]

_BOXES = """() => [...document.querySelectorAll("svg[role=img]")].filter(svg => svg.clientWidth > 0).map(svg => {
  const frame = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].map(text => {
    const box = text.getBoundingClientRect();
    return {words: text.textContent, left: box.left, right: box.right, top: box.top, bottom: box.bottom};
  });
  return {label: svg.getAttribute("aria-label"), scale: frame.width / svg.viewBox.baseVal.width,
          left: frame.left, right: frame.right, top: frame.top, bottom: frame.bottom, texts};
})"""
_TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter(
  element => !element.closest(".scroll table, svg *") && element.getBoundingClientRect().right > innerWidth + 0.5
).map(element => element.outerHTML.slice(0, 120))"""


_CUT_OFF = """() => [...document.querySelectorAll("body *")].filter(
  element => getComputedStyle(element).textOverflow === "ellipsis" && element.scrollWidth > element.clientWidth
).map(element => element.outerHTML.slice(0, 120))"""
_BROKEN_NAMES = """() => [...document.querySelectorAll("dt")].filter(name => {
  const walker = document.createTreeWalker(name, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (walker.nextNode()) {
    range.selectNodeContents(walker.currentNode);
    if (range.getClientRects().length > 1 && !/\\s/.test(walker.currentNode.textContent)) return true;
  }
  return false;
}).map(name => name.textContent)"""


def check_layout(document: Page | Locator) -> None:
    """Fail if the document of a page, or of an element in a frame, is wider than its window, or if texts overlap.

    Captions that are cut off fail too, and names that break within a word instead of behind a dot or an underscore.
    """
    assert document.evaluate(_CUT_OFF) == []
    assert document.evaluate(_BROKEN_NAMES) == []
    assert document.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert document.evaluate(_TOO_WIDE) == []
    for picture in document.evaluate(_BOXES):
        assert picture["scale"] >= 0.999, (picture["label"], picture["scale"])  # below, text is smaller than 11 px
        for index, text in enumerate(picture["texts"]):
            assert _is_inside(text, picture), (picture["label"], text)
            covering = [other["words"] for other in picture["texts"][:index] if _overlap(text, other)]
            assert covering == [], (picture["label"], text["words"])


def _is_inside(text: dict[str, Any], frame: dict[str, Any]) -> bool:
    spare = 1.0
    return bool(
        frame["left"] - spare <= text["left"]
        and text["right"] <= frame["right"] + spare
        and frame["top"] - 2 * spare <= text["top"]
        and text["bottom"] <= frame["bottom"] + spare
    )


def _overlap(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Return whether letters touch: lines of text have two pixels of empty space above and below."""
    across = min(first["right"], second["right"]) - max(first["left"], second["left"])
    down = min(first["bottom"], second["bottom"]) - max(first["top"], second["top"])
    return bool(across > 0.5 and down > 3)
