"""The routes of the API, a file a resource; each calls a function that commands call too."""

from service.api.routes.routers import ALL_ROUTERS, OPEN_PATHS, PREFIX

__all__ = ["ALL_ROUTERS", "OPEN_PATHS", "PREFIX"]
