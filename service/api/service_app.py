"""The whole app of a service: the API, the sign-in page, and the door to MLflow."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.types import ASGIApp

from service.api.app import create_app
from service.api.hosts import HostCheck
from service.api.mlflow_door import PREFIX, MlflowDoor, Upstream
from service.api.sessions import SessionKey
from service.api.settings import ApiSettings
from service.api.sign_in import SignIn

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["create_service_app"]


def create_service_app(
    settings: ApiSettings, *, upstream: Callable[[], Upstream | None], hosts: Collection[str] = ("*",)
) -> ASGIApp:
    """Return the app.

    Args:
        settings: of this process.
        upstream: returns MLflow's server, or None as long as it is not there.
        hosts: names by which the service may be called; `*` for any.
    """
    sign_in = SignIn(_get_ledger, SessionKey.from_home(settings.home), settings.clock)
    app = create_app(
        settings,
        open_paths=SignIn.OPEN_PATHS,
        find_session=sign_in.find_session,
        refuse=sign_in.refuse,
        is_body_unlimited=lambda path: path.startswith(f"{PREFIX}/"),
    )
    app.include_router(sign_in.router())
    app.include_router(MlflowDoor(upstream).router())
    return HostCheck(app, hosts)


def _get_ledger(request: Request) -> Ledger:
    return cast("Ledger", request.app.state.api.ledger)
