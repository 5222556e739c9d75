"""Findings, which checks yield, and the surroundings that checks look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.settings import Home, Setting

__all__ = ["PATIENCE_SECONDS", "Check", "Finding", "Level", "Surroundings", "problem", "warning"]

PATIENCE_SECONDS = 3.0
"""Time that a check waits for a database or a server."""


class Level(StrEnum):
    """The gravity of a finding."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of a check, and the remedy if it is not ok. node: of a cluster, if it is about one."""

    name: str
    node: str = ""
    level: Level = Level.OK
    text: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The home, the settings and the environment that checks look at.

    home_from: the origin of the home, as users write it, such as `--home`.
    environment: variables as the user set them, before this program changed any.
    """

    home: Home
    home_from: str
    environment: Mapping[str, str]
    settings: Sequence[Setting] = ()


Check = Callable[[Surroundings], Iterator[Finding]]
"""A check: yields its findings, in the order in which they are shown."""


def problem(name: str, text: str, advice: str, *, node: str = "") -> Finding:
    """Return a finding that stops sweeps."""
    return Finding(name=name, node=node, level=Level.PROBLEM, text=text, advice=advice)


def warning(name: str, text: str, advice: str, *, node: str = "") -> Finding:
    """Return a finding that makes sweeps slower, or may stop them later."""
    return Finding(name=name, node=node, level=Level.WARNING, text=text, advice=advice)
