"""Numbers of stages of the user's own backbones, by which freeze depths such as -1 and all are resolved.

A backbone has to be built before its stages can be counted. This package imports neither torch nor the user's module. A
program that may import both registers a function that counts (`count_stages_by`); counts are kept by backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

__all__ = ["StageCounter", "count_stages_by", "modules_in", "own_stages"]

StageCounter = Callable[[str, Path], int]
"""Returns the number of stages for a backbone's name and a folder that its module may lie in.

Raises ValueError if the backbone is broken."""

_folder: ContextVar[Path | None] = ContextVar("_folder", default=None)
_counted: dict[str, int] = {}
_counters: list[StageCounter] = []


def count_stages_by(counter: StageCounter) -> None:
    """Register the function by which this process counts the stages of own backbones."""
    _counters[:] = [counter]


@contextmanager
def modules_in(folder: Path) -> Iterator[None]:
    """Inside, modules of own backbones may lie in `folder`; elsewhere, in the working folder."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def own_stages(name: str) -> int | None:
    """The number of stages of the own backbone `name`; None where this process has no way to count.

    Raises ValueError saying what is wrong with the backbone.
    """
    if name not in _counted and _counters:
        _counted[name] = _counters[0](name, _folder.get() or Path.cwd())
    return _counted.get(name)
