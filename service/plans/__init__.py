"""Plans of sweeps: admission, estimates, and what trials will share."""

from service.plans.sweep_settings import flat_settings, learned_settings, revisable_settings

__all__ = ["flat_settings", "learned_settings", "revisable_settings"]
