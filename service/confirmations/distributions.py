"""Student's t and the normal distribution.

SciPy is imported at the first call, so that the command line starts quickly.
"""

from __future__ import annotations

import math

__all__ = ["expected_excess", "normal_cdf", "normal_quantile", "t_cdf", "t_quantile"]


def t_cdf(value: float, df: float) -> float:
    """Return the probability that Student's t with `df` degrees of freedom is at most `value`."""
    from scipy.special import stdtr

    return float(stdtr(df, value))


def t_quantile(probability: float, df: float) -> float:
    """Return the value that Student's t with `df` degrees of freedom exceeds with 1 - `probability`."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def normal_cdf(value: float) -> float:
    """Return the probability that a standard normal variable is at most `value`."""
    return math.erfc(-value / math.sqrt(2)) / 2


def normal_quantile(probability: float) -> float:
    """Return the value that a standard normal variable exceeds with 1 - `probability`."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def expected_excess(mean: float, deviation: float) -> float:
    """Return the mean of max(0, X) for a normal X."""
    if deviation == 0:
        return max(0.0, mean)
    z = mean / deviation
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return mean * normal_cdf(z) + deviation * density
