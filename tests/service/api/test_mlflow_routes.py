"""The door's list of MLflow's routes fits the installed MLflow: what is on no list is closed, and is noticed here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from service.api.mlflow_routes import OPEN_ROUTES, Access, Body, Route, check_locations, find_route

CLOSED = Path(__file__).parents[2] / "golden" / "mlflow-closed-routes.txt"
PROGRAM = """
import json, re
from fastapi.routing import iter_route_contexts
from mlflow.server.fastapi_app import app, flask_app
fast = [(m, c.path) for c in iter_route_contexts(app.routes) for m in (getattr(c, "methods", None) or ())]
flask = [(m, str(r)) for r in flask_app.url_map.iter_rules() for m in r.methods]
print(json.dumps(fast + flask))
"""


@cache
def installed_routes() -> frozenset[tuple[str, str]]:
    """The method and template of every route of the installed server, without those that answer HEAD and OPTIONS."""
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=300)
    routes = json.loads(result.stdout.splitlines()[-1])
    return frozenset((method, braces(path)) for method, path in routes if method not in ("HEAD", "OPTIONS"))


def braces(template: str) -> str:
    """Flask's template in FastAPI's form."""
    return re.sub(r"<(\w+)>", r"{\1}", re.sub(r"<path:(\w+)>", r"{\1:path}", template))


def nameless(template: str) -> str:
    return re.sub(r"\{\w+", "{", template)


def closed_routes() -> set[tuple[str, str]]:
    lines = CLOSED.read_text().splitlines()
    return {(line.partition(" ")[0], line.partition(" ")[2]) for line in lines}


def example(template: str) -> str:
    return re.sub(r"\{\w+\}", "x1", re.sub(r"\{\w+:path\}", "a/b.bin", template))


@pytest.mark.slow
def test_every_route_of_the_installed_mlflow_is_open_or_known_to_be_closed() -> None:
    """If MLflow has a new route, read what it does; put it on a list in `mlflow_routes.py`, or into the golden file."""
    is_open = {(route.method, nameless(route.template)) for route in OPEN_ROUTES}
    unlisted = {(method, path) for method, path in installed_routes() if (method, nameless(path)) not in is_open}
    assert unlisted - closed_routes() == set()
    assert closed_routes() - unlisted == set()


@pytest.mark.slow
def test_every_open_route_is_one_that_mlflow_has() -> None:
    installed = {(method, nameless(path)) for method, path in installed_routes()}
    assert {(route.method, nameless(route.template)) for route in OPEN_ROUTES} <= installed


def test_no_closed_route_goes_through_by_the_pattern_of_an_open_one() -> None:
    """`logged-models/{model_id}` would also match a route such as `logged-models/something-new`."""
    through = [
        f"{method} {path}"
        for method, path in sorted(closed_routes())
        if path.startswith("/") and find_route(method, example(path)) is not None
    ]
    assert through == []


@pytest.mark.parametrize(
    "word",
    ["assistant", "gateway", "job", "webhook", "scorer", "invoke", "presigned", "trace", "workspace", "mcp", "demo"],
)
def test_nothing_open_belongs_to_what_runs_code_or_calls_out(word: str) -> None:
    assert [route.template for route in OPEN_ROUTES if word in route.template] == []


def test_reading_routes_only_read() -> None:
    posts = {
        route.template.rpartition("/")[2]
        for route in OPEN_ROUTES
        if route.access is Access.READ and route.method != "GET"
    }
    assert posts == {"graphql", "search", "search-datasets", "get-latest-versions"}
    assert {route.method for route in OPEN_ROUTES if route.access is Access.READ} == {"GET", "POST"}


@pytest.mark.parametrize("route", OPEN_ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_every_open_route_is_found_by_its_path(route: Route) -> None:
    assert find_route(route.method, example(route.template)) is not None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//",
        "/static-files/../api/2.0/mlflow/runs/delete",
        "/static-files/..",
        "/static-files/./x",
        "/static-files//x",
        "/static-files/a\\..\\b",
        "/static-files/a\x00b",
        "/static-files/a\nb",
        "/api/2.0/mlflow/runs/get/",
        "/api/2.0/mlflow/runs/get/extra",
        "/API/2.0/mlflow/runs/get",
        "/api/2.0/mlflow/runs/get%2f..",
        "/api/9.0/mlflow/runs/get",
    ],
)
def test_a_path_that_two_programs_might_read_differently_is_closed(path: str) -> None:
    assert find_route("GET", path) is None


def test_head_is_let_through_like_get_and_other_methods_are_not() -> None:
    assert find_route("HEAD", "/static-files/main.js") is not None
    assert find_route("PUT", "/static-files/main.js") is None
    assert find_route("OPTIONS", "/api/2.0/mlflow/runs/get") is None


@pytest.mark.parametrize(
    "document",
    [
        {"source": "http://169.254.169.254/latest"},
        {"source": "file:///etc"},
        {"source": "/etc/passwd"},
        {"source": "s3://bucket/key"},
        {"source": ["models:/a"]},
        {"artifact_location": "file:///etc"},
        {"artifactLocation": "ftp://host/"},
        ["source"],
        "text",
    ],
)
def test_a_location_elsewhere_is_refused(document: object) -> None:
    assert check_locations(json.dumps(document).encode()) is not None


def test_a_location_inside_mlflow_is_accepted_and_what_is_no_json_is_not() -> None:
    assert check_locations(b'{"name": "a"}') is None
    assert check_locations(b'{"name": "a", "source": "models:/m-1", "artifact_location": ""}') is None
    assert check_locations(b"{'source': 1}") == "the body is not JSON"
    assert check_locations(b'"{\\"source\\": \\"http://x\\"}"') == "the body is not a JSON object"
    routes = {route.template.rpartition("mlflow/")[2] for route in OPEN_ROUTES if route.body is Body.LOCATION}
    assert routes == {"experiments/create", "model-versions/create"}
