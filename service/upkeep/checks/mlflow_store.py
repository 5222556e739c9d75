"""MLflow's store: a server, or a file of the home."""

from __future__ import annotations

import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from service.upkeep.checks.findings import PATIENCE_SECONDS, Finding, Surroundings, problem

__all__ = ["check_mlflow_store"]


def check_mlflow_store(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that MLflow's server answers, or that its file can be read."""
    uri = surroundings.home.tracking_uri
    if uri.startswith(("http://", "https://")):
        yield _server_finding(uri)
    elif uri.startswith("sqlite:///"):
        yield _file_finding(Path(uri.removeprefix("sqlite:///")))
    else:
        yield Finding(name="mlflow store", text=f"{uri} (not asked)")


def _server_finding(uri: str) -> Finding:
    """Ask the server at /health, where MLflow's servers answer."""
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=PATIENCE_SECONDS):
            return Finding(name="mlflow store", text=f"{uri} answers")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return problem("mlflow store", f"{uri} does not answer: {reason}", "start it, or correct MLFLOW_TRACKING_URI")


def _file_finding(path: Path) -> Finding:
    if not path.exists():
        return Finding(name="mlflow store", text=f"{path}: made by the first sweep")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)) as opened:
            opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return problem("mlflow store", f"{path} cannot be read: {error}", f"move {path} away")
    return Finding(name="mlflow store", text=f"{path}")
