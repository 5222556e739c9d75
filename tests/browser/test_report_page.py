"""The page of a report in a browser: nothing is cut off or covered, in either scheme, on a phone and on a desk."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page

from service.confirmations.readings import compute_decision
from service.ledgers import Ledger, Sweep, SweepState, TrialState
from service.sweep_reports import Pictures, make_report, render_page
from service.sweep_reports.pages.pictures import AugmentedImage
from tests.browser_layouts import check_layout
from tests.ready_ledgers import ready_ledgers
from tests.service.confirmations.searched_sweeps import SearchedSweep
from tests.service.sweep_reports.made_sweeps import Clock, MadeSweep

pytestmark = pytest.mark.browser

LONG = "a class with a name that no column of a phone has room for"
WINDOWS = [(1280, "light"), (1280, "dark"), (800, "light"), (360, "light"), (360, "dark")]


def rich_sweep(ledger: Ledger, clock: Clock) -> Sweep:
    """A sweep of two optimizers with completed, pruned and failed trials, and a pause."""
    made = MadeSweep(ledger, clock, classes=("sound", LONG, "c"), name="a-rather-long-name-of-a-sweep-of-solar-cells")
    made.add_random(30)
    clock.now += 600_000
    made.add_random(15)
    made.add(state=TrialState.FAILED, error=f"RuntimeError: {'x' * 300}")
    return made.end()


def tiny_sweep(ledger: Ledger, clock: Clock) -> Sweep:
    """A sweep with one trial, whose loss is minimized."""
    made = MadeSweep(ledger, clock, metric="{name: val/loss, goal: minimize}")
    made.add(0.7, 0.00012)
    return made.end()


def failed_sweep(ledger: Ledger, clock: Clock) -> Sweep:
    made = MadeSweep(ledger, clock)
    made.add(state=TrialState.FAILED)
    return made.end(SweepState.FAILED)


def confirmed_sweep(ledger: Ledger, clock: Clock) -> Sweep:
    searched = SearchedSweep(ledger, {0.0: 0.6, 0.25: 0.85, 0.5: 0.62, 0.75: 0.7})
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    decision = compute_decision(ledger, searched.sweep, confirmation)
    ledger.sweeps.note(searched.sweep.id, confirmation=confirmation.as_json() | {"decision": decision.as_json()})
    return ledger.sweeps.get(searched.sweep.id)


def many_classes(ledger: Ledger, clock: Clock) -> Sweep:
    made = MadeSweep(ledger, clock, classes=tuple(f"{LONG} {index}" for index in range(20)), images=200)
    made.add(0.6, 0.7)
    made.add(0.5)
    return made.end()


MAKERS = {
    "rich": rich_sweep,
    "tiny": tiny_sweep,
    "failed": failed_sweep,
    "confirmed": confirmed_sweep,
    "many classes": many_classes,
}


@pytest.fixture(scope="module", params=MAKERS)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report as a file; its images are plain colours."""
    folder, clock = tmp_path_factory.mktemp("report"), Clock()
    with ready_ledgers():
        ledger = Ledger.open_file(folder / "ledger.db", clock=clock)
    sweep = MAKERS[request.param](ledger, clock)
    report = make_report(ledger, sweep)
    uri = _plain_image()
    images = tuple(AugmentedImage(label=label, original=uri, views=(uri,) * 4) for label in ("sound", LONG))
    mistakes = {mistake.position: uri for mistake in report.mistakes.worst}
    page = folder / "report.html"
    page.write_text(render_page(report, Pictures(policy="flip", augmented=images, mistakes=mistakes)))
    ledger.close()
    return page


def _plain_image() -> str:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), (120, 150, 90)).save(content, format="JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


@pytest.fixture(params=WINDOWS, ids=lambda window: f"{window[0]}-{window[1]}")
def shown(request: pytest.FixtureRequest, browser: Browser, file: Path) -> Iterator[Page]:
    """The page in a window, with all tables open."""
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    yield page
    page.close()
    assert messages == []


def test_nothing_is_cut_off_or_covered(shown: Page) -> None:
    check_layout(shown)


def test_axe_finds_no_violation(shown: Page) -> None:
    results = Axe().run(shown)
    violations = [
        (violation["id"], [node["html"][:160] for node in violation["nodes"][:3]])
        for violation in results.response["violations"]
    ]
    assert violations == []


def test_the_page_prints_with_every_picture_whole(browser: Browser, file: Path) -> None:
    page = browser.new_page()
    page.goto(file.as_uri())
    document = page.pdf(format="A4")
    page.close()
    assert document.startswith(b"%PDF")
    assert len(document) > 10_000
