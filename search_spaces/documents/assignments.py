"""Changes to a sweep file that the command line gives, such as `--set budget.trials=64`."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from search_spaces.documents.problems import join_path
from search_spaces.documents.reader import MAX_BYTES, Place, load_document
from search_spaces.documents.writer import write_document
from search_spaces.errors import Problem, SpecError, show

__all__ = [
    "Assignment",
    "apply_assignments",
    "attribute_problems",
    "read_assignments",
    "text_with_assignments",
    "written_assignments",
]

_PART: Final = re.compile(r"[^.\[\]=\s]+|\[(?:\d+|\+)\]")
_HEAD: Final = "# The sweep file with"
_TAIL: Final = "# The file itself:"
_OPTION: Final = "# --set "
_APPEND: Final = "[+]"
"""An index behind the end of a list, where a value is added."""
_PATH: Final = re.compile(r"[^.\[\]=\s]+(?:\[(?:\d+|\+)\])*(?:\.[^.\[\]=\s]+(?:\[\d+\])*)*(?:\[\+\])?")


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A value to put at a place of a document; `written` is the user's text, `key=value`."""

    place: Place
    value: Any
    written: str

    @property
    def path(self) -> str:
        """The place as a path, such as `space.optimizer.one_of[0].lr`."""
        return join_path(*self.place).replace(f".{_APPEND}", _APPEND)

    def __str__(self) -> str:
        key, _, value = self.written.partition("=")
        return f"--set {key}={show(value)}" if value else f"--set {self.written}"

    def refuse(self, rule: str) -> SpecError:
        """Return the error that names this assignment and the rule that it breaks."""
        return SpecError([Problem(path="", rule=rule, file=str(self))])

    def concerns(self, path: str) -> bool:
        """Tell whether `path` is the place, or is above or below it; of a list to which it adds, any entry counts."""
        if self.place[-1] == _APPEND:
            return _is_below(path, join_path(*self.place[:-1])) or _is_below(join_path(*self.place[:-1]), path)
        return _is_below(path, self.path) or _is_below(self.path, path)


def read_assignments(written: Iterable[str]) -> tuple[Assignment, ...]:
    """Read each `key=value`, its value as YAML.

    Raises:
        SpecError: a text has another form.
    """
    return tuple(_read(text) for text in written)


def _read(written: str) -> Assignment:
    path, equals, text = written.partition("=")
    label = f"--set {written}"
    if not equals or not _PATH.fullmatch(path):
        rule = "must be KEY=VALUE, such as budget.trials=64, space.optimizer.one_of[0].lr=0.01 or search.points[+]={}"
        raise SpecError([Problem(path="", rule=rule, file=label)])
    try:
        value = load_document(text, label).data
    except SpecError as error:
        raise SpecError([replace(error.problems[0], line=None, column=None)]) from None
    place = tuple(part if part[0] != "[" or part == _APPEND else int(part[1:-1]) for part in _PART.findall(path))
    return Assignment(place=place, value=value, written=written)


def apply_assignments(data: Mapping[str, Any], assignments: Sequence[Assignment]) -> dict[str, Any]:
    """Return a copy of `data` with the values put in their places, in order; its names may be nested or dotted.

    Raises:
        SpecError: a place cannot exist, such as an index beyond a list's end or a name below a plain value.
    """
    changed = copy.deepcopy(dict(data))
    for assignment in assignments:
        _put(changed, assignment.place, (), assignment)
    return changed


def _put(node: Any, rest: Place, above: Place, assignment: Assignment) -> None:
    if isinstance(node, list) and rest == (_APPEND,):
        node.append(copy.deepcopy(assignment.value))
    elif isinstance(node, dict) and isinstance(rest[0], str) and rest[0] != _APPEND:
        _put_below_mapping(node, rest, above, assignment)
    elif isinstance(node, list) and isinstance(rest[0], int):
        if rest[0] >= len(node):
            raise assignment.refuse(f"{join_path(*above)} has {len(node)} entries, counted from [0]")
        if len(rest) == 1:
            node[rest[0]] = copy.deepcopy(assignment.value)
        else:
            _put(node[rest[0]], rest[1:], (*above, rest[0]), assignment)
    else:
        raise assignment.refuse(_missing_place_rule(node, join_path(*above)))


