"""Errors shown to users: one root class, and problems that name their place."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SHOWN_CHARACTERS: Final = 80


class _Missing:
    """The mark of "no value to show"; `None` would not do, because a file can contain it."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class MeltpointError(Exception):
    """Base class of every error shown to a user; `str(error)` is the complete message."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A broken rule in a file: its place, the rule, and the value received.

    `line` and `column` count from 1. `str` gives `sweep.yaml:14:7 space.dropout.rate.max: must be < 1 (1.5)`.
    """

    path: str
    rule: str
    value: object = MISSING
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = self.file or ""
        if self.line is not None:
            place += f":{self.line}:{self.column}"
        location = " ".join(part for part in (place, self.path) if part)
        shown = "" if self.value is MISSING else f" ({show(self.value)})"
        return f"{location}: {self.rule}{shown}" if location else f"{self.rule}{shown}"


class SpecError(MeltpointError):
    """All problems of a document, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems, key=_file_order))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def _file_order(problem: Problem) -> tuple[str, int, int]:
    return problem.file or "", problem.line or 0, problem.column or 0


def first_line(error: Exception) -> str:
    """Return the first line of another library's error, or the name of its type if it has no text."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def show(value: object) -> str:
    """Write a value for a message: on one line, spelled as in a YAML file, shortened if long."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if not text.isprintable() or not text.strip():
        text = json.dumps(text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` if a known word is close, `; known: ...` if the list is short, else nothing."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known: {', '.join(words)}" if 0 < len(words) <= 12 else ""


def one_of_rule(value: object, known: Iterable[str]) -> str:
    """Return the rule `must be one of a, b, c`, with the closest word if there is a close one."""
    words = list(known)
    hint = did_you_mean(str(value), words)
    return f"must be one of {', '.join(words)}{'' if hint.startswith('; known') else hint}"
