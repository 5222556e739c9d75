"""MLflow's own UI through the service's door: sign in with a token, and read a finished sweep."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from service.runs.runner import Outcome
from service.settings import Home
from service.tracking import view_address
from service.tracking.run_names import BEST_SIGN, trial_name
from tests.service.commands.services import RunningService, serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def service(home: Home, finished_sweep: Outcome) -> Iterator[RunningService]:
    with serving(home.root, "--role", "api", "--port", "0") as service:
        service.wait_for_mlflow()
        yield service


@pytest.fixture(scope="module")
def refused(page: Page) -> list[str]:
    """All that the browser or the door refuses while MLflow's pages are shown."""
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    page.on(
        "response",
        lambda response: (
            refused.append(f"{response.status} {response.request.method} {response.url}")
            if response.status >= 400
            else None
        ),
    )
    return refused


def test_a_token_opens_the_prepared_view_of_a_sweep(
    page: Page, service: RunningService, finished_sweep: Outcome, refused: list[str]
) -> None:
    assert finished_sweep.sweep.mlflow is not None
    experiment = finished_sweep.sweep.mlflow["experiment_id"]
    page.goto(view_address(f"{service.url}/mlflow", experiment, finished_sweep.sweep.id))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Token").fill("mp_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".problem")).to_be_visible()
    page.get_by_label("Token").fill(service.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Parallel Coordinates").filter(visible=True).first).to_be_visible(timeout=60_000)
    for trial in finished_sweep.board.trials:
        sign = BEST_SIGN if trial is finished_sweep.board.best else ""
        name = page.get_by_text(trial_name(finished_sweep.sweep, trial, sign=sign)).filter(visible=True)
        expect(name.first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("optimizer.log10_lr").filter(visible=True).first).to_be_visible(timeout=30_000)


def test_only_closed_routes_were_refused_and_no_rule_of_the_page_was_broken(refused: list[str]) -> None:
    """MLflow's page asks for its assistant, its gateway, and the user of its own sign-in; all of them are closed."""
    closed = ("/assistant/", "/gateway-proxy", "/users/current")
    unexpected = [line for line in refused if not any(part in line for part in closed)]
    assert [line.partition(" http")[0] for line in unexpected] == ["401 POST"]
    assert unexpected[0].endswith("/session")


def test_the_page_of_the_candidate_shows_through_the_door(
    page: Page, service: RunningService, finished_sweep: Outcome
) -> None:
    registered = finished_sweep.sweep.registered
    assert registered is not None
    page.goto(f"{service.url}/mlflow/#/models/{registered['model']}/versions/{registered['version']}")
    chosen = f"Unconfirmed candidate: the best trial of sweep {finished_sweep.sweep.id}"
    expect(page.locator("p").filter(has_text=chosen).first).to_be_visible(timeout=60_000)
