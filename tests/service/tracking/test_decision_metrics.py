"""The figures of a decision as metrics of MLflow, for scores and for losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from service.clocks import now_ms
from service.confirmations import Confirmation
from service.confirmations.readings import compute_decision
from service.ledgers import Ledger
from service.tracking.run_contents import decision_metrics
from tests.service.confirmations.searched_sweeps import SPEC, SearchedSweep

LOSS = "metric: {name: val/loss, goal: minimize}\n"


def decide(ledger: Ledger, spec: str) -> Confirmation:
    searched = SearchedSweep(ledger, {0.0: 0.6, 0.25: 0.85, 0.5: 0.62, 0.75: 0.7}, spec=spec)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    return replace(confirmation, decision=compute_decision(ledger, searched.sweep, confirmation))


@pytest.mark.parametrize("spec", [SPEC, SPEC + LOSS], ids=["accuracy", "loss"])
def test_a_decisions_figures_are_in_the_metrics_own_unit(tmp_path: Path, spec: str) -> None:
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=now_ms)
    confirmation = decide(ledger, spec)
    ledger.close()
    metrics = {metric.key: metric.value for metric in decision_metrics(confirmation, 1, step=9)}
    assert metrics.keys() == {f"confirm/{name}" for name in ("score", "low", "high", "probability", "search_score")}
    assert 0 < metrics["confirm/low"] < metrics["confirm/score"] < metrics["confirm/high"]
    assert metrics["confirm/search_score"] > 0
    assert 0.9 < metrics["confirm/probability"] <= 1
