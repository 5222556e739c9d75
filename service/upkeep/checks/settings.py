"""Settings and variables that change what a sweep does."""

from __future__ import annotations

from collections.abc import Iterator

from service.settings import DEFAULT
from service.upkeep.checks.findings import Finding, Surroundings

__all__ = ["check_settings"]


def check_settings(surroundings: Surroundings) -> Iterator[Finding]:
    """List each setting that is not at its default, and the variables of MLflow and Ray, without secrets."""
    for setting in surroundings.settings:
        if setting.origin != DEFAULT:
            yield Finding(name="setting", text=f"{setting.name} = {setting.value} (from {setting.origin})")
    secret = ("TOKEN", "PASSWORD", "SECRET")
    for name, value in sorted(surroundings.environment.items()):
        if name.startswith(("MLFLOW_TRACKING_", "RAY_ADDRESS")):
            hidden = any(part in name for part in secret)
            yield Finding(name="setting", text=f"{name} = {'(set)' if hidden else value} (from the environment)")
