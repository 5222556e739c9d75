"""Numbers of a confirmation's retrainings: how many there will be, and how many have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from service.confirmations.contenders import counted_retrainings
from service.confirmations.records import Confirmation
from service.ledgers import Trial

__all__ = ["RetrainingCounts"]


@dataclass(frozen=True, kw_only=True)
class RetrainingCounts:
    """Numbers of retrainings.

    finished: ended, the failed ones included. planned: in all, with the spare one if it has begun.
    """

    finished: int
    planned: int

    @classmethod
    def count(cls, confirmation: Confirmation, begun: Sequence[Trial]) -> Self:
        """Count the retrainings of a confirmation; begun: all of its sweep. Cancelled ones are trained again."""
        counted = counted_retrainings(confirmation.contenders, confirmation.seeds, begun)
        *common, spare = confirmation.seeds
        spares = sum(trial.seed == spare for trial in counted)
        finished = sum(trial.state.is_finished for trial in counted)
        return cls(finished=finished, planned=len(confirmation.contenders) * len(common) + spares)
