"""Warm starts: earlier sweeps' recipes and values, frozen in a new sweep's row, and if they helped."""

from service.warm_starts.earlier import read_earlier
from service.warm_starts.fitting import count_fitting, fit_earlier
from service.warm_starts.outcomes import WarmStartOutcome, read_outcome
from service.warm_starts.prior import PastTrial, Prior

__all__ = ["PastTrial", "Prior", "WarmStartOutcome", "count_fitting", "fit_earlier", "read_earlier", "read_outcome"]
