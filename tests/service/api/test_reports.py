"""The report of a sweep through the API: numbers, and a page that a browser trusts with nothing."""

from __future__ import annotations

from service.ledgers import SweepState
from service.sweep_reports import SweepReport
from tests.service.api.services import RunningApi
from tests.service.sweeps.sweeps import add_trials


def test_the_numbers_and_the_page_tell_the_same(module_api: RunningApi) -> None:
    sweep = module_api.add_sweep(SweepState.RUNNING)
    add_trials(module_api.ledger, sweep, 0.5, 0.7)
    report = SweepReport.model_validate(module_api.get(f"/sweeps/{sweep.id}/report").json())
    assert (report.headline.standing, report.headline.value) == ("under way", 0.7)
    page = module_api.get(f"/sweeps/{sweep.id}/report.html")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert report.headline.sentence in page.text


def test_the_page_may_run_no_script_and_belongs_to_no_origin(module_api: RunningApi) -> None:
    """A page with names from users stands on the service's address: a script in it could use the reader's rights."""
    sweep = module_api.add_sweep(SweepState.RUNNING, name="<script>ask()</script>")
    page = module_api.get(f"/sweeps/{sweep.id}/report.html")
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox"} <= set(policy)
    assert "<script" not in page.text
    assert "&lt;script&gt;ask()" in page.text


def test_a_sweep_of_somebody_else_has_no_report(module_api: RunningApi) -> None:
    sweep = module_api.add_sweep(SweepState.COMPLETED)
    for path in ("report", "report.html"):
        assert module_api.get(f"/sweeps/{sweep.id}/{path}", user="bob").status_code == 404
