"""The choice of the scheduler that a sweep file asks for."""

from __future__ import annotations

from search_spaces import SweepSpec, rungs_below
from service.schedulers.asha import Asha
from service.schedulers.base import NoStopping, Scheduler
from service.schedulers.brackets import Brackets
from service.schedulers.median import MedianStopping

__all__ = ["build_scheduler"]


def build_scheduler(spec: SweepSpec) -> Scheduler:
    """Return the scheduler that a sweep file asks for."""
    settings, epochs, goal = spec.scheduler, spec.budget.epochs, spec.metric.goal
    if settings.type == "asha":
        factor = settings.reduction_factor
        rungs = rungs_below(epochs, grace_epochs=settings.grace_epochs, reduction_factor=factor)
        brackets = Brackets(count=settings.brackets, rungs=rungs, reduction_factor=factor, seed=spec.seed)
        return Asha(epochs=epochs, brackets=brackets, goal=goal)
    if settings.type == "median":
        return MedianStopping(
            epochs=epochs, grace_epochs=settings.grace_epochs, min_trials=settings.min_trials, goal=goal
        )
    return NoStopping(epochs=epochs)
