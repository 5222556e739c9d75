"""The view of a decision: a table of the recipes, how to read it, and the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from service.clocks import now_ms
from service.confirmations import Confirmation
from service.confirmations.readings import compute_decision
from service.ledgers import Ledger
from service.terminals.confirmation_views import show_decision
from tests.service.confirmations.searched_sweeps import SearchedSweep


@pytest.fixture
def confirmation(tmp_path: Path) -> Confirmation:
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=now_ms)
    searched = SearchedSweep(ledger, {0.0: 0.70, 0.25: 0.72, 0.5: 0.60, 0.75: 0.55})
    planned = searched.plan(seeds=3)
    searched.retrain(planned)
    decision = compute_decision(ledger, searched.sweep, planned)
    ledger.close()
    return replace(planned, decision=decision)


def test_each_difference_of_the_means_stands_beside_its_correction(
    confirmation: Confirmation, capsys: pytest.CaptureFixture[str]
) -> None:
    decision = confirmation.decision
    assert decision is not None
    show_decision(confirmation)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "recipe"
    assert "measured lead  corrected lead  95% interval" in lines[0]
    assert decision.default.pooled_mean is not None
    for finalist, line in zip(decision.finalists, lines[2:], strict=False):
        assert finalist.recipe.pooled_mean is not None
        assert finalist.raw == pytest.approx(finalist.recipe.pooled_mean - decision.default.pooled_mean)
        assert f"{100 * finalist.raw:+.2f}" in line
        assert f"{100 * finalist.lead:+.2f}" in line
    below = lines[2 + len(decision.finalists) :]
    assert below[0].startswith("retrained: mean of 3 fresh seeds on ")
    assert below[1].startswith("measured lead: ")
    assert below[2].startswith("corrected lead: ")
    assert below[3] == ""
    assert "default" in below[4]
