"""The home folder, the settings, and the environment variables of Ray and MLflow."""

from service.settings.environments import prepare_environment
from service.settings.homes import Home
from service.settings.settings import DEFAULT, Setting
from service.settings.sources import any_given

__all__ = ["DEFAULT", "Home", "Setting", "any_given", "prepare_environment"]
