"""Own code that a sweep file names, found without importing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from search_spaces import Choice, Fixed, Problem, SpecError, SweepSpec, own_metrics
from search_spaces.extensions import EXTENSIONS, ExtensionKind, is_function_name
from search_spaces.spaces.domains import Domain

__all__ = ["refuse_own_code"]

_KINDS: Final[Mapping[str, ExtensionKind]] = {"backbone": "backbone", "augment.policy": "augmentation"}
"""Names of recipes whose values may be own code."""


def refuse_own_code(spec: SweepSpec, user: str) -> None:
    """Refuse a sweep that names functions of the user's own; entry points of installed packages are allowed.

    Raises:
        SpecError: it names one; the error lists all.
    """
    rule = (
        "is your own code, and this service does not run yours; "
        f"an admin can allow it: meltpoint user set {user} --own-code"
    )
    problems = [
        Problem(path=EXTENSIONS[kind].setting, rule=rule, value=name, file=spec.file) for kind, name in _names(spec)
    ]
    if problems:
        raise SpecError(problems)


def _names(spec: SweepSpec) -> Iterator[tuple[ExtensionKind, str]]:
    names: list[tuple[ExtensionKind, object]] = [("dataset", spec.data.source)]
    names += [("metric", name) for name in own_metrics(spec)]
    for recipe in spec.points:
        names += [("backbone", recipe.backbone), ("augmentation", recipe.augment.policy)]
    for entry in spec.space.entries:  # also beside points, which take defaults from the space
        kind = _KINDS.get(entry.name or "")
        if kind is not None:
            names += [(kind, value) for value in _values(entry.domain)]
    return ((kind, str(name)) for kind, name in dict.fromkeys(names) if is_function_name(str(name)))


def _values(domain: Domain) -> Iterable[object]:
    """Return the values of a list; a range has numbers only."""
    if isinstance(domain, Fixed):
        return [domain.value]
    return domain.values if isinstance(domain, Choice) else ()
