"""Statistics of reports: importance of hyperparameters, and correlations of ranks."""

from service.sweep_reports.statistics.ped_anova import GridParameter, grid_indices, is_best, measure_importance
from service.sweep_reports.statistics.ranks import ranks, spearman

__all__ = ["GridParameter", "grid_indices", "is_best", "measure_importance", "ranks", "spearman"]
