"""The account with which requests go to MLflow's server, as MLflow's client finds it."""

from __future__ import annotations

import base64
import configparser
from collections.abc import Mapping
from contextlib import suppress

from search_spaces.documents import expand_user

__all__ = ["MLFLOW_PASSWORD", "MLFLOW_TOKEN", "MLFLOW_USER", "mlflow_authorization"]

MLFLOW_USER, MLFLOW_PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
MLFLOW_TOKEN = "MLFLOW_TRACKING_TOKEN"


def mlflow_authorization(environment: Mapping[str, str]) -> str | None:
    """Return the header that MLflow's client would send: from its variables, else from `~/.mlflow/credentials`."""
    file = _credentials_file()
    user, password = (environment.get(name) or file.get(name.lower()) for name in (MLFLOW_USER, MLFLOW_PASSWORD))
    if user and password:
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    token = environment.get(MLFLOW_TOKEN)
    return f"Bearer {token}" if token else None


def _credentials_file() -> Mapping[str, str]:
    parser = configparser.ConfigParser()
    with suppress(OSError, configparser.Error, UnicodeError):
        parser.read(expand_user("~/.mlflow/credentials"))
    return dict(parser.items("mlflow")) if parser.has_section("mlflow") else {}
