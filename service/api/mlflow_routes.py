"""The routes of MLflow's server that the door lets through; every other route is closed.

Closed are, above all, routes that run code, fetch addresses that a user gives, or belong to MLflow's assistant,
gateway, jobs, webhooks and GenAI services. The lists are of MLflow 3.17.2. A test compares them with the installed
server, so that a route of another version is closed until somebody has read what it does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Access", "Body", "Route", "check_locations", "find_route"]


class Access(StrEnum):
    """The people who may use a route: READ is for everybody who is signed in, WRITE for admins."""

    READ = "read"
    WRITE = "write"


class Body(StrEnum):
    """The content that a route carries: JSON, JSON that names a location, or a file."""

    JSON = "json"
    LOCATION = "location"
    FILE = "file"
    """An artifact of any size: streamed, and as a download never shown as a page of this site."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route that is open.

    template: the path under the prefix; `{name}` is one segment, `{name:path}` one or more.
    unprefixed: MLflow serves it also without `--static-prefix`, and streams it only there.
    """

    method: str
    template: str
    access: Access
    body: Body = Body.JSON
    unprefixed: bool = False


_READ: Final = """
GET /
GET /version
GET /static-files/{path:path}
POST /graphql
GET {api}/2.0/mlflow-artifacts/artifacts
GET {api}/2.0/mlflow/artifacts/list
GET {api}/2.0/mlflow/experiments/get
GET {api}/2.0/mlflow/experiments/get-by-name
GET {api}/2.0/mlflow/experiments/search
POST {api}/2.0/mlflow/experiments/search
POST /ajax-api/2.0/mlflow/experiments/search-datasets
GET {api}/2.0/mlflow/logged-models/{model_id}
GET {api}/2.0/mlflow/logged-models/{model_id}/artifacts/directories
POST {api}/2.0/mlflow/logged-models/search
GET {api}/2.0/mlflow/metrics/get-history
GET /ajax-api/2.0/mlflow/metrics/get-history-bulk
GET {api}/2.0/mlflow/metrics/get-history-bulk-interval
GET {api}/2.0/mlflow/model-versions/get
GET {api}/2.0/mlflow/model-versions/get-download-uri
GET {api}/2.0/mlflow/model-versions/search
GET {api}/2.0/mlflow/registered-models/alias
GET {api}/2.0/mlflow/registered-models/get
GET {api}/2.0/mlflow/registered-models/get-latest-versions
POST {api}/2.0/mlflow/registered-models/get-latest-versions
GET {api}/2.0/mlflow/registered-models/search
GET {api}/2.0/mlflow/runs/get
POST {api}/2.0/mlflow/runs/search
GET {api}/3.0/mlflow/server-info
GET /ajax-api/3.0/mlflow/ui-telemetry
"""

_READ_FILES: Final = """
GET /get-artifact
GET /model-versions/get-artifact
GET /ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files
"""

_WRITE: Final = """
POST {api}/2.0/mlflow/experiments/delete
POST {api}/2.0/mlflow/experiments/delete-experiment-tag
POST {api}/2.0/mlflow/experiments/restore
POST {api}/2.0/mlflow/experiments/set-experiment-tag
POST {api}/2.0/mlflow/experiments/update
POST {api}/2.0/mlflow/logged-models
DELETE {api}/2.0/mlflow/logged-models/{model_id}
PATCH {api}/2.0/mlflow/logged-models/{model_id}
POST {api}/2.0/mlflow/logged-models/{model_id}/params
PATCH {api}/2.0/mlflow/logged-models/{model_id}/tags
DELETE {api}/2.0/mlflow/logged-models/{model_id}/tags/{tag_key}
DELETE {api}/2.0/mlflow/model-versions/delete
DELETE {api}/2.0/mlflow/model-versions/delete-tag
POST {api}/2.0/mlflow/model-versions/set-tag
POST {api}/2.0/mlflow/model-versions/transition-stage
PATCH {api}/2.0/mlflow/model-versions/update
DELETE {api}/2.0/mlflow/registered-models/alias
POST {api}/2.0/mlflow/registered-models/alias
POST {api}/2.0/mlflow/registered-models/create
DELETE {api}/2.0/mlflow/registered-models/delete
DELETE {api}/2.0/mlflow/registered-models/delete-tag
POST {api}/2.0/mlflow/registered-models/rename
POST {api}/2.0/mlflow/registered-models/set-tag
PATCH {api}/2.0/mlflow/registered-models/update
POST {api}/2.0/mlflow/runs/create
POST {api}/2.0/mlflow/runs/delete
POST {api}/2.0/mlflow/runs/delete-tag
POST {api}/2.0/mlflow/runs/log-batch
POST {api}/2.0/mlflow/runs/log-inputs
POST {api}/2.0/mlflow/runs/log-metric
POST {api}/2.0/mlflow/runs/log-model
POST {api}/2.0/mlflow/runs/log-parameter
POST {api}/2.0/mlflow/runs/outputs
POST {api}/2.0/mlflow/runs/restore
POST {api}/2.0/mlflow/runs/set-tag
POST {api}/2.0/mlflow/runs/update
"""

_WRITE_LOCATIONS: Final = """
POST {api}/2.0/mlflow/experiments/create
POST {api}/2.0/mlflow/model-versions/create
"""

_WRITE_FILES: Final = """
DELETE {api}/2.0/mlflow-artifacts/artifacts/{artifact_path:path}
POST /ajax-api/2.0/mlflow/upload-artifact
"""

_STREAMED: Final = "{api}/2.0/mlflow-artifacts/artifacts/{artifact_path:path}"

_LOCATION_KEYS: Final = ("source", "artifact_location", "artifactLocation")
_OWN_LOCATIONS: Final = ("mlflow-artifacts:/", "models:/", "runs:/")


def _routes(text: str, access: Access, body: Body = Body.JSON, *, unprefixed: bool = False) -> Iterator[Route]:
    for line in text.split("\n"):
        method, _, template = line.partition(" ")
        for api in ("/api", "/ajax-api") if "{api}" in template else ("",):
            if template:
                path = template.replace("{api}", api)
                yield Route(method=method, template=path, access=access, body=body, unprefixed=unprefixed)


OPEN_ROUTES: Final = (
    *_routes(_READ, Access.READ),
    *_routes(_READ_FILES, Access.READ, Body.FILE),
    *_routes(f"GET {_STREAMED}", Access.READ, Body.FILE, unprefixed=True),
    *_routes(_WRITE, Access.WRITE),
    *_routes(_WRITE_LOCATIONS, Access.WRITE, Body.LOCATION),
    *_routes(_WRITE_FILES, Access.WRITE, Body.FILE),
    *_routes(f"PUT {_STREAMED}", Access.WRITE, Body.FILE, unprefixed=True),
)
"""Every route that is open."""


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+(?::path)?\})", template)
    regexes = [
        re.escape(part) if not part.startswith("{") else (".+" if part.endswith(":path}") else "[^/]+")
        for part in parts
    ]
    return re.compile("".join(regexes))


_PATTERNS: Final = tuple((route, _pattern(route.template)) for route in OPEN_ROUTES)


def find_route(method: str, path: str) -> Route | None:
    """Return the open route of a decoded path under the prefix, or None if it is closed.

    Closed are also paths that two programs might read differently: empty segments, `.` and `..`, backslashes, and
    characters that cannot be printed.
    """
    if not path.isprintable() or "\\" in path or any(part in ("", ".", "..") for part in path[1:].split("/")[:-1]):
        return None
    if path.rpartition("/")[2] in (".", ".."):
        return None
    method = "GET" if method == "HEAD" else method
    return next((route for route, pattern in _PATTERNS if route.method == method and pattern.fullmatch(path)), None)


def check_locations(body: bytes) -> str | None:
    """Return why the body of a route with `Body.LOCATION` is refused, or None.

    A location elsewhere would make MLflow's server fetch from there for whoever asks for the artifact.
    """
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return "the body is not JSON"
    if not isinstance(document, dict):
        return "the body is not a JSON object"
    for key in _LOCATION_KEYS:
        location = document.get(key)
        if location and not (isinstance(location, str) and location.startswith(_OWN_LOCATIONS)):
            return f"{key}: must begin with one of {', '.join(_OWN_LOCATIONS)}: MLflow fetches from nowhere else here"
    return None
