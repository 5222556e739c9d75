"""The HTTP API of the service, its sign-in page, and its door to MLflow."""

from service.api.settings import ApiSettings

__all__ = ["ApiSettings"]
