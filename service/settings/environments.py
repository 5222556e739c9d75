"""Environment variables that Ray, MLflow and their children read, set before either is imported."""

from __future__ import annotations

import os
from pathlib import Path

from search_spaces.documents import expand_user
from service.settings.homes import Home
from service.settings.secrets import create_secret

_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_THRESHOLD_S": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
    "DO_NOT_TRACK": "1",
}


def prepare_environment(home: Home, *, own_ray: bool = True) -> None:
    """Turn usage reports off, quieten logs, and give a local Ray a token; variables that are set already stay.

    own_ray: whether a Ray that this process starts is for this machine alone; not if `RAY_ADDRESS` names a cluster.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not expand_user("~").is_absolute():  # libraries expect a folder of the user
        os.environ["HOME"] = str(home.root)
    if own_ray and "RAY_ADDRESS" not in os.environ:
        _prepare_local_ray(home)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _prepare_local_ray(home: Home) -> None:
    # "0" makes Ray listen on the loopback interface only; the name of the variable is from an older meaning.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(home.ray_token))
        create_secret(Path(os.environ["RAY_AUTH_TOKEN_PATH"]))
