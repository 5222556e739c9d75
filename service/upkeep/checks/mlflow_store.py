"""MLflow's store: a server, or a file of the home."""

from __future__ import annotations

import http
import http.client
import json
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from service.settings import MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_USER, mlflow_authorization
from service.upkeep.checks.findings import PATIENCE_SECONDS, Finding, Surroundings, problem, warning

__all__ = ["check_mlflow_store", "why_mlflow_is_away"]

_NAME = "mlflow store"
_SERVER_SECONDS = 10.0
"""Time that a server has for an answer: one that asks for passwords hashes them slowly."""

_OLDEST = (2, 22)
"""The oldest version of MLflow's server that was tried."""

_LOGGED_MODELS_MAJOR = 3
"""The first major version of MLflow's server that has logged models."""


def check_mlflow_store(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that MLflow's server answers a request that needs an account, or that its file can be read."""
    uri = surroundings.home.tracking_uri
    if uri.startswith(("http://", "https://")):
        yield _server_finding(uri.rstrip("/"), surroundings.environment)
    elif uri.startswith("sqlite:///"):
        yield _file_finding(Path(uri.removeprefix("sqlite:///")))
    else:
        yield Finding(name=_NAME, text=f"{uri} (not asked)")


def why_mlflow_is_away(address: str) -> str | None:
    """Return why MLflow's server at an address does not answer; None if it answers, be it with a refusal."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=PATIENCE_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        with error:
            if error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                return None  # such as 401: if MLflow's client may write is seen when it writes
            return f"{address} answers with status {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{address} does not answer: {getattr(error, 'reason', None) or error}"


def _server_finding(uri: str, environment: Mapping[str, str]) -> Finding:
    """Search the experiments, as a sweep does first; `/health` answers without an account, and for every host."""
    credentials = mlflow_authorization(environment)
    headers = {"Content-Type": "application/json"} | ({"Authorization": credentials} if credentials else {})
    url = f"{uri}/api/2.0/mlflow/experiments/search"
    try:
        request = urllib.request.Request(url, json.dumps({"max_results": 1}).encode(), headers)
        with urllib.request.urlopen(request, timeout=_SERVER_SECONDS) as answer:
            experiments = json.load(answer).get("experiments", [])
    except urllib.error.HTTPError as error:
        with error:
            return _refusal(uri, error, has_credentials=credentials is not None)
    except ValueError:
        return problem(_NAME, f"{uri} is no server of MLflow", "correct MLFLOW_TRACKING_URI")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        return problem(_NAME, f"{uri} does not answer: {reason}", "start it, or correct MLFLOW_TRACKING_URI")
    version = _version(uri, headers)
    foreign = _unwritable_folder(experiments)
    if foreign is not None:
        advice = "mount it at this path, or start the server with --artifacts-destination in place of this folder"
        return warning(_NAME, f"{uri} keeps artifacts in {foreign}, which cannot be written here", advice)
    text = f"{uri} answers{f', as MLflow {version}' if version else ''}"
    numbers = tuple(int(part) for part in (version or "").split(".")[:2] if part.isdigit())
    if numbers and numbers < _OLDEST:
        advice = f"use MLflow {'.'.join(map(str, _OLDEST))} or newer; older servers were not tried"
        return warning(_NAME, text, advice)
    if numbers and numbers[0] < _LOGGED_MODELS_MAJOR:
        text += f", which keeps models as artifacts of their runs; from {_LOGGED_MODELS_MAJOR} on they have a page each"
    return Finding(name=_NAME, text=text)


def _unwritable_folder(experiments: Sequence[Mapping[str, str]]) -> str | None:
    """Return the folder of the newest experiment's artifacts if it is one that cannot be written here."""
    for experiment in experiments:
        place = urlsplit(experiment.get("artifact_location", ""))
        folder = Path(unquote(place.path))
        if place.scheme in ("", "file") and folder.is_absolute():
            there = next(parent for parent in (folder, *folder.parents) if parent.exists())
            is_usable = there.is_dir() and os.access(there, os.W_OK)
            return None if is_usable else str(folder)
    return None


def _refusal(uri: str, error: urllib.error.HTTPError, *, has_credentials: bool) -> Finding:
    if error.code == http.client.UNAUTHORIZED:
        complaint = "refuses the user name and password, or the token" if has_credentials else "asks who you are"
        return problem(_NAME, f"{uri} {complaint} (401)", f"set {MLFLOW_USER} and {MLFLOW_PASSWORD}, or {MLFLOW_TOKEN}")
    if error.code == http.client.FORBIDDEN:
        reason = " ".join(error.read(200).decode(errors="replace").split())
        advice = "name its host in --allowed-hosts of MLflow's server, or ask its admin for the right to write"
        return problem(_NAME, f"{uri} refuses requests (403): {reason}", advice)
    return problem(
        _NAME, f"{uri} answers {error.code} to a search of experiments", "correct MLFLOW_TRACKING_URI, or see its log"
    )


def _version(uri: str, headers: Mapping[str, str]) -> str | None:
    """Return the server's version; None if it does not say. headers: with the user's credentials."""
    try:
        request = urllib.request.Request(f"{uri}/version", headers=dict(headers))
        with urllib.request.urlopen(request, timeout=_SERVER_SECONDS) as answer:
            text = str(answer.read(40).decode()).strip()
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return text if text[:1].isdigit() else None


def _file_finding(path: Path) -> Finding:
    if not path.exists():
        return Finding(name=_NAME, text=f"{path}: made by the first `meltpoint run` or `meltpoint serve`")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)) as opened:
            opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return problem(_NAME, f"{path} cannot be read: {error}", f"move {path} away")
    return Finding(name=_NAME, text=f"{path}")
