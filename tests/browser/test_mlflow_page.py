"""MLflow's own UI shows a sweep's prepared view: the trials, best first, with their charts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from service.runs.runner import Outcome
from service.tracking.run_names import BEST_SIGN, trial_name

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(finished_sweep: Outcome) -> Iterator[str]:
    """The address that `meltpoint ui SWEEP` prints; its server runs while the tests do."""
    command = [
        str(Path(sys.executable).with_name("meltpoint")),
        "ui",
        finished_sweep.sweep.id,
        "--port",
        "0",
        "--no-browser",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}) as server:
        assert server.stderr is not None
        lines = (re.match(r"MLflow: (http://127\.0\.0\.1:\d+/#/\S+)", line) for line in server.stderr)
        try:
            yield next(line.group(1) for line in lines if line)
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 0
        finally:
            server.kill()  # a server that does not end would hold the tests up


def test_the_prepared_view_lists_the_trials_and_draws_the_charts(
    page: Page, address: str, finished_sweep: Outcome
) -> None:
    page.goto(address)
    best = finished_sweep.board.best
    assert best is not None
    expect(page.get_by_text("Parallel Coordinates").filter(visible=True).first).to_be_visible(timeout=60_000)
    for trial in finished_sweep.board.trials:
        sign = BEST_SIGN if trial is finished_sweep.board.best else ""
        name = page.get_by_text(trial_name(finished_sweep.sweep, trial, sign=sign)).filter(visible=True)
        expect(name.first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("optimizer.log10_lr").filter(visible=True).first).to_be_visible(timeout=30_000)


def test_the_page_of_the_candidate_shows_how_it_was_chosen_and_that_of_its_model_shows_the_scores(
    page: Page, address: str, finished_sweep: Outcome
) -> None:
    best, registered = finished_sweep.board.best, finished_sweep.sweep.registered
    assert best is not None
    assert registered is not None
    base = address.partition("#")[0]
    page.goto(f"{base}#/models/{registered['model']}/versions/{registered['version']}")
    chosen = f"Unconfirmed candidate: the best trial of sweep {best.sweep_id}"
    expect(page.locator("p").filter(has_text=chosen).first).to_be_visible(timeout=60_000)
    page.locator("a[href*='/models/m-']").first.click()
    for text in ("test/accuracy", "val/accuracy", f"v{registered['version']}"):
        expect(page.get_by_text(text).filter(visible=True).first).to_be_visible(timeout=60_000)
