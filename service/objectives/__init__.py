"""Metrics and costs of a sweep: the wanted ones, limits that trials must keep, costs of models, and the Pareto set."""

from service.objectives.limits import Limits
from service.objectives.model_costs import ModelCost, ModelCosts
from service.objectives.model_limits import check_limits
from service.objectives.objectives import Objective, Objectives
from service.objectives.pareto import pareto_set

__all__ = ["Limits", "ModelCost", "ModelCosts", "Objective", "Objectives", "check_limits", "pareto_set"]
