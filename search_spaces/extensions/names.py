"""Names of the user's own code: `module:function`, or the entry point of an installed package.

This module only checks names and imports nothing; workers resolve the names (trainables.own_code).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Final, Literal

__all__ = [
    "EXTENSIONS",
    "FUNCTION_PATTERN",
    "Extension",
    "ExtensionKind",
    "installed_names",
    "is_function_name",
    "is_own",
]

ExtensionKind = Literal["backbone", "dataset", "augmentation", "metric"]

FUNCTION_PATTERN: Final = r"(?!torchvision:)[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
_FUNCTION: Final = re.compile(FUNCTION_PATTERN, re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Extension:
    """A place for own code: its kind in words, the key that names it, and the group of entry points."""

    what: str
    setting: str
    group: str


EXTENSIONS: Final[Mapping[ExtensionKind, Extension]] = MappingProxyType(
    {
        "backbone": Extension(what="backbone", setting="backbone", group="meltpoint.backbones"),
        "dataset": Extension(what="data set", setting="data.source", group="meltpoint.datasets"),
        "augmentation": Extension(what="augmentation", setting="augment.policy", group="meltpoint.augmentations"),
        "metric": Extension(what="metric", setting="metric.name", group="meltpoint.metrics"),
    }
)


def is_function_name(name: str) -> bool:
    """Return whether `name` has the form `package.module:function`."""
    return _FUNCTION.fullmatch(name) is not None


def installed_names(kind: ExtensionKind) -> tuple[str, ...]:
    """Return the entry points of installed packages for this kind, sorted."""
    return tuple(sorted(entry_points(group=EXTENSIONS[kind].group).names))


def is_own(name: str, kind: ExtensionKind) -> bool:
    """Return whether `name` can be the user's own code: `module:function`, or an installed entry point."""
    return is_function_name(name) or name in installed_names(kind)
