"""Errors of options in plain words: typer gives those of pydantic, which checks the values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["PlainGroup"]

_CHOICES = re.compile(r"(?P<value>'.*') is not one of (?P<choices>'.*')\.", re.DOTALL)


class PlainGroup(TyperGroup):
    """Commands whose wrong options are named with the rule and the value, as in a sweep file."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a wrong option raises BadParameter in our words."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from pydantic import ValidationError

            if isinstance(error.__cause__, ValidationError):
                error.message = _explain(error.__cause__.errors(include_url=False)[0])
            raise


def _explain(detail: ErrorDetails) -> str:
    from search_spaces.documents import broken_rule
    from search_spaces.errors import one_of_rule, show

    rule, value = broken_rule(detail), detail["input"]
    if choices := _CHOICES.fullmatch(rule):
        rule = one_of_rule(value, choices["choices"].replace("'", "").split(", "))
    return f"{rule} ({show(value)})"
