"""The prepared view of a sweep with trials of every end and of two optimizers, in MLflow's own server and UI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from mlflow.tracking import MlflowClient
from playwright.sync_api import Browser, Page, expect

from service.ledgers import Ledger, Sweep, TrialState
from service.reports import Leaderboard
from service.settings import Home
from service.tracking import MlflowServer, view_address
from service.tracking.run_names import BEST_SIGN, trial_name
from tests.browser_layouts import check_layout
from tests.tracked_sweeps import Clock, deliver_all, mixed_sweep

pytestmark = pytest.mark.browser

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(Path(tmp_path_factory.mktemp("views"))).create()


@pytest.fixture(scope="module")
def board(place: Home) -> Iterator[Leaderboard]:
    with closing(Ledger.open(place, clock=Clock())) as ledger:
        sweep = mixed_sweep(ledger, trials=24)
        deliver_all(ledger, place)
        yield Leaderboard.read(ledger, ledger.sweeps.get(sweep.id))


@pytest.fixture(scope="module")
def base(place: Home, board: Leaderboard) -> Iterator[str]:
    with closing(MlflowServer(place, port=0)) as server:
        server.wait_until_ready()
        yield f"http://127.0.0.1:{server.address.port}"


def experiment_of(sweep: Sweep) -> str:
    assert sweep.mlflow is not None
    return str(sweep.mlflow["experiment_id"])


@pytest.fixture(scope="module")
def errors(page: Page) -> list[str]:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


@pytest.fixture(scope="module")
def view(page: Page, base: str, board: Leaderboard, errors: list[str]) -> Page:
    """The page of the view, without MLflow's assistant, which opens by itself once."""
    page.goto(view_address(base, experiment_of(board.sweep), board.sweep.id))
    expect(page.get_by_text("Parallel Coordinates").filter(visible=True).first).to_be_visible(timeout=PATIENCE_MS)
    assistant = page.get_by_text("MLflow Assistant").filter(visible=True)
    if assistant.count():
        page.get_by_role("button", name="Close").last.click()
    return page


def test_the_winner_comes_first_and_every_trial_is_listed_in_order(view: Page, board: Leaderboard) -> None:
    names = [trial_name(board.sweep, trial) for trial in board.ranked]
    names[0] = trial_name(board.sweep, board.ranked[0], sign=BEST_SIGN)
    for name in [*names, *(trial_name(board.sweep, trial) for trial in board.trials if trial not in board.ranked)]:
        expect(view.get_by_text(name).first).to_be_attached(timeout=PATIENCE_MS)
    tops = [view.get_by_role("link", name=name, exact=True).first.bounding_box() for name in names[:8]]
    heights = [box["y"] for box in tops if box is not None]
    assert len(heights) == 8
    assert heights == sorted(heights)


def test_the_title_over_the_charts_names_the_winner_with_its_value(view: Page, board: Leaderboard) -> None:
    best = board.ranked[0]
    value = f"{best.best_value:.4f} val/accuracy"
    title = view.get_by_text(f"All trials, best {BEST_SIGN} {best.number:04d}: {value}").first
    expect(title).to_be_visible(timeout=PATIENCE_MS)
    assert title.evaluate("title => title.scrollWidth <= title.clientWidth"), "the title is cut off"


def test_the_table_has_whole_names_with_the_metric_beside_them(browser: Browser, base: str, board: Leaderboard) -> None:
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.goto(view_address(base, experiment_of(board.sweep), board.sweep.id, mode="TABLE"))
    name = page.get_by_role("link", name=trial_name(board.sweep, board.ranked[0], sign=BEST_SIGN), exact=True).first
    expect(name).to_be_visible(timeout=PATIENCE_MS)
    assert name.evaluate("name => name.scrollWidth <= name.clientWidth + 1"), "the name is cut off"
    headers = page.locator(".ag-header-cell-text, .ag-header-cell").filter(visible=True)
    titles = ("Run Name", "best/val/accuracy", "meltpoint.state", "cost/seconds", "freeze_depth.written")
    places = [headers.filter(has_text=title).first.bounding_box() for title in titles]
    lefts = [place["x"] for place in places if place is not None]
    assert len(lefts) == len(titles)
    assert lefts == sorted(lefts)
    page.close()


