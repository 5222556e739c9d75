"""Changes to a sweep file given beside it, as `--set budget.trials=64`."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from search_spaces.documents.problems import join_path
from search_spaces.documents.reader import MAX_BYTES, Place, load_document
from search_spaces.documents.writer import write_document
from search_spaces.errors import Problem, SpecError, show

__all__ = ["Assignment", "apply", "attribute", "read_assignments", "text_as_run"]

_PART: Final = re.compile(r"[^.\[\]=\s]+|\[\d+\]")
_PATH: Final = re.compile(r"[^.\[\]=\s]+(?:\[\d+\])*(?:\.[^.\[\]=\s]+(?:\[\d+\])*)*")


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One value put at one place of a document; `written` is how the user wrote it."""

    place: Place
    value: Any
    written: str

    @property
    def path(self) -> str:
        return join_path(*self.place)

    def __str__(self) -> str:
        key, _, value = self.written.partition("=")
        return f"--set {key}={show(value)}" if value else f"--set {self.written}"

    def refuse(self, rule: str) -> SpecError:
        return SpecError([Problem(path="", rule=rule, file=str(self))])

    def concerns(self, path: str) -> bool:
        """Whether `path` lies at, below or above the place."""
        return _is_below(path, self.path) or _is_below(self.path, path)


def read_assignments(written: Iterable[str]) -> tuple[Assignment, ...]:
    """Each `key=value`, its value read as YAML. Raises SpecError for what has another form."""
    return tuple(_read(one) for one in written)


def _read(written: str) -> Assignment:
    path, equals, text = written.partition("=")
    label = f"--set {written}"
    if not equals or not _PATH.fullmatch(path):
        rule = "must be KEY=VALUE, such as budget.trials=64 or space.optimizer.one_of[0].lr=0.01"
        raise SpecError([Problem(path="", rule=rule, file=label)])
    try:
        value = load_document(text, label).data
    except SpecError as error:
        raise SpecError([replace(error.problems[0], line=None, column=None)]) from None
    place = tuple(int(part[1:-1]) if part.startswith("[") else part for part in _PART.findall(path))
    return Assignment(place=place, value=value, written=written)


def apply(data: Mapping[str, Any], assignments: Sequence[Assignment]) -> dict[str, Any]:
    """A copy of `data` with the values put in their places, in order; names may stand nested or dotted in it.

    Raises SpecError where a place cannot be: an index beyond a list's end, a name below a plain value.
    """
    changed = copy.deepcopy(dict(data))
    for assignment in assignments:
        _put(changed, assignment.place, (), assignment)
    return changed


def _put(node: Any, rest: Place, above: Place, assignment: Assignment) -> None:
    if isinstance(node, dict) and isinstance(rest[0], str):
        _put_below_mapping(node, rest, above, assignment)
    elif isinstance(node, list) and isinstance(rest[0], int):
        if rest[0] >= len(node):
            raise assignment.refuse(f"{join_path(*above)} has {len(node)} entries, counted from [0]")
        if len(rest) == 1:
            node[rest[0]] = copy.deepcopy(assignment.value)
        else:
            _put(node[rest[0]], rest[1:], (*above, rest[0]), assignment)
    else:
        raise assignment.refuse(_nothing_there(node, join_path(*above)))


def _nothing_there(node: Any, path: str) -> str:
    if isinstance(node, list):
        return f"{path} is a list: give an index, such as {path}[0]"
    if isinstance(node, dict):
        return f"{path} has names, not entries to count"
    return f"{path} is one value, {show(node)}: give {path} itself"


def _put_below_mapping(node: dict[str, Any], rest: Place, above: Place, assignment: Assignment) -> None:
    for key, left in _splits(rest):
        if not left:
            for other in [one for one in node if one.startswith(f"{key}.")]:
                del node[other]
            if len(rest) == 1 or key in node:
                node[key] = copy.deepcopy(assignment.value)
                return
        elif key in node:
            if node[key] is None:
                node[key] = {}
            _put(node[key], left, (*above, *rest[: len(rest) - len(left)]), assignment)
            return
    first, left = str(rest[0]), rest[1:]
    if isinstance(left[0], int):
        raise assignment.refuse(f"{join_path(*above, first)} is not in the file: it has no entries")
    node[first] = {}
    _put(node[first], left, (*above, first), assignment)


def _splits(rest: Place) -> Iterator[tuple[str, Place]]:
    """Ways to read the beginning of a place as one dotted key, the longest first, and what is left then."""
    names = next((i for i, part in enumerate(rest) if isinstance(part, int)), len(rest))
    for count in range(names, 0, -1):
        yield ".".join(map(str, rest[:count])), rest[count:]


def attribute(problems: Iterable[Problem], assignments: Sequence[Assignment]) -> list[Problem]:
    """Problems that a document has only with the assignments, each under the one that it comes from."""
    found = []
    for problem in problems:
        causes = [one for one in assignments if one.concerns(problem.path)] or list(assignments)
        exact = len(causes) == 1 and causes[0].path == problem.path
        label = " ".join(map(str, causes))
        found.append(replace(problem, file=label, path="" if exact else problem.path))
    return found


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith((f"{above}.", f"{above}["))


def text_as_run(original: str, data: Mapping[str, Any], assignments: Sequence[Assignment]) -> str:
    """The document with the assignments as text of its own, and the file's text below it as a comment."""
    head = "".join(f"# {one}\n" for one in map(_one_line, assignments))
    body = f"# The sweep file with\n{head}{write_document(data)}"
    below = "".join(f"# {line}".rstrip() + "\n" for line in original.splitlines())
    whole = f"{body}\n# The file itself:\n{below}"
    return whole if len(whole.encode()) <= MAX_BYTES else body


def _one_line(assignment: Assignment) -> str:
    return " ".join(f"--set {assignment.written}".split())
