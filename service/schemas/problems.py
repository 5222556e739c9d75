"""Problem details for HTTP APIs (RFC 9457): the content of every error that a service answers with."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from search_spaces import MISSING, SpecError
from search_spaces import Problem as BrokenSpecRule
from service.schemas.base import Answer, finite

__all__ = ["PROBLEM_MEDIA_TYPE", "BrokenRule", "Problem"]

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
_LONGEST_TEXT: Final = 200
_LARGEST_NUMBER: Final = 2**53


class BrokenRule(Answer):
    """A rule that a sweep file or a request breaks: its place, the rule, and the value received."""

    path: str
    """Place in the document, such as `space.optimizer.lr.max`."""
    rule: str
    """The rule, such as `must be > 0`."""
    value: Any = None
    """Value received; absent if there is none."""
    file: str | None = None
    line: int | None = None
    """Line in the file, from 1."""
    column: int | None = None
    """Column in the line, from 1."""

    @model_serializer(mode="wrap")
    def _leave_out_a_missing_value(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        if "value" not in self.model_fields_set:
            values.pop("value", None)
        return values

    @classmethod
    def from_record(cls, problem: BrokenSpecRule) -> BrokenRule:
        """Return the model of a problem; a value that is no JSON is given as text."""
        values: dict[str, Any] = {
            "path": problem.path,
            "rule": problem.rule,
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
        }
        if problem.value is not MISSING:
            values["value"] = _as_json(problem.value)
        return cls(**values)

    def to_record(self) -> BrokenSpecRule:
        """Return the problem as the commands print it."""
        return BrokenSpecRule(
            path=self.path,
            rule=self.rule,
            value=self.value if "value" in self.model_fields_set else MISSING,
            file=self.file,
            line=self.line,
            column=self.column,
        )


class Problem(Answer):
    """An error (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "urn:meltpoint:problem:sweep-not-found"}]})

    type: str = "about:blank"
    """Kind of error, such as `urn:meltpoint:problem:conflict`; the last part does not change between versions."""
    title: str
    """Kind of error in words."""
    status: int = Field(ge=400, le=599)
    detail: str | None = None
    """Complete message for the user."""
    instance: str | None = None
    """Path of the request."""
    problems: list[BrokenRule] = Field(default_factory=list)
    """Broken rules, if the sweep file or the request breaks any."""
    request_id: str | None = None
    """Id of the request, which the service's log has too."""

    @property
    def kind(self) -> str:
        """Last part of the type, such as `conflict`."""
        return self.type.rpartition(":")[2]

    def to_spec_error(self) -> SpecError:
        """Return the broken rules as the error that commands print."""
        return SpecError([problem.to_record() for problem in self.problems])


def _as_json(value: object) -> Any:
    """Return a short JSON value: a long one is cut, and given as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) <= _LARGEST_NUMBER else str(value)
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, list | tuple | dict):
        plain = finite(value)
        text = json.dumps(plain, default=str)
        return plain if len(text) <= _LONGEST_TEXT and _is_json(plain) else _cut(text)
    return _cut(str(value))


def _cut(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value).encode()
    except (TypeError, UnicodeEncodeError):
        return False
    return True
