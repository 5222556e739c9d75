"""The page of a report: whole, escaped, small, and without anything from elsewhere."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service.ledgers import Ledger, SweepState, TrialState
from service.sweep_reports import make_report, render_page, render_report
from service.sweep_reports.pages import Pictures
from service.sweep_reports.pages import page as page_module
from service.sweep_reports.pages.pictures import AugmentedImage
from tests.service.sweep_reports.made_sweeps import Clock, MadeSweep

ATTACK = '<script>alert("1")</script>&\'"'
VOID = {"meta", "img", "br", "wbr", "input", "link", "hr"}


class Elements(HTMLParser):
    """All elements of a page with their attributes; every one that is opened must be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(made: MadeSweep, pictures: Pictures | None = None) -> str:
    sweep = made.ledger.sweeps.get(made.sweep.id)
    return render_page(make_report(made.ledger, sweep), pictures)


def check(page: str) -> Elements:
    """Check that a page is well formed, has no script, loads nothing, and describes each picture once in words."""
    elements = Elements(page)
    ids = [attributes["id"] for _, attributes in elements.all if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in elements.all:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        assert not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("href", "#")).startswith("#")
        assert str(attributes.get("src", "data:image/")).startswith("data:image/")
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    for target in (str(a["href"])[1:] for tag, a in elements.all if tag == "a"):
        assert target in ids
    return elements


def test_names_from_users_are_text_and_never_markup(ledger: Ledger, clock: Clock) -> None:
    made = MadeSweep(ledger, clock, name=ATTACK, classes=(ATTACK, "</svg><img src=x>"))
    for index in range(4):
        made.add(0.5 + index / 10, 0.6 + index / 20)
    made.add(state=TrialState.FAILED, error=f"</p>{ATTACK}")
    made.end()
    image = AugmentedImage(label=ATTACK, original="data:image/jpeg;base64,", views=("data:image/jpeg;base64,",))
    mistakes = {each.position: "data:image/jpeg;base64," for each in make_report(ledger, made.sweep).mistakes.worst}
    page = page_of(made, Pictures(policy="<i>", augmented=(image,), mistakes=mistakes))
    elements = check(page)
    assert not any(tag == "i" or attributes.get("src") == "x" for tag, attributes in elements.all)
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("metric", ["{name: val/accuracy, goal: maximize}", "{name: val/loss, goal: minimize}"])
def test_sweeps_of_any_size_give_a_whole_page(ledger: Ledger, clock: Clock, count: int, metric: str) -> None:
    made = MadeSweep(ledger, clock, metric=metric)
    made.add_random(count)
    elements = check(page_of(made))
    pictures = sum(tag == "svg" and attributes.get("role") == "img" for tag, attributes in elements.all)
    assert pictures == 0 if count == 0 else pictures >= 3


def test_a_page_of_failures_says_why(ledger: Ledger, clock: Clock) -> None:
    made = MadeSweep(ledger, clock)
    made.add(state=TrialState.FAILED)
    made.end(SweepState.FAILED)
    page = page_of(made)
    check(page)
    assert "No result" in page
    assert "it broke" in page


def test_many_classes_are_listed_instead_of_drawn(ledger: Ledger, clock: Clock) -> None:
    made = MadeSweep(ledger, clock, classes=tuple(f"class {index}" for index in range(60)), images=240)
    made.add(0.6)
    report = make_report(ledger, made.sweep)
    assert report.confusion.matrix is None
    page = render_page(report)
    check(page)
    assert "A matrix of 60 classes would be too small to read" in page


def test_pictures_that_are_missing_are_named_with_the_reason(ledger: Ledger, clock: Clock) -> None:
    made = MadeSweep(ledger, clock)
    made.add(0.5)
    page = page_of(made, Pictures(missing="The prepared images are gone."))
    section = page[page.index('id="missing"') :]
    assert "Which hyperparameters matter" in section
    assert "The prepared images are gone." in section


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """The contrast of two colours by WCAG 2.2."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_enough_contrast_in_both_schemes(scheme: str) -> None:
    style = (Path(page_module.__file__).parent / "style.css").read_text()
    light, dark = re.split(r"@media \(prefers-color-scheme:dark\)", style, maxsplit=1)
    colours = dict(re.findall(r"--(\w+):(#[0-9a-f]+)", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--(\w+):(#[0-9a-f]+)", dark.partition("}}")[0]))
    for mark in ("c1", "c2", "c3", "c4", "c5", "c6", "mark"):
        assert contrast(colours[mark], colours["card"]) >= 3, mark
    for text in ("ink", "soft", "link"):
        for ground in ("card", "page"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for level in range(5):
        assert contrast(colours[f"x{level}"], colours[f"h{level}"]) >= 4.5, level
    for text, ground in (("ok", "okb"), ("wait", "waitb"), ("bad", "badb")):
        assert contrast(colours[text], colours[ground]) >= 4.5, text


@pytest.mark.slow
def test_a_thousand_trials_take_less_than_ten_seconds_and_two_megabytes(ledger: Ledger, clock: Clock) -> None:
    made = MadeSweep(ledger, clock, images=2000)
    made.add_random(1000)
    sweep = made.end()
    started = time.process_time()
    page = render_report(ledger, sweep)
    assert time.process_time() - started < 10
    assert len(page.encode()) < 2_000_000
    check(page)
