"""Versions of Python and of the packages that decide what a training computes."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

__all__ = ["training_versions"]

_PACKAGES: Final = ("meltpoint", "torch", "torchvision", "timm")


def training_versions() -> dict[str, str]:
    """Return the versions here, by name; a package that is not installed is left out."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
