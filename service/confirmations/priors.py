"""The prior of a finalist's lead over the default: what the other trials of the search let expect."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from service.confirmations.evidence import FloatArray, RetrainedRecipe, SearchEvidence

__all__ = ["TRIALS_FOR_PRIOR", "LeadPrior", "estimate_prior"]

TRIALS_FOR_PRIOR: Final = 8
"""Trials besides the default below which a search says too little about its space."""


@dataclass(frozen=True, kw_only=True)
class LeadPrior:
    """A normal distribution of the true lead over the default that a recipe of this search has."""

    mean: float
    variance: float

    def weight(self, variance: float) -> float:
        """Return the share of a measured lead of this variance in the posterior mean, 0 to 1."""
        whole = self.variance + variance
        return self.variance / whole if whole > 0 else 1.0


def estimate_prior(search: SearchEvidence, default: RetrainedRecipe, *, seed_variance: float) -> LeadPrior | None:
    """Return the prior that the search's own scores give; None for few trials or images, or if nothing varies.

    The recipes of a search are draws from one space. Their scores on the val images, less the mean score of the
    retrained default on the same images, show where the default stands among them and how far good recipes are apart.
    The prior is normal, and its parameters are estimated from the scores (parametric empirical Bayes: Efron & Morris
    1973, JASA 68; Morris 1983, JASA 78):

    - its mean is the median of the scores, so that recipes that fail to learn do not move it;
    - its variance is the mean square distance of the upper half from the median, since finalists come from there, less
      the noise of a single training's score. To it comes the variance of the mean itself: that of the default's score,
      and that of a median, which is pi/2 times that of an average.

    seed_variance: variance between seeds of the difference of two trainings.
    """
    others = np.array([identity != default.identity for identity in search.identities])
    if others.sum() < TRIALS_FOR_PRIOR or search.scores.shape[1] < 2:
        return None
    scores = search.scores[others]
    means = scores.mean(axis=1)
    median = float(np.median(means))
    is_upper = means >= median
    spread = float(np.mean((means[is_upper] - median) ** 2))
    noise = (_image_variance(scores[is_upper], default.val) + seed_variance) / 2
    variance = max(spread - noise, 0.0) + noise / default.seeds + math.pi / 2 * spread / len(means)
    return LeadPrior(mean=median - float(default.val.mean()), variance=variance) if variance > 0 else None


def _image_variance(scores: FloatArray, default: FloatArray) -> float:
    """Return the mean variance, over images, of the difference of a trial (trials, images) and a default's training."""
    variances = [float((scores - training).var(axis=1, ddof=1).mean()) for training in default]
    return sum(variances) / len(variances) / int(scores.shape[1])
