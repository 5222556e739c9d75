"""Artifacts: files that MLflow keeps beside its runs, and messages about those that cannot be written."""

from __future__ import annotations

import http.client
import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.errors import ArtifactError
from service.formats import brief
from service.settings import mlflow_authorization

__all__ = ["check_visible", "writing_artifact"]

_SERVER_SECONDS = 10.0
"""Time that a server has for an answer."""

_GONE = "RESOURCE_DOES_NOT_EXIST"


@contextmanager
def writing_artifact(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Turn every error of a write to a run's artifacts into one that names place, reason and remedy.

    An error that says that the run was deleted stays as it is.

    Raises:
        ArtifactError: the artifact cannot be written.
    """
    try:
        yield
    except Exception as error:  # each kind of store raises errors of its own library
        if isinstance(error, MlflowException) and _is_about_run(error):
            raise
        place = _place_of(client, run_id)
        uri = place or "MLflow's store"
        raise ArtifactError(
            f"artifacts cannot be written to {uri} from where Meltpoint runs: {_reason(error)}; "
            f"{_remedy(place, client.tracking_uri)}"
        ) from error


def check_visible(client: MlflowClient, run_id: str) -> None:
    """Check that MLflow's server sees the artifacts of a run that has some, if they are written to a folder here.

    Another machine, or a container, may have a folder of that name too.

    Raises:
        ArtifactError: it sees none.
    """
    server = client.tracking_uri.rstrip("/")
    if not server.startswith(("http://", "https://")) or client.get_run(run_id).info.lifecycle_stage == "deleted":
        return
    place = _place_of(client, run_id)
    if place is None or urlsplit(place).scheme not in ("", "file"):
        return
    account = mlflow_authorization(os.environ)
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/artifacts/list?run_id={run_id}", headers={"Authorization": account} if account else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=_SERVER_SECONDS) as answer:
            sees_any = bool(json.load(answer).get("files"))
    except (OSError, ValueError, http.client.HTTPException):
        return
    if not sees_any:
        raise ArtifactError(
            f"artifacts were written to {place}, but MLflow's server at {server} does not see them there; "
            f"{_remedy(place, server)}"
        )


def _is_about_run(error: MlflowException) -> bool:
    return error.error_code == _GONE or "must be in the 'active' state" in str(error)


def _place_of(client: MlflowClient, run_id: str) -> str | None:
    """Return the URI of the artifacts of a run's experiment; None if MLflow does not answer."""
    with suppress(Exception):
        return str(client.get_experiment(client.get_run(run_id).info.experiment_id).artifact_location)
    return None


def _reason(error: Exception) -> str:
    """Return an error in a line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"the package {error.name} is not installed there"
    return brief(str(error)) or type(error).__name__


def _remedy(place: str | None, tracking_uri: str) -> str:
    """Return what helps, by the kind of store."""
    scheme = "" if place is None else urlsplit(place).scheme
    is_server = tracking_uri.startswith(("http://", "https://"))
    if place is None or scheme in ("mlflow-artifacts", "http", "https"):
        return "see the log of MLflow's server, and the limits of a proxy before it"
    if scheme not in ("", "file"):
        return f"give that machine the credentials, and the package, that MLflow's client needs for {scheme}://"
    folder = unquote(urlsplit(place).path)
    if not is_server:
        return f"see that {folder} has room and can be written"
    return (
        "that is a folder of the server's machine: mount it at this path where Meltpoint runs, or start the server "
        "with --artifacts-destination DIR in place of --default-artifact-root and --no-serve-artifacts, so that it "
        "writes artifacts by itself (an experiment keeps its place; a sweep with another `name` has another experiment)"
    )
