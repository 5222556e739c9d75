"""Plans of sweeps: admission, estimates, and what trials will share."""

from service.plans.sharing import SharingSurvey
from service.plans.sweep_settings import flat_settings

__all__ = ["SharingSurvey", "flat_settings"]
