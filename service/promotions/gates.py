"""The gate before an alias: the new model and the present champion on the same test images, paired."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from service.ledgers import Json

__all__ = ["RULE", "GateResult", "compare_paired", "sign_test"]

RULE = "refused if it is right on fewer of the same test images; p: exact McNemar test, two-sided"


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """A comparison of two models on the same images.

    images: number of images. correct, champion_correct: images on which the new model and the champion are right.
    only_new, only_champion: images on which one of them alone is right. p: the chance of a difference at least as large
    if both models are equally good.
    """

    images: int
    correct: int
    champion_correct: int
    only_new: int
    only_champion: int
    p: float

    @property
    def is_worse(self) -> bool:
        """True if the new model is right on fewer images."""
        return self.only_new < self.only_champion

    def as_json(self) -> Json:
        """Return the comparison and its rule as JSON values."""
        return asdict(self) | {"rule": RULE}

    def sentence(self, champion: str) -> str:
        """Return the comparison in one sentence; champion: what the other model is called."""
        scores = f"{self.correct} against {self.champion_correct} of {self.images} test images right"
        if not self.only_new + self.only_champion:
            return f"{scores}: as good as {champion}, on the same images"
        difference = self.only_new - self.only_champion
        word = "better" if difference > 0 else "worse" if difference < 0 else "as good"
        chance = ", a difference that chance can explain" if difference and self.p >= 0.05 else ""
        compared = f"{word} than" if difference else f"{word} as"
        return f"{scores}: {compared} {champion} (p = {self.p:.3g}, exact McNemar test{chance})"


def compare_paired(correct: NDArray[np.bool_], champion_correct: NDArray[np.bool_]) -> GateResult:
    """Compare two models, each right or wrong on the same images in the same order, (N,).

    The new model is refused if it is right on fewer of them. The size of the difference is judged by McNemar's test
    in its exact form (McNemar 1947; Fagerland, Lydersen and Laake 2013, section 2.2): of the images on which one model
    alone is right, half would favour each if both were equally good.

    Raises:
        ValueError: the arrays differ in length.
    """
    if correct.shape != champion_correct.shape or correct.ndim != 1:
        raise ValueError(f"need the same images for both ({correct.shape}, {champion_correct.shape})")
    only_new = int(np.sum(correct & ~champion_correct))
    only_champion = int(np.sum(champion_correct & ~correct))
    return GateResult(
        images=len(correct),
        correct=int(correct.sum()),
        champion_correct=int(champion_correct.sum()),
        only_new=only_new,
        only_champion=only_champion,
        p=sign_test(only_new, only_champion),
    )


def sign_test(first: int, second: int) -> float:
    """Return the two-sided p of an exact binomial test that both counts come from a fair coin; 1 for no counts."""
    total = first + second
    tail: Sequence[int] = range(min(first, second) + 1)
    at_most: int = sum(math.comb(total, count) for count in tail)
    return float(min(Fraction(1), Fraction(2 * at_most, 2**total)))
