"""Outcomes of warm starts: the earlier recipes of a sweep against its other trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from service.ledgers import Json, Sweep, Trial

__all__ = ["WarmStartOutcome", "read_outcome"]


@dataclass(frozen=True, kw_only=True)
class WarmStartOutcome:
    """The outcome of a warm start.

    sweeps: ids of the earlier sweeps. enqueued: number of earlier recipes that ran first. results: number of earlier
    results that the searcher knew. best_enqueued, best_other: best trial among those recipes and among the others, each
    with its value; None if there is none. earlier_best: best value among those results; None if there were none.
    reached_after: number of trials until a trial was at least as good, None if none was. helped: true if an earlier
    recipe is the best trial.
    """

    sweeps: tuple[str, ...]
    enqueued: int
    results: int
    best_enqueued: tuple[str, float] | None
    best_other: tuple[str, float] | None
    earlier_best: float | None
    reached_after: int | None
    helped: bool | None

    def as_json(self) -> Json:
        """Return the outcome for `run -o json`."""

        def trial(best: tuple[str, float] | None) -> Json | None:
            return None if best is None else {"trial_id": best[0], "value": best[1]}

        values = asdict(self) | {"sweeps": list(self.sweeps)}
        return values | {"best_enqueued": trial(self.best_enqueued), "best_other": trial(self.best_other)}

    def lines(self) -> list[str]:
        """Return the outcome in plain sentences."""
        recipes = "1 earlier recipe" if self.enqueued == 1 else f"{self.enqueued} earlier recipes"
        knew = f", and the searcher knew {self.results} earlier results" if self.results else ""
        lines = [f"warm start from {', '.join(self.sweeps)}: {recipes} ran first{knew}"]
        if self.best_enqueued and self.best_other:
            first, other = self.best_enqueued, self.best_other
            verdict = "an earlier recipe is the best trial" if self.helped else "the search went past them"
            if first[1] == other[1]:
                verdict = "they made no difference to the best value"
            lines.append(
                f"the best of them, {first[0]}, has {first[1]:.4f}, the best of the others, {other[0]}, "
                f"{other[1]:.4f}: {verdict}"
            )
        if self.earlier_best is not None:
            after = self.reached_after
            reached = "was not reached" if after is None else f"was reached after {after} trial{'s' * (after > 1)}"
            lines.append(f"the best earlier value, {self.earlier_best:.4f}, {reached}")
        return lines


def read_outcome(sweep: Sweep, ranked: Sequence[Trial]) -> WarmStartOutcome | None:
    """Return the outcome of the sweep's warm start; None if it had none. ranked: trials with a value, best first."""
    warm = sweep.warm_start
    if warm is None or "enqueued" not in warm:
        return None
    identities = {entry["identity"] for entry in warm["enqueued"]}
    earlier = next((trial for trial in ranked if trial.identity in identities), None)
    other = next((trial for trial in ranked if trial.identity not in identities), None)
    best = warm["earlier_best"]
    reached = None
    if best is not None:
        as_good = [t.number + 1 for t in ranked if not sweep.goal.is_better(best, t.best_value)]
        reached = min(as_good, default=None)
    return WarmStartOutcome(
        sweeps=tuple(source["sweep_id"] for source in warm["sources"]),
        enqueued=len(identities),
        results=warm["results"],
        best_enqueued=_value(earlier),
        best_other=_value(other),
        earlier_best=best,
        reached_after=reached,
        helped=None if earlier is None or other is None else earlier is ranked[0] and _differ(earlier, other),
    )


def _value(trial: Trial | None) -> tuple[str, float] | None:
    return None if trial is None or trial.best_value is None else (trial.id, trial.best_value)


def _differ(first: Trial, second: Trial) -> bool:
    return first.best_value != second.best_value
