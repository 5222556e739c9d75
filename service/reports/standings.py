"""The standing of a leaderboard: its optimism, and the ranks that are not told apart from the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from search_spaces import Metric
from service.ledgers import Json, Sweep, Trial

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["Standing"]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Findings from the stored predictions on the val images, without a further training.

    They see the noise of images only, not that of training seeds, and say what a confirmation would have to find out.

    Attributes:
        optimism: how much better the best value is expected to be than the same model's on new images, in the metric's
            unit; for either goal, positive if the value is too good.
        corrected: the best value less the optimism.
        like_first: ids of the trials that are not told apart from the first with a confidence of 95 %, the first itself
            included; of equal recipes only the best trial is named.
        images: number of val images.
    """

    optimism: float
    corrected: float
    like_first: tuple[str, ...]
    images: int

    @classmethod
    def read(cls, ledger: Ledger, sweep: Sweep, trials: Sequence[Trial]) -> Self | None:
        """Compute the standing from the ledger; trials: those of the sweep's search.

        None if fewer than two recipes have finished, if the metric is no mean over images, or if a trial has no
        predictions in the ledger, as those that an older version trained.
        """
        from service.confirmations import optimism, rank_search, sweep_digest
        from service.confirmations.readings import decided_measure, read_search
        from service.errors import ConfirmationError

        measure = decided_measure(sweep.metric)
        ranked = rank_search(trials, sweep.goal)
        if len(ranked) < 2 or measure != Metric(sweep.metric).measure:
            return None
        try:
            search = read_search(ledger, sweep, ranked, measure)
        except ConfirmationError:
            return None
        findings = optimism(search, seed=int(sweep_digest(sweep)[:8], 16))
        best = ranked[0].best_value
        assert best is not None, "ranked trials have a value"
        sign = -1 if measure == "loss" else 1
        return cls(
            optimism=findings.optimism,
            corrected=best - sign * findings.optimism,
            like_first=tuple(trial.id for trial, is_like in zip(ranked, findings.contenders, strict=True) if is_like),
            images=int(search.scores.shape[1]),
        )

    def as_json(self) -> Json:
        """Return the standing as JSON values."""
        return asdict(self) | {"like_first": list(self.like_first)}

    @classmethod
    def from_json(cls, values: Json) -> Self:
        """Return the standing that `as_json` gave."""
        fields: dict[str, Any] = dict(values)
        return cls(**fields | {"like_first": tuple(values["like_first"])})
