"""Random search."""

from __future__ import annotations

from collections.abc import Sequence

from service.ledgers import TrialState
from service.searchers.base import SpaceSearcher

__all__ = ["RandomSearcher"]


class RandomSearcher(SpaceSearcher):
    """Independent draws (Bergstra & Bengio, JMLR 2012), each from the sweep's seed and the trial's number."""

    def tell(self, number: int, *, values: Sequence[float], state: TrialState, keeps_limits: bool = True) -> None:
        """Do nothing: independent draws learn nothing."""
