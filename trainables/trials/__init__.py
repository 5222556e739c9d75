"""The training of one trial after another: in this process, in a forked process, in a Ray actor."""

from trainables.trials.forked_run import DIED, PRELOAD
from trainables.trials.plans import ResumePoint, TrialPlan

__all__ = ["DIED", "PRELOAD", "ResumePoint", "TrialPlan"]