def test_every_trial_with_a_value_is_in_a_parallel_coordinates_chart(place: Home, board: Leaderboard) -> None:
    client = MlflowClient(tracking_uri=place.tracking_uri)
    tags = client.get_experiment(experiment_of(board.sweep)).tags
    charts = json.loads(tags[f"mlflow.sharedViewState.{board.sweep.id}"])["compareRunCharts"]
    parallel = [set(chart["selectedParams"]) for chart in charts if chart["type"] == "PARALLEL"]
    assert len(parallel) == 2, "one for all, one for adamw"
    shown = set()
    for trial in board.trials:
        params = client.get_run(str(trial.mlflow_run_id)).data.params.keys()
        if any(axes <= params for axes in parallel):
            shown.add(trial.id)
        if trial.recipe["optimizer.name"] == "nesterov":
            assert parallel[0] <= params
    assert shown == {trial.id for trial in board.trials}


def test_the_parallel_coordinates_are_as_wide_as_the_page_and_their_labels_do_not_overlap(view: Page) -> None:
    chart = view.locator(".parcoords").first
    expect(chart).to_be_visible(timeout=PATIENCE_MS)
    box = chart.bounding_box()
    assert box is not None
    assert box["width"] > 700
    labels = view.locator(".parcoords").first.locator(".label")
    expect(labels.filter(has_text="optimizer.log10_lr")).to_be_visible(timeout=PATIENCE_MS)
    boxes = sorted((b["x"], b["x"] + b["width"]) for b in (label.bounding_box() for label in labels.all()) if b)
    assert len(boxes) >= 5
    assert all(left[1] <= right[0] for left, right in pairwise(boxes))


def test_the_learning_curves_are_drawn(view: Page, board: Leaderboard) -> None:
    view.get_by_text("Learning curves").filter(visible=True).first.scroll_into_view_if_needed()
    view.mouse.wheel(0, 2000)
    section = view.locator(".js-plotly-plot .scatterlayer .trace.scatter")
    completed = sum(trial.state is TrialState.COMPLETED for trial in board.trials)
    expect(section.nth(completed - 1)).to_be_attached(timeout=PATIENCE_MS)


def test_the_experiments_page_leads_to_the_view_in_one_click(view: Page, base: str, board: Leaderboard) -> None:
    view.goto(f"{base}/#/experiments/{experiment_of(board.sweep)}")
    link = view.locator("a[href*='viewStateShareKey=']", has_text="view").first
    expect(link).to_be_visible(timeout=PATIENCE_MS)
    view.get_by_role("button", name="Got it").click(timeout=PATIENCE_MS)  # MLflow's hint for a first visitor
    with view.context.expect_page(timeout=PATIENCE_MS) as opened:  # MLflow opens links of a description in a new tab
        link.click()
    chart = opened.value.get_by_text("Parallel Coordinates").filter(visible=True).first
    expect(chart).to_be_visible(timeout=PATIENCE_MS)
    assert f"viewStateShareKey={board.sweep.id}" in opened.value.url
    opened.value.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (420, "light")])
def test_mlflows_artifact_viewer_shows_the_whole_report(
    browser: Browser, base: str, board: Leaderboard, width: int, scheme: Literal["light", "dark"]
) -> None:
    assert board.sweep.mlflow is not None
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(
        f"{base}/#/experiments/{experiment_of(board.sweep)}/runs/{board.sweep.mlflow['run_id']}/artifacts/report.html"
    )
    report = page.frame_locator("iframe")
    expect(report.get_by_role("heading", level=1)).to_contain_text(board.sweep.name, timeout=PATIENCE_MS)
    body = report.locator("body")
    assert report.locator("svg[role=img]").count() > 3
    check_layout(body)
    page.close()


def test_nothing_of_ours_is_an_error_for_the_browser(errors: list[str]) -> None:
    """MLflow's page asks for what a plain server lacks, and draws charts before it knows their size."""
    known = ("Failed to load resource", "attribute ")
    assert [error for error in errors if not any(part in error for part in known)] == []
