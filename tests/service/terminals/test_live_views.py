"""The live view of a running sweep."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from service.ledgers import Trial, TrialPhase, TrialState
from service.runs import Snapshot
from service.terminals.live_views import clock_time, render, summarize


def trial(number: int, *, epochs: int, best: float | None) -> Trial:
    return Trial(
        id=f"s-1-{number:04d}",
        sweep_id="s-1",
        number=number,
        point={},
        recipe={
            "backbone": "timm/tf_efficientnet_lite0",
            "freeze_depth": 8,
            "optimizer.name": "adamw",
            "optimizer.lr": 3e-4,
            "dropout.rate": 0.25,
            "augment.policy": "flip",
        },
        identity="",
        seed=0,
        state=TrialState.RUNNING,
        attempt=1,
        epochs=epochs,
        created_at=0,
        best_value=best,
    )


def snapshot(*, completed: int = 3, pruned: int = 3, epochs: int = 22, elapsed: float = 110.0) -> Snapshot:
    running = (trial(7, epochs=2, best=0.81), trial(8, epochs=0, best=None))
    states = dict.fromkeys(TrialState, 0) | {
        TrialState.COMPLETED: completed,
        TrialState.PRUNED: pruned,
        TrialState.RUNNING: 2,
    }
    return Snapshot(
        states=states,
        planned=16,
        epochs=epochs,
        elapsed=elapsed,
        best=trial(4, epochs=5, best=0.8765),
        running=running,
        epochs_each=5,
        metric="val/accuracy",
        closing=None,
    )


def shown(snapshot: Snapshot, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(render(snapshot))
    return out.getvalue()


def test_it_shows_counts_rate_best_and_what_runs() -> None:
    text = shown(snapshot())
    for part in ("6/16 trials", "completed 3", "pruned 3", "running 2", "0.20 epochs/s", "0.8765", "s-1-0007", "2/5"):
        assert part in text
    assert "freeze -1, adamw lr 0.0003, dropout 0.25, flip" in text


def test_a_confirmation_counts_retrainings_and_names_no_best() -> None:
    confirming = replace(snapshot(), phase=TrialPhase.CONFIRM, best=None)
    for text in (shown(confirming), summarize(confirming)):
        assert "6/16 retrainings" in text
        assert "trials" not in text
        assert "best" not in text


def test_the_time_left_follows_from_the_epochs_of_finished_trials() -> None:
    """Expect 31.3 epochs at 0.2 a second: 6 finished trials had 20 epochs; 10 trials remain, with 2 epochs done."""
    assert snapshot().seconds_left == pytest.approx((20 / 6 * 10 - 2) / 0.2)


def test_no_time_is_promised_before_a_trial_has_finished() -> None:
    assert snapshot(completed=0, pruned=0, epochs=2).seconds_left is None


def test_a_narrow_terminal_still_shows_the_numbers() -> None:
    text = shown(snapshot(), width=60)
    assert "6/16 trials" in text
    assert "0.8765" in text


def test_clock_time() -> None:
    assert [clock_time(s) for s in (0, 59.6, 247, 3750)] == ["0:00", "1:00", "4:07", "1:02:30"]
