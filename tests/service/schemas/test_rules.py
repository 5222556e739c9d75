"""Rules of requests in plain words: no message has the words of pydantic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import service.schemas  # noqa: F401  (it defines every request model)
from search_spaces.documents import broken_rule
from service.api.app import create_app
from service.api.settings import ApiSettings
from service.schemas import PATTERN_RULES
from service.schemas.base import Request
from service.settings import Home

JARGON = re.compile(
    r"[Ii]nput|[Vv]alue error|[Ss]tring|pydantic|should|valid|dictionary|model_|must have the form|accepted"
)
WRONG_VALUES: tuple[Any, ...] = (
    *(None, True, "", " ", "a\x00b", "a\nb", "x" * 20_000, "7"),
    *(-(10**30), -1, 0, 10**30, 0.25, -0.5, 1e300, float("nan"), float("inf")),
    *([], [""], [1], ["x" * 20_000], ["a"] * 1_000, {}, {"a": 1}, b"x", object()),
)


def request_models(base: type[BaseModel] = Request) -> Iterator[type[BaseModel]]:
    """Yield every model of a request."""
    for model in base.__subclasses__():
        yield model
        yield from request_models(model)


MODELS = [*request_models()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.__name__))
def test_no_broken_rule_of_a_request_has_the_words_of_pydantic(model: type[BaseModel]) -> None:
    bodies: list[Any] = [{}, [], None, "text", {"no_such_key": 1}]
    bodies += [{name: value} for name in model.model_fields for value in WRONG_VALUES]
    refused = set()
    for body in bodies:
        try:
            model.model_validate(body)
        except ValidationError as error:
            for detail in error.errors():
                refused.add(detail["loc"][:1])
                rule = broken_rule(detail, PATTERN_RULES)
                assert not JARGON.search(rule), (body, detail["type"], rule)
    assert {(name,) for name in model.model_fields} <= refused


def test_every_pattern_of_the_api_has_words(tmp_path: Path) -> None:
    def patterns(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from [node["pattern"]] if isinstance(node.get("pattern"), str) else []
            node = [*node.values()]
        for inner in node if isinstance(node, list) else ():
            yield from patterns(inner)

    schema = create_app(ApiSettings(home=Home(tmp_path).create())).openapi()
    assert {*patterns(schema)} - {r"^[0-9a-f]+$"} == {*PATTERN_RULES}  # a digest has its words in broken_rule


def test_a_rule_without_words_of_its_own_still_hides_those_of_pydantic() -> None:
    detail: Any = {"type": "callable_type", "loc": (), "msg": "Input should be callable", "input": 1}
    assert broken_rule(detail) == "is not accepted here"
