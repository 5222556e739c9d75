"""Variance of a mean over training seeds and images, from the mean squares of a two-way table without replication.

Both the seeds and the images are samples: the same recipe would be trained with other seeds and would see other images.
With score = mean + image + seed + residual, the mean of S seeds and n images has the variance
(MSI + MSS - MSE) / (n S), where MSI, MSS and MSE are the mean squares of images, seeds and residual (Searle, Casella &
McCulloch 1992, Variance Components, section 4.7; Bouthillier et al. 2021, MLSys, for why seeds count).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.confirmations.evidence import FloatArray

__all__ = ["MeanSquares", "VarianceOfMean", "pooled_seed_part"]


@dataclass(frozen=True, kw_only=True)
class MeanSquares:
    """The mean of a table of scores and its mean squares."""

    seeds: int
    images: int
    mean: float
    of_images: float
    of_seeds: float
    of_residual: float

    @classmethod
    def measure(cls, scores: FloatArray) -> MeanSquares:
        """Measure a table (seeds, images) with two or more of each.

        The sums of whole numbers are exact, so that the order of seeds and images changes nothing.
        """
        seeds, images = scores.shape
        by_image, by_seed = scores.sum(axis=0), scores.sum(axis=1)
        total = float(by_seed.sum())
        between_images = _spread(by_image, total) / seeds
        between_seeds = _spread(by_seed, total) / images
        whole = max(0.0, (seeds * images * float((scores * scores).sum()) - total * total) / (seeds * images))
        residual = max(0.0, whole - between_images - between_seeds)
        return cls(
            seeds=seeds,
            images=images,
            mean=total / (seeds * images),
            of_images=between_images / (images - 1),
            of_seeds=between_seeds / (seeds - 1),
            of_residual=residual / ((images - 1) * (seeds - 1)),
        )

    @property
    def seed_part(self) -> float:
        """The part of MSI + MSS - MSE that is due to seeds; negative by chance if seeds hardly matter."""
        return self.of_seeds - self.of_residual

    def variance(self, *, seed_part: float | None = None, seed_df: float | None = None) -> VarianceOfMean:
        """Return the variance of the mean.

        seed_part, seed_df: the seed part and its degrees of freedom, if they come from several tables.
        """
        part = max(self.seed_part, 0.0) if seed_part is None else seed_part
        return VarianceOfMean(
            images=self.images,
            seeds=self.seeds,
            image_part=self.of_images,
            seed_part=part,
            seed_df=self.seeds - 1 if seed_df is None else seed_df,
        )


@dataclass(frozen=True, kw_only=True)
class VarianceOfMean:
    """The variance of a mean over images and seeds, in its two parts."""

    images: int
    seeds: int
    image_part: float
    seed_part: float
    seed_df: float

    @property
    def value(self) -> float:
        """The variance."""
        return (self.image_part + self.seed_part) / (self.images * self.seeds)

    @property
    def df(self) -> float:
        """The degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2)."""
        whole = self.image_part + self.seed_part
        if whole == 0:
            return float(self.images - 1)
        shares = self.image_part**2 / (self.images - 1) + self.seed_part**2 / self.seed_df
        return whole**2 / shares


def pooled_seed_part(tables: Sequence[MeanSquares]) -> tuple[float, float]:
    """Return the seed part pooled over K tables that share a default, and its degrees of freedom.

    A table by itself has S - 1 degrees of freedom, too few to see a difference. K tables of differences to the same
    default are correlated by about 1/2, so that their mean has the degrees of freedom (S - 1) K / (1 + (K - 1) / 4).
    """
    count = len(tables)
    part = max(sum(table.seed_part for table in tables) / count, 0.0)
    return part, (tables[0].seeds - 1) * count / (1 + (count - 1) / 4)


def _spread(sums: FloatArray, total: float) -> float:
    """Return the sum of squared distances of `sums` from their mean, exact until the division for whole numbers."""
    return max(0.0, (len(sums) * float(np.dot(sums, sums)) - total * total) / len(sums))
