"""The home folder, the settings, and the environment variables of Ray and MLflow."""

from service.settings.environments import prepare_environment
from service.settings.homes import Home
from service.settings.secrets import create_secret
from service.settings.sources import DEFAULT, Setting, has_settings

__all__ = ["DEFAULT", "Home", "Setting", "create_secret", "has_settings", "prepare_environment"]
