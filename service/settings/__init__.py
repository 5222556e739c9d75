"""The home folder, the settings, and the environment variables of Ray and MLflow."""

from service.settings.contexts import (
    Context,
    ContextBook,
    check_url,
    choose_context,
    describe_overruling,
    find_local_service,
    is_name,
)
from service.settings.environments import prepare_environment
from service.settings.homes import Home
from service.settings.limits import MAX_BODY_BYTES
from service.settings.mlflow_accounts import MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_USER, mlflow_authorization
from service.settings.secrets import create_secret, write_secret
from service.settings.sources import DEFAULT, Setting, has_settings

__all__ = [
    "DEFAULT",
    "MAX_BODY_BYTES",
    "MLFLOW_PASSWORD",
    "MLFLOW_TOKEN",
    "MLFLOW_USER",
    "Context",
    "ContextBook",
    "Home",
    "Setting",
    "check_url",
    "choose_context",
    "create_secret",
    "describe_overruling",
    "find_local_service",
    "has_settings",
    "is_name",
    "mlflow_authorization",
    "prepare_environment",
    "write_secret",
]
