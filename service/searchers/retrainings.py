"""The retrainings of a confirmation, in the place of a search."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces import Recipe
from service.confirmations import Retraining
from service.ledgers import FIRST_RETRAINING, Trial, TrialState
from service.searchers.base import Proposal, Searcher

__all__ = ["RetrainingSearcher"]


class RetrainingSearcher(Searcher):
    """Proposes retrainings in their order, numbered after those that have begun.

    begun: every retraining of the sweep so far, by number. retrainings: those to come.
    """

    def __init__(self, begun: Sequence[Trial], retrainings: Sequence[Retraining]) -> None:
        proposals = [
            Proposal(point=trial.point, recipe=Recipe.from_flat(trial.recipe), seed=trial.seed, retrains=trial.retrains)
            for trial in begun
        ]
        for retraining in retrainings:
            recipe = Recipe.from_flat(retraining.contender.recipe)
            point = {**recipe.flat(), "seed": retraining.seed}
            retrains = retraining.contender.trial_id
            proposals.append(Proposal(point=point, recipe=recipe, seed=retraining.seed, retrains=retrains))
        self._proposals = proposals

    @property
    def count(self) -> int:
        """The number of retrainings, begun or not."""
        return len(self._proposals)

    def propose(self, number: int) -> Proposal | None:
        """Return the retraining of this number, which counts from `FIRST_RETRAINING` on."""
        place = number - FIRST_RETRAINING
        return self._proposals[place] if place < len(self._proposals) else None

    def tell(self, number: int, *, values: Sequence[float], state: TrialState, keeps_limits: bool = True) -> None:
        """Do nothing: the list is fixed."""
