"""The number of stages of a user's own backbone, which freeze depths such as `-1` and `all` need.

No table has it: a program must build the backbone to count its stages. This package imports neither torch nor the
user's module, so a program that may import both registers a function that counts (`count_stages_by`). Counts are cached
by the backbone's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

__all__ = [
    "StageCounter",
    "count_own_stages",
    "count_stages_by",
    "is_counting_forbidden",
    "modules_in",
    "without_counting",
]

StageCounter = Callable[[str, Path], int]
"""A function that counts the stages of a backbone, given its name and a folder that may contain its module.

Raises ValueError with the reason if the backbone is broken.
"""

_folder: ContextVar[Path | None] = ContextVar("_folder", default=None)
_is_forbidden: ContextVar[bool] = ContextVar("_is_forbidden", default=False)
_counted: dict[str, int] = {}
_counters: list[StageCounter] = []


def count_stages_by(counter: StageCounter) -> None:
    """Register `counter` in this process; it is called once for each own backbone, at the first use of its name."""
    _counters[:] = [counter]


@contextmanager
def modules_in(folder: Path) -> Iterator[None]:
    """Look for modules of own backbones in `folder` inside this context; outside, in the working folder."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


@contextmanager
def without_counting() -> Iterator[None]:
    """Count no stages inside this context, whatever this process has registered.

    A service's API reads files of strangers, also in a process of the command line, which counts by importing. Freeze
    depths of own backbones are then left open, also in explicit points: the driver checks them.
    """
    token = _is_forbidden.set(True)
    try:
        yield
    finally:
        _is_forbidden.reset(token)


def is_counting_forbidden() -> bool:
    """Return whether this code runs inside `without_counting`."""
    return _is_forbidden.get()


def count_own_stages(name: str) -> int | None:
    """Return the number of stages of the own backbone `name`; None if this process has registered no counter.

    Return None inside `without_counting`, also for a backbone that was counted before.

    Raises:
        ValueError: the backbone is broken; the message has the reason.
    """
    if _is_forbidden.get():
        return None
    if name not in _counted and _counters:
        _counted[name] = _counters[0](name, _folder.get() or Path.cwd())
    return _counted.get(name)
