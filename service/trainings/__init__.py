"""Trainings outside any sweep, by a recipe file: the check of its promise, and their record in MLflow."""

from service.trainings.outcomes import Promise, SplitScore, TrainingOutcome
from service.trainings.requests import TrainingListener, TrainingRequest

__all__ = ["Promise", "SplitScore", "TrainingListener", "TrainingOutcome", "TrainingRequest"]
