"""Recipe files that `search.points` names, put in the place of their names, so that the sweep file stands alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from search_spaces.documents import (
    Place,
    check_size,
    expand_user,
    join_path,
    load_document,
    read_assignments,
    read_document,
)
from search_spaces.errors import Problem, SpecError

__all__ = ["assign_recipes", "embed_recipes"]

_FORMAT: Final = "meltpoint-recipe-"
_LIST: Final[Place] = ("search", "points")
_MENTION: Final = re.compile(r"\bpoints\b")


def embed_recipes(text: str, file: Path) -> str:
    """Return the text of a sweep file with the recipe of each file that `search.points` names in place of its name.

    A name stands where its recipe then stands, on the same line. Relative names start in the sweep file's folder. A
    text that is not YAML is returned as it is.

    Raises:
        SpecError: a recipe file cannot be read or is none; each problem has its line.
    """
    if not _MENTION.search(text):
        return text
    try:
        document = read_document(text, str(file))
    except SpecError:
        return text
    names = list(_names(document.data))
    problems: list[Problem] = []
    lines = text.splitlines(keepends=True)
    for place, name in reversed(names):
        try:
            recipe = _read(name, file.absolute().parent)
        except ValueError as error:
            problems += document.locate([Problem(path=join_path(*place), rule=str(error), value=name)])
            continue
        line, column = document.marks[place]
        before, written = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
        spelled = next((spelled for spelled in _spellings(name) if written.startswith(spelled)), None)
        if spelled is None:
            rule = "must be the path of a recipe file, as one word or in quotes"
            problems += document.locate([Problem(path=join_path(*place), rule=rule, value=name)])
            continue
        after = written.removeprefix(spelled)
        origin = f"  # {name}" if not after.strip() else ""
        lines[line - 1] = before + json.dumps(recipe) + origin + after
    if problems:
        raise SpecError(problems[::-1])
    return "".join(lines)


def assign_recipes(assign: Sequence[str]) -> list[str]:
    """Return assignments with the recipe of each file that they put into `search.points` in place of its name.

    Relative names start in the working folder, since assignments are typed there.

    Raises:
        SpecError: a recipe file cannot be read or is none, or an assignment has another form than `key=value`.
    """
    embedded = []
    for written in assign:
        key = written.partition("=")[0]
        if not key.startswith("search"):
            embedded.append(written)
            continue
        (assignment,) = read_assignments([written])
        try:
            content = _with_recipes(assignment.value, assignment.place[len(_LIST) :])
        except ValueError as error:
            raise assignment.refuse(str(error)) from None
        is_points = assignment.place[: len(_LIST)] == _LIST and content != assignment.value
        embedded.append(f"{key}={json.dumps(content)}" if is_points else written)
    return embedded


def _with_recipes(value: Any, below: Place) -> Any:
    """Return the value of `search.points` or of one of its entries, with recipes in the place of their files' names."""
    if not below and isinstance(value, list):
        return [_with_recipes(entry, (0,)) for entry in value]
    return _read(value, Path.cwd()) if len(below) == 1 and isinstance(value, str) else value


def _names(data: Any) -> Iterator[tuple[Place, str]]:
    """Yield the place of each entry of `search.points` that is a text, with the text."""
    search = data.get("search") if isinstance(data, dict) else None
    points = search.get("points") if isinstance(search, dict) else None
    for index, point in enumerate(points if isinstance(points, list) else ()):
        if isinstance(point, str):
            yield (*_LIST, index), point


def _spellings(name: str) -> Iterator[str]:
    yield from (name, json.dumps(name), json.dumps(name, ensure_ascii=False), "'" + name.replace("'", "''") + "'")


def _read(name: str, folder: Path) -> dict[str, Any]:
    """Return the hyperparameters of a recipe file. Raises ValueError with the rule that it breaks."""
    path = folder / expand_user(name)
    try:
        check_size(path.stat().st_size, str(path))
        data = load_document(path.read_text(encoding="utf-8-sig"), str(path)).data
    except OSError as error:
        raise ValueError(
            f"must be a mapping of names to values, or a recipe file, but {path} cannot be read: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"must be a recipe file, as `meltpoint export` writes it, but {path} is not UTF-8") from None
    except SpecError as error:
        raise ValueError(f"must be a recipe file, as `meltpoint export` writes it, but {error}") from None
    recipe = data.get("recipe") if isinstance(data, dict) else None
    if not isinstance(recipe, dict) or not str(data.get("format")).startswith(_FORMAT):
        raise ValueError(f"must be a recipe file, as `meltpoint export` writes it, but {path} is none")
    return recipe
