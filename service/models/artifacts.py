"""Artifacts: files that MLflow keeps beside its runs, and messages about those that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.errors import ArtifactError
from service.formats import brief

__all__ = ["writing_artifact"]

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
        return f"make {folder} writable"
    return (
        "that is a folder as the server sees it: share it with that machine, or start the server with "
        "--artifacts-destination DIR in place of --default-artifact-root and --no-serve-artifacts, so that it writes "
        "artifacts by itself (an experiment keeps its place; a sweep with another `name` has another experiment)"
    )
