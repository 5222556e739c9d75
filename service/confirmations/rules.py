"""The settings of the decision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["IMAGES_FOR_CLAIM", "IMAGES_FOR_PROBABILITY", "ConfirmRule"]

IMAGES_FOR_CLAIM: Final = 60
"""Confirmation images below which the decision claims nothing, not even an interval of the score."""

IMAGES_FOR_PROBABILITY: Final = 120
"""Val and confirmation images together, below which no probability is given and so no recipe can pass the gate."""


@dataclass(frozen=True, kw_only=True)
class ConfirmRule:
    """How many recipes are retrained, and what a recipe must show to replace the default.

    Attributes:
        top_k: most finalists, the best of the search except the default.
        seeds: retrainings of each recipe.
        gate: probability of being better than the default that a recipe must reach.
        tolerance: expected loss of score, 0 to 1, for which a cheaper recipe is taken.
        confidence: confidence of every interval.

    Raises:
        ValueError: a setting is out of range.
    """

    top_k: int = 3
    seeds: int = 4
    gate: float = 0.9
    tolerance: float = 0.0025
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ValueError(f"top_k must be > 0 ({self.top_k})")
        if self.seeds < 2:
            raise ValueError(
                f"seeds must be > 1, since one training does not show how much the seed changes ({self.seeds})"
            )
        if not 0.5 <= self.gate < 1:
            raise ValueError(f"gate must be >= 0.5 and < 1 ({self.gate})")
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance must be >= 0 ({self.tolerance})")
        if not 0.5 <= self.confidence < 1:
            raise ValueError(f"confidence must be >= 0.5 and < 1 ({self.confidence})")
