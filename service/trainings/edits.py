"""Changes of a recipe file by hand: what they are, and what becomes of its claim."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from search_spaces import MeltpointError
from service.clocks import now_ms
from service.exports import RecipeFile, make_recipe_file
from service.ledgers import Ledger
from service.settings import Home

__all__ = ["describe_edit", "explain_edit", "find_changes"]

_MOST_NAMED: Final = 3


def find_changes(file: RecipeFile, home: Home) -> list[str]:
    """Return what was changed since the export, such as `optimizer.lr is 0.002, was 0.001`.

    The file is compared with a new export of its sweep. Nothing is known if the home has no such sweep, or if the sweep
    gives another recipe by now, as after a further confirmation.
    """
    if file.is_as_exported or not home.has_ledger:
        return []
    try:
        with closing(Ledger.open(home, clock=now_ms)) as ledger:
            exported = make_recipe_file(ledger, ledger.sweeps.find(file.chosen.sweep), with_places=True)
    except MeltpointError:
        return []
    if exported.claim != file.claim:
        return []
    now, before = _counted(file), _counted(exported)
    names = [
        name for name in [*before, *(name for name in now if name not in before)] if _is_changed(name, now, before)
    ]
    return [f"{name} is {_text(name, now)}, was {_text(name, before)}" for name in names]


def describe_edit(path: Path, changes: list[str]) -> str:
    """Return that a file was changed by hand, and how if that is known."""
    text = f"{path.name} was changed by hand after its export"
    if not changes:
        return text
    more = len(changes) - _MOST_NAMED
    return f"{text} ({'; '.join(changes[:_MOST_NAMED])}{f'; {more} more' if more > 0 else ''})"


def explain_edit(file: RecipeFile, path: Path, edit: str) -> str:
    """Return what an edit means, and how to get the exported recipe back."""
    again = shlex.quote(f"{path.stem}-as-exported{path.suffix}")
    return (
        f"{edit}: its claim is dropped, so the expected {file.score.measure} of {file.score.value:.4f} says nothing "
        f"about this training. To get the recipe back as it was: meltpoint export {file.chosen.sweep} -f {again}"
    )


def _counted(file: RecipeFile) -> dict[str, Any]:
    """Return by dotted name what the claim covers; hyperparameters have the names of the vocabulary."""
    return {**file.hyperparameters.flat(), **dict(_flat(file.claimed_parts(), ""))}


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_changed(name: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    return name not in now or name not in before or now[name] != before[name]


def _text(name: str, values: Mapping[str, Any]) -> str:
    return str(values[name]) if name in values else "not there"
