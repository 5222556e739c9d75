"""Turn pydantic's errors into problems in this project's words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from search_spaces.errors import MISSING, Problem, did_you_mean, one_of_rule

Location = tuple[int | str, ...]

_RULES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "finite_number": "must be a finite number",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "must be an integer with fewer digits",
    "multiple_of": "must be a multiple of {multiple_of}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path",
    "enum": "{expected}",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text",
    "string_sub_type": "must be text",
    "string_unicode": "must be UTF-8",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must have the form {pattern}",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "too_long": "must have at most {max_length} entries",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "none_required": "must be null",
    "extra_forbidden": "unknown key",
    "json_invalid": "is not JSON",
    "json_type": "must be JSON text",
    "literal_error": "{expected}",
    "value_error": "{error}",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
_OTHER_RULE: Final = "is not accepted here"
_PATTERNS: Final[Mapping[str, str]] = {r"^[0-9a-f]+$": "must have only the digits 0-9 and a-f"}


def join_path(*parts: int | str) -> str:
    """Return the path of a place in a document: `("space", "one_of", 1, "lr")` gives `space.one_of[1].lr`."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part:
            text += f".{part}" if text else part
    return text


def broken_rule(error: ErrorDetails, patterns: Mapping[str, str] | None = None) -> str:
    """Return the rule that a pydantic error says is broken, never in pydantic's words.

    patterns: further rules in words, by regular expression.
    """
    context: dict[str, Any] = dict(error.get("ctx", {}))
    if error["type"] == "string_pattern_mismatch":
        words = {**_PATTERNS, **(patterns or {})}.get(context["pattern"])
        if words is not None:
            return words
    if error["type"] in ("string_too_short", "too_short"):
        least = context["min_length"]
        unit = "characters" if error["type"] == "string_too_short" else "entries"
        return "must not be empty" if least == 1 else f"must have at least {least} {unit}"
    template = _RULES.get(error["type"], _OTHER_RULE)
    if error["type"] in ("literal_error", "enum"):
        expected = str(context["expected"]).replace("'", "")
        choices = expected.replace(" or ", ", ").split(", ")
        return one_of_rule(error["input"], choices)
    return template.format(**context)


def problems_from(
    error: ValidationError,
    path: str,
    known: Callable[[Location], Iterable[str]],
) -> list[Problem]:
    """Return a problem for each error, with its path below `path`; `known` lists the names allowed at a place."""
    problems = []
    for detail in error.errors(include_url=False):
        place = detail["loc"]
        problem_path = join_path(path, *place)
        if detail["type"] == "extra_forbidden":
            hint = did_you_mean(str(place[-1]), known(place[:-1]))
            problems.append(Problem(path=problem_path, rule=f"unknown key{hint}"))
            continue
        value = MISSING if detail["type"] == "missing" else detail["input"]
        problems.append(Problem(path=problem_path, rule=broken_rule(detail), value=value))
    return problems
