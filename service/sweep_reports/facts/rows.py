"""The ledger's rows of a sweep, read once for all sections of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from search_spaces import Goal, SpecError, SweepSpec
from search_spaces.extensions import without_counting
from service.confirmations import Confirmation
from service.ledgers import EpochRow, Sweep, Trial, TrialPhase, TrialState
from service.reports import Leaderboard

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["SweepRows"]


@dataclass(frozen=True)
class SweepRows:
    """The rows of a sweep that a report is made from.

    board: the search's trials, best first. retrainings: those of the confirmation. epochs: by trial.
    attempts: (start, end) of each attempt by trial, in milliseconds since 1970; the end is None while it runs.
    """

    sweep: Sweep
    board: Leaderboard
    retrainings: Sequence[Trial]
    epochs: Mapping[str, Sequence[EpochRow]]
    attempts: Mapping[str, Sequence[tuple[int, int | None]]]

    @classmethod
    def read(cls, ledger: Ledger, sweep: Sweep) -> SweepRows:
        """Read the rows of a sweep."""
        epochs = ledger.trials.epochs_of_sweep(sweep.id)
        return cls(
            sweep=sweep,
            board=Leaderboard.read(ledger, sweep, with_standing=True, epochs=epochs),
            retrainings=ledger.trials.list(sweep.id, TrialPhase.CONFIRM),
            epochs=epochs,
            attempts=ledger.trials.attempt_spans(sweep.id),
        )

    @property
    def goal(self) -> Goal:
        """The direction in which the sweep's metric is better."""
        return self.sweep.goal

    @cached_property
    def trials(self) -> list[Trial]:
        """The search's trials by number."""
        return sorted(self.board.trials, key=lambda trial: trial.number)

    @cached_property
    def measured(self) -> list[Trial]:
        """Trials that completed or were pruned, with a finite best value, by number; also those that break a limit."""
        return [
            trial
            for trial in self.trials
            if trial.state in (TrialState.COMPLETED, TrialState.PRUNED)
            and trial.best_value is not None
            and math.isfinite(trial.best_value)
        ]

    @cached_property
    def spec(self) -> SweepSpec | None:
        """The sweep file; None if this version cannot read it. No code is run that it names."""
        try:
            with without_counting():
                return self.sweep.read_spec()
        except SpecError:
            return None

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """The sweep's confirmation; None if none has begun."""
        return Confirmation.from_sweep(self.sweep)

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Places of the ranked trials, from 1."""
        return {trial.id: rank for rank, trial in enumerate(self.board.ranked, start=1)}

    def value(self, trial: Trial) -> float:
        """Return the best value of a measured trial."""
        assert trial.best_value is not None, trial
        return trial.best_value