def _missing_place_rule(node: Any, path: str) -> str:
    if isinstance(node, list):
        return f"{path} is a list: give an index, such as {path}[0]"
    if isinstance(node, dict):
        return f"{path} is a mapping: give a name, not an index"
    return f"{path} is one value, {show(node)}: give {path} itself"


def _put_below_mapping(node: dict[str, Any], rest: Place, above: Place, assignment: Assignment) -> None:
    for key, left in _splits(rest):
        if not left:
            for dotted in [name for name in node if name.startswith(f"{key}.")]:
                del node[dotted]
            if len(rest) == 1 or key in node:
                node[key] = copy.deepcopy(assignment.value)
                return
        elif key in node:
            if node[key] is None:
                node[key] = {}
            _put(node[key], left, (*above, *rest[: len(rest) - len(left)]), assignment)
            return
    first, left = str(rest[0]), rest[1:]
    if left == (_APPEND,):
        node[first] = [copy.deepcopy(assignment.value)]
        return
    if isinstance(left[0], int):
        raise assignment.refuse(f"{join_path(*above, first)} is not in the file, so it has no entries")
    node[first] = {}
    _put(node[first], left, (*above, first), assignment)


def _splits(rest: Place) -> Iterator[tuple[str, Place]]:
    """Yield each way to read the beginning of a place as one dotted key, the longest first, with the rest."""
    names = next((i for i, part in enumerate(rest) if isinstance(part, int) or part == _APPEND), len(rest))
    for count in range(names, 0, -1):
        yield ".".join(map(str, rest[:count])), rest[count:]


def attribute_problems(problems: Iterable[Problem], assignments: Sequence[Assignment]) -> list[Problem]:
    """Put each problem that only the assignments cause under the assignment that causes it."""
    attributed = []
    for problem in problems:
        causes = [assignment for assignment in assignments if assignment.concerns(problem.path)] or list(assignments)
        exact = len(causes) == 1 and causes[0].path == problem.path
        label = " ".join(map(str, causes))
        attributed.append(replace(problem, file=label, path="" if exact else problem.path))
    return attributed


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith((f"{above}.", f"{above}["))


def text_with_assignments(original: str, data: Mapping[str, Any], assignments: Sequence[Assignment]) -> str:
    """Return the changed document as text, and below it the file's own text as a comment."""
    head = "".join(f"{_OPTION}{_on_one_line(assignment)}\n" for assignment in assignments)
    body = f"{_HEAD}\n{head}{write_document(data)}"
    below = "".join(f"# {line}".rstrip() + "\n" for line in original.splitlines())
    whole = f"{body}\n{_TAIL}\n{below}"
    return whole if len(whole.encode()) <= MAX_BYTES else body


def written_assignments(text: str) -> list[str]:
    """Return the assignments `key=value` that `text_with_assignments` has written into a text, the oldest first.

    A text that was changed again has those of the first time below it. Of several for the same key only the last counts
    and is returned, unless they add to a list. A file that is too large to be kept below its change loses older ones.
    """
    by_key: dict[tuple[str, int], str] = {}
    for layer in reversed([*_layers(text.splitlines())]):
        for written in layer:
            key = written.partition("=")[0]
            number = sum(1 for other, _ in by_key if other == key) if key.endswith(_APPEND) else 0
            by_key.pop((key, number), None)
            by_key[key, number] = written
    return list(by_key.values())


def _layers(lines: list[str]) -> Iterator[list[str]]:
    """Yield the assignments at the head of a text, then those at the head of the text that it was made from."""
    while lines and lines[0] == _HEAD:
        options = itertools.takewhile(lambda line: line.startswith(_OPTION), lines[1:])
        yield [line.removeprefix(_OPTION) for line in options]
        tail = lines.index(_TAIL) + 1 if _TAIL in lines else len(lines)
        lines = [line.removeprefix("#").removeprefix(" ") for line in lines[tail:]]


def _on_one_line(assignment: Assignment) -> str:
    return " ".join(assignment.written.split())
