"""Read YAML documents as plain data with the position of each key; scalars follow YAML 1.2's core schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from search_spaces.documents.problems import join_path
from search_spaces.errors import MISSING, Problem, SpecError

MAX_BYTES: Final = 1024 * 1024
"""Largest document, as UTF-8."""
MAX_DEPTH: Final = 32
MAX_NODES: Final = 20_000
"""Most values in a document, after each alias is replaced by what it stands for."""

Place = tuple[str | int, ...]
Mark = tuple[int, int]

_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED_INTEGER: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[Mapping[str, object]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_LAST_PART: Final = re.compile(r"(\.?[^.\[\]]+|\[\d+\])$")


@dataclass(frozen=True, kw_only=True)
class Document:
    """Plain data, and the line and column (from 1) of each key and of each entry of a list."""

    data: Any
    marks: Mapping[Place, Mark]
    file: str
    problems: tuple[Problem, ...] = ()

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Add this file's name to `problems`, and the position of their path or of the nearest place above it."""
        marks = {join_path(*place): mark for place, mark in self.marks.items()}
        located = []
        for problem in problems:
            path = problem.path
            while path and path not in marks:
                path = _LAST_PART.sub("", path) if _LAST_PART.search(path) else ""
            line, column = marks.get(path, (1, 1))
            located.append(replace(problem, file=self.file, line=line, column=column))
        return located


@dataclass(frozen=True)
class _Node:
    """A parsed value: a scalar, a list of nodes, or a tuple of (key, key's mark, node)."""

    content: Any
    mark: Mark


class _RefusedError(Exception):
    def __init__(self, rule: str, mark: Mark, value: object = MISSING) -> None:
        super().__init__(rule)
        self.rule, self.mark, self.value = rule, mark, value


def load_document(text: str, file: str) -> Document:
    """Read a document like `read_document`, and refuse keys given twice.

    Raises:
        SpecError: a key is given twice, or `read_document` refuses the text.
    """
    document = read_document(text, file)
    if document.problems:
        raise SpecError(document.problems)
    return document


def read_document(text: str, file: str) -> Document:
    """Read `text` as plain dicts, lists and scalars.

    If a key is given twice, the first value counts and `problems` names the second.

    Raises:
        SpecError: the text has bad syntax, tags, several documents, or more than MAX_BYTES, MAX_DEPTH or MAX_NODES.
    """
    check_size(len(text.encode(errors="replace")), file)
    try:
        root = _parse(text)
    except _RefusedError as error:
        raise SpecError([_problem(file, error.rule, error.mark, error.value)]) from None
    except MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = (place.line + 1, place.column + 1) if place else (1, 1)
        raise SpecError([_problem(file, f"is not YAML: {error.problem}", mark)]) from None
    except YAMLError as error:
        raise SpecError([_problem(file, f"is not YAML: {str(error).splitlines()[0]}", (1, 1))]) from None
    converter = _Converter(file)
    data = converter.convert(root, ())
    return Document(data=data, marks=MappingProxyType(converter.marks), file=file, problems=tuple(converter.problems))


def check_size(size: int, file: str) -> None:
    """Refuse a document that is too large. size: its bytes, as UTF-8.

    Raises:
        SpecError: it has more than MAX_BYTES.
    """
    if size > MAX_BYTES:
        rule = (
            f"must be at most {MAX_BYTES} bytes (1 MiB), but is {size}; check that this is the right file, "
            "delete comments, or split a long list of points into several sweeps"
        )
        raise SpecError([Problem(path="", rule=rule, file=file)])


def _problem(file: str, rule: str, mark: Mark, value: object = MISSING, path: str = "") -> Problem:
    return Problem(path=path, rule=rule, value=value, file=file, line=mark[0], column=mark[1])


def _parse(text: str) -> _Node | None:
    parser = YAML(typ="safe", pure=True)
    events = iter(parser.parse(text))
    root = None
    for event in events:
        if isinstance(event, DocumentStartEvent):
            if root is not None:
                raise _RefusedError("must contain only one document", _mark(event))
            root = _node(next(events), events, {}, depth=0)
    return root


def _mark(event: Any) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _node(event: Any, events: Iterator[Any], anchors: dict[str, _Node], *, depth: int) -> _Node:
    mark = _mark(event)
    if isinstance(event, AliasEvent):
        if event.anchor not in anchors:
            raise _RefusedError("is an alias, but no anchor above has this name", mark, f"*{event.anchor}")
        return anchors[event.anchor]
    if event.tag is not None:
        raise _RefusedError("must not have a tag", mark, str(event.tag))
    if depth > MAX_DEPTH:
        raise _RefusedError(f"must not be nested deeper than {MAX_DEPTH}", mark)
    if isinstance(event, ScalarEvent):
        node = _Node(_scalar(event, mark), mark)
    elif isinstance(event, SequenceStartEvent):
        elements = []
        while not isinstance(inner := next(events), SequenceEndEvent):
            elements.append(_node(inner, events, anchors, depth=depth + 1))
        node = _Node(elements, mark)
    else:
        assert isinstance(event, MappingStartEvent)
        node = _Node(_pairs(events, anchors, depth=depth), mark)
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


def _pairs(events: Iterator[Any], anchors: dict[str, _Node], *, depth: int) -> tuple[tuple[object, Mark, _Node], ...]:
    pairs = []
    while not isinstance(inner := next(events), MappingEndEvent):
        key = _node(inner, events, anchors, depth=depth + 1)
        pairs.append((key.content, _mark(inner), _node(next(events), events, anchors, depth=depth + 1)))
    return tuple(pairs)


def _scalar(event: ScalarEvent, mark: Mark) -> object:
    text = str(event.value)
    if event.style is not None:
        return text
    try:
        return parse_scalar(text)
    except ValueError:
        raise _RefusedError("is a number with too many digits", mark) from None


def parse_scalar(text: str) -> object:
    """Return the value of `text` written without quotes.

    Raises:
        ValueError: `text` is a number of too many digits.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED_INTEGER.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Converter:
    """Convert a tree of nodes into plain data, and collect marks and problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.marks: dict[Place, Mark] = {}
        self.problems: list[Problem] = []
        self._nodes = 0

    def convert(self, node: _Node | None, place: Place) -> Any:
        if node is None:
            return None
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse(f"must not contain more than {MAX_NODES} values", node.mark, place)
            raise SpecError(self.problems)
        if len(place) > MAX_DEPTH:
            self._refuse(f"must not be nested deeper than {MAX_DEPTH}", node.mark, place)
            return None
        if isinstance(node.content, tuple):
            return self._mapping(node.content, place)
        if isinstance(node.content, list):
            for i, element in enumerate(node.content):
                self.marks[(*place, i)] = element.mark
            return [self.convert(element, (*place, i)) for i, element in enumerate(node.content)]
        return node.content

    def _mapping(self, pairs: tuple[tuple[object, Mark, _Node], ...], place: Place) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, mark, node in pairs:
            if not isinstance(key, str):
                self._refuse("has a key that is not text", mark, place, key)
                continue
            if key in plain:
                first = self.marks[(*place, key)]
                self._refuse(f"is given twice, first in line {first[0]}", mark, (*place, key))
                continue
            self.marks[(*place, key)] = mark
            plain[key] = self.convert(node, (*place, key))
        return plain

    def _refuse(self, rule: str, mark: Mark, place: Place, value: object = MISSING) -> None:
        self.problems.append(_problem(self.file, rule, mark, value, join_path(*place)))
