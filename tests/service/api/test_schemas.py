"""The published schema: every operation is described, and no request, right or wrong, gets the status 500."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from service.schemas import PROBLEM_MEDIA_TYPE
from tests.service.api.services import RunningApi, start_api

EXAMPLES = 25
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document(module_api: RunningApi) -> dict[str, Any]:
    """The OpenAPI document, as a signed-in user reads it."""
    headers = {"Authorization": f"Bearer {module_api.tokens['ann']}"}
    answer: dict[str, Any] = module_api.client.get("/openapi.json", headers=headers).json()
    return answer


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


def test_every_operation_has_a_name_a_text_an_answer_and_its_errors(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(ids) == len(set(ids))
    for name, operation in operations(document).items():
        assert operation["description"], name
        success = next(answer for status, answer in operation["responses"].items() if status < "300")
        assert all(content.get("schema") for content in success["content"].values()), name
        for status in ("401", "404", "422", "500", "503"):
            assert PROBLEM_MEDIA_TYPE in operation["responses"][status]["content"], (name, status)


def test_only_the_open_paths_need_no_token(document: dict[str, Any]) -> None:
    unsigned = {name for name, operation in operations(document).items() if operation.get("security") == []}
    assert unsigned == {f"GET /api/v1/{name}" for name in ("health", "ready", "version")}
    assert document["security"] == [{"token": []}]


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_no_request_makes_the_service_fail(tmp_path: Any, mode: schemathesis.GenerationMode) -> None:
    with start_api(tmp_path) as api:
        api.add_sweep(name="cells")
        headers = {"Authorization": f"Bearer {api.tokens['root']}"}
        schema = schemathesis.openapi.from_dict(api.client.get("/openapi.json", headers=headers).json())
        for result in schema.get_all_operations():
            _try(api, result.ok().as_strategy(generation_mode=mode))


def _try(api: RunningApi, cases: st.SearchStrategy[Any]) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def send(case: Any) -> None:
        options = case.as_transport_kwargs(base_url="http://testserver")
        for name in ("cookies", "timeout"):
            options.pop(name, None)
        if isinstance(options.get("data"), bytes | str):
            options["content"] = options.pop("data")
        headers = dict(options.pop("headers", None) or {})
        headers["Authorization"] = f"Bearer {api.tokens['root']}"
        answer = api.client.request(headers=headers, **options)
        assert answer.status_code < 500, (options, answer.text)
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == PROBLEM_MEDIA_TYPE, options

    api.beat(state="ready")
    with suppress(Unsatisfiable):  # an operation without parameters cannot be asked wrongly
        send()
