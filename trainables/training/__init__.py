"""The training of one recipe: optimizers, schedules, penalties, evaluation, checkpoints."""

from trainables.training.evaluation import Evaluation
from trainables.training.own_metrics import add_own_metrics, own_metric_names

__all__ = ["Evaluation", "add_own_metrics", "own_metric_names"]
