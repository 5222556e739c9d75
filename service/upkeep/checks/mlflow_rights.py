"""The right to write to MLflow's server, by one experiment that only this check uses."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Final

from service.settings import mlflow_authorization
from service.upkeep.checks.findings import Finding, Surroundings, problem

__all__ = ["EXPERIMENT", "check_mlflow_rights"]

EXPERIMENT: Final = "meltpoint-doctor"
"""Name of the experiment, which is created once and kept."""

_SECONDS: Final = 10.0
_API: Final = "/api/2.0/mlflow/experiments"


def check_mlflow_rights(surroundings: Surroundings) -> Iterator[Finding]:
    """Create the experiment, or set a tag on it if it exists; yield nothing if MLflow's store is no server."""
    uri = surroundings.home.tracking_uri.rstrip("/")
    if not uri.startswith(("http://", "https://")):
        return
    credentials = mlflow_authorization(surroundings.environment)
    headers = {"Content-Type": "application/json"} | ({"Authorization": credentials} if credentials else {})
    try:
        query = urllib.parse.urlencode({"experiment_name": EXPERIMENT})
        present = _ask(f"{uri}{_API}/get-by-name?{query}", headers, None)
        if present is None:
            _ask(f"{uri}{_API}/create", headers, {"name": EXPERIMENT})
        else:
            tag = {"experiment_id": present["experiment"]["experiment_id"], "key": "meltpoint.checked", "value": "true"}
            _ask(f"{uri}{_API}/set-experiment-tag", headers, tag)
    except urllib.error.HTTPError as error:
        with error:
            reason = " ".join(error.read(200).decode(errors="replace").split())
        advice = "ask its admin for the right to create experiments and runs"
        yield problem("mlflow rights", f"{uri} refuses to write ({error.code}): {reason}", advice)
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", None) or error)
        yield problem("mlflow rights", f"{uri} does not answer: {reason}", "start it, or correct MLFLOW_TRACKING_URI")
    else:
        yield Finding(name="mlflow rights", text=f"{uri} lets this user create and write")


def _ask(url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None) -> Any | None:
    """Return the answer to a request; None if there is no such experiment. body: None for a question."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, dict(headers)), timeout=_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if body is None and error.code == http.HTTPStatus.NOT_FOUND:
            error.close()
            return None
        raise
