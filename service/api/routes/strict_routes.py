"""The kind of route that all routers have: its body is strict JSON, and its errors are documented."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from search_spaces.extensions import without_counting
from service.api.json_bodies import check_json
from service.api.problems import problem_responses

__all__ = ["PREFIX", "make_router"]

PREFIX: Final = "/api/v1"
_ERRORS: Final = (400, 401, 403, 404, 413, 422, 500, 503)


class StrictRoute(APIRoute):
    """A route whose body, if there is one, must be strict JSON, and which never runs code that a sweep file names."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with a check of the body before it."""
        handle = super().get_route_handler()

        async def check_and_handle(request: Request) -> Response:
            body = await request.body()
            if body and self.body_field is not None:
                check_json(body)
            with without_counting():
                return await handle(request)

        return check_and_handle


def make_router(tag: str, *errors: int) -> APIRouter:
    """Return a router under `/api/v1`. errors: statuses of its routes, beyond those of all."""
    responses = problem_responses(*sorted({*_ERRORS, *errors}))
    return APIRouter(prefix=PREFIX, tags=[tag], route_class=StrictRoute, responses=responses)
