"""The training of one recipe: optimizers, schedules, penalties, evaluation, checkpoints."""

from trainables.training.evaluation import Evaluation
from trainables.training.own_metrics import own_metrics, with_own_metrics

__all__ = ["Evaluation", "own_metrics", "with_own_metrics"]
