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
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path",
    "enum": "{expected}",
    "float_type": "must be a number",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "literal_error": "{expected}",
    "value_error": "{error}",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def join_path(*parts: int | str) -> str:
    """Return the path of a place in a document: `("space", "one_of", 1, "lr")` gives `space.one_of[1].lr`."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part:
            text += f".{part}" if text else part
    return text


def broken_rule(error: ErrorDetails) -> str:
    """Return the rule that a pydantic error says is broken."""
    template = _RULES.get(error["type"])
    if template is None:
        return error["msg"]
    context: dict[str, Any] = dict(error.get("ctx", {}))
    if error["type"] in ("literal_error", "enum"):
        expected = str(context["expected"]).replace("'", "")
        words = expected.replace(" or ", ", ").split(", ")
        return one_of_rule(error["input"], words)
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
