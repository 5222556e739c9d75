"""Recipe files as text: YAML with the way in which the recipe was chosen at the top."""

from __future__ import annotations

import json
from pathlib import Path

from search_spaces import SpecError, read_spec_text
from search_spaces.documents import read_document, write_document
from service.exports.recipe_files import ExpectedScore, Interval, RecipeFile

__all__ = ["describe_score", "headline", "load_recipe", "write_recipe"]

_HEADS = {"confirmed": "CONFIRMED", "default stands": "THE DEFAULT STANDS", "unconfirmed": "UNCONFIRMED"}


def load_recipe(path: Path) -> RecipeFile:
    """Return the recipe of a file, in YAML or JSON.

    Raises:
        SpecError: the file is missing or has problems; the error has all of them, each with its line.
    """
    document = read_document(read_spec_text(path), str(path))
    try:
        file = RecipeFile.from_data(document.data)
    except SpecError as error:
        raise SpecError([*document.problems, *document.locate(error.problems)]) from None
    if document.problems:
        raise SpecError(document.problems)
    return file


def write_recipe(file: RecipeFile) -> str:
    """Return the text of a recipe file, which `load_recipe` reads back unchanged."""
    lines = [
        f"Recipe of sweep {file.chosen.sweep} ({file.chosen.name}), exported by Meltpoint {_version(file)}",
        headline(file),
        f"Expected: {describe_score(file.score)}",
        f"Train by it: {file.command}",
    ]
    comment = "".join(f"# {json.dumps(line)[1:-1] if not line.isprintable() else line}\n" for line in lines)
    return comment + write_document(file.as_json())


def headline(file: RecipeFile) -> str:
    """Return how the recipe was chosen, in a line, whose reason does not repeat its head."""
    head = _HEADS[file.chosen.how]
    return f"{head}: {file.chosen.because.removeprefix(f'{head.lower()}: ')}"


def describe_score(score: ExpectedScore) -> str:
    """Return the expected score in words, with its intervals or why there are none."""
    text = f"{score.measure} {score.value:.4f} on the {score.images} {score.split} images"
    if score.mean_interval is None:
        why = (
            "the images by which it was chosen, so likely too good; no interval"
            if score.split == "val"
            else "no interval"
        )
        return f"{text} ({why})"
    text += f"; {_percent(score.mean_interval)} interval of the recipe's mean {_range(score.mean_interval)}"
    if score.training_interval is not None:
        text += f"; of a single new training on these images {_range(score.training_interval)}"
    return text


def _percent(interval: Interval) -> str:
    return f"{100 * interval.level:g} %"


def _range(interval: Interval) -> str:
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _version(file: RecipeFile) -> str:
    return file.versions.get("meltpoint", "(unknown version)")
