"""Sweeps and trials for tests of the ledger, and a clock that tests move."""

from __future__ import annotations

from search_spaces import Goal
from service.ledgers import EpochRow, Ledger, Sweep, Trial


class Ticks:
    """A clock in milliseconds that a test moves; each reading adds a millisecond."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


def new_sweep(ledger: Ledger, name: str = "cells") -> Sweep:
    return ledger.sweeps.create(
        name=name,
        spec_text="",
        spec_file="s.yaml",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        data={},
        settings={},
    )


def submit(
    ledger: Ledger, owner: str = "ada", *, key: str | None = None, digest: str | None = None, name: str = "cells"
) -> tuple[Sweep, bool]:
    return ledger.sweeps.submit(
        name=name,
        spec_text="",
        spec_file="s.yaml",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        settings={"budget.trials": 4},
        owner=owner,
        idempotency_key=key,
        request_digest=digest,
    )


def running_trial(ledger: Ledger, sweep: Sweep, number: int = 0) -> Trial:
    trial = ledger.trials.create(sweep.id, number=number, point={}, recipe={}, identity=str(number), seed=0)
    return ledger.trials.start_attempt(trial.id)


def row(epoch: int, accuracy: float) -> EpochRow:
    readings = {"train": {"loss": 1.0}, "val": {"accuracy": accuracy}}
    return EpochRow(epoch=epoch, seconds=0.5, recorded_at=epoch, readings=readings)


def record(ledger: Ledger, trial: Trial, *rows: EpochRow, attempt: int = 1) -> Trial:
    return ledger.trials.record_epochs(trial.id, attempt=attempt, rows=rows, metric="val/accuracy", goal=Goal.MAXIMIZE)
