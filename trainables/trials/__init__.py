"""One trial as a worker runs it, and the Ray actor that runs one trial after another."""

from trainables.trials.forked_run import DIED, PRELOAD
from trainables.trials.plans import Before, TrialPlan

__all__ = ["DIED", "PRELOAD", "Before", "TrialPlan"]
