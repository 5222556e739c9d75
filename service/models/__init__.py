"""Models of trials: rebuilt from checkpoints, exported and registered."""

from service.models.candidates import log_candidate, log_model
from service.models.logged import LoggedClassifier
from service.models.rebuilt import best_trainer

__all__ = ["LoggedClassifier", "best_trainer", "log_candidate", "log_model"]
