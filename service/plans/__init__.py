"""Plans of sweeps: admission, estimates, and what trials will share."""

from service.plans.sharing import SharingSurvey

__all__ = ["SharingSurvey"]
