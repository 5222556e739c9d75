"""Versions of Python and of the packages that sweeps need."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

from service.upkeep.checks.findings import Finding, Surroundings, problem

__all__ = ["check_versions"]

_PACKAGES = ("meltpoint", "torch", "torchvision", "timm", "ray", "mlflow", "optuna")


def check_versions(_surroundings: Surroundings) -> Iterator[Finding]:
    """Yield the version of Python and of each package, or the package that is missing."""
    yield Finding(name="python", text=f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in _PACKAGES:
        try:
            yield Finding(name=package, text=metadata.version(package))
        except metadata.PackageNotFoundError:
            yield problem(package, "not installed", f"pip install {package}")
