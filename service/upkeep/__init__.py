"""Upkeep of a home and its machine: caches and checks."""

from service.upkeep.checkups import Finding, Level, Surroundings, examine, examine_ray_start

__all__ = ["Finding", "Level", "Surroundings", "examine", "examine_ray_start"]
