"""Strict JSON: UTF-8, finite numbers only, no key twice, not deeper than 32 levels."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, Final, NoReturn

from search_spaces import MeltpointError

__all__ = ["MAX_DEPTH", "JsonBodyError", "check_json"]

MAX_DEPTH: Final = 32
_SHOWN_CHARACTERS: Final = 80


class JsonBodyError(MeltpointError):
    """A body is not JSON, or JSON that this service refuses (HTTP 422)."""


def check_json(body: bytes) -> None:
    """Check a body that will be read as JSON.

    Raises:
        JsonBodyError: it is not JSON; it has NaN, Infinity or a number too large for a float; a key stands twice in
            an object; it is deeper than 32 levels; a text is not Unicode.
    """
    try:
        document = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise JsonBodyError(f"the body is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise JsonBodyError(f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise JsonBodyError(f"the body must be at most {MAX_DEPTH} levels deep") from None
    _check_values(document)


def _check_values(document: Any) -> None:
    level, depth = [document], 0
    while level:
        depth += any(isinstance(value, dict | list) for value in level)
        if depth > MAX_DEPTH:
            raise JsonBodyError(f"the body must be at most {MAX_DEPTH} levels deep")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [*value, *value.values()]
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str):
                _check_text(value)
        level = inner


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise JsonBodyError("the body has half of a surrogate pair, which is no Unicode text") from None


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise JsonBodyError(f"the key {_shown(twice)} stands twice in one object")
    return values


def _read_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonBodyError(f"{_shown(text)} is too large for a number")
    return value


def _read_integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python refuses more than 4300 digits
        raise JsonBodyError(f"{_shown(text)} is too large for a number") from None


def _refuse_constant(text: str) -> NoReturn:
    raise JsonBodyError(f"{text} is no JSON number; numbers must be finite")


def _shown(text: str) -> str:
    return json.dumps(text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "...")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_read_object,
    parse_float=_read_float,
    parse_int=_read_integer,
    parse_constant=_refuse_constant,
)
