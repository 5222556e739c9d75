"""What a user is told when something is wrong: one root class, and problems that name their place."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SHOWN_CHARACTERS: Final = 80


class _Missing:
    """Stands for "there is no value to show": `None` is a value a file can hold."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class MeltpointError(Exception):
    """Root of every error shown to a user; `str(error)` is the complete message."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One broken rule in a file: where, which rule, and the value received.

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
        where = " ".join(part for part in (place, self.path) if part)
        shown = "" if self.value is MISSING else f" ({show(self.value)})"
        return f"{where}: {self.rule}{shown}" if where else f"{self.rule}{shown}"


class SpecError(MeltpointError):
    """Everything that is wrong with a document, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems, key=_file_order))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def _file_order(problem: Problem) -> tuple[str, int, int]:
    return problem.file or "", problem.line or 0, problem.column or 0


def first_line(error: Exception) -> str:
    """What another library's error says, in one line: the first of its text, or its type where it has none."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def show(value: object) -> str:
    """A value as a message quotes it: on one line, as a YAML file would spell it, shortened when long."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if not text.isprintable() or not text.strip():
        text = json.dumps(text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where a known word is close, else `; known: ...` where the list is short."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known: {', '.join(words)}" if 0 < len(words) <= 12 else ""


def one_of(value: object, known: Iterable[str]) -> str:
    """`must be one of a, b, c`, and the closest where one is close."""
    words = list(known)
    hint = did_you_mean(str(value), words)
    return f"must be one of {', '.join(words)}{'' if hint.startswith('; known') else hint}"
