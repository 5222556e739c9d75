"""The objects that all requests of one API process share, and the caller of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from service.api.followers import Hub
from service.api.settings import ApiSettings
from service.errors import ForbiddenError, NoSweepsError, SweepNotFoundError
from service.identities import Identity, check_may_change, role_error, visible_owner
from service.ledgers import Json, Role, Sweep
from service.registry import RegistryProcesses
from service.settings import Home
from service.sweeps import CountCache

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["Admin", "Api", "Caller", "Observer", "Submitter", "Viewer"]


@dataclass(frozen=True, kw_only=True)
class Api:
    """The objects that all requests share. Ownership: the app's lifespan opens and closes them."""

    settings: ApiSettings
    ledger: Ledger
    hub: Hub
    counts: CountCache = field(default_factory=CountCache)
    registry: RegistryProcesses = field(default_factory=RegistryProcesses)

    @property
    def home(self) -> Home:
        """The home whose ledger is served."""
        return self.settings.home


class Caller:
    """The signed-in user of a request, with the ledger as far as this user may see it."""

    def __init__(self, request: Request, identity: Identity) -> None:
        self._request, self.identity = request, identity
        self.api = cast(Api, request.app.state.api)
        self.ledger, self.home, self.hub = self.api.ledger, self.api.home, self.api.hub

    @property
    def owner(self) -> str | None:
        """The user whose sweeps alone the caller sees; None for all."""
        return visible_owner(self.identity)

    def find(self, reference: str) -> Sweep:
        """Return a sweep that the caller may see.

        Raises:
            SweepNotFoundError: no sweep goes by `reference`, or only a sweep of somebody else.
        """
        try:
            sweep = self.ledger.sweeps.find(reference, owner=self.owner)
        except NoSweepsError:
            may_submit = self.identity.role.includes(Role.SUBMITTER)
            hint = "; start one with: meltpoint submit SPEC" if may_submit else " on this service"
            raise SweepNotFoundError(f"no sweeps yet{hint}") from None
        self.note_target(sweep.id)
        return sweep

    def find_to_change(self, reference: str) -> Sweep:
        """Return a sweep that the caller may change.

        Raises:
            SweepNotFoundError: no sweep goes by `reference`, or only a sweep of somebody else.
            ForbiddenError: the caller may only look at it.
        """
        sweep = self.find(reference)
        check_may_change(self.identity, sweep)
        return sweep

    def note_reading(self) -> None:
        """Note that the request changes nothing, so that the audit log leaves it out."""
        self._request.state.only_reads = True

    def note_target(self, target: str) -> None:
        """Note the thing that the request is about, for the audit log."""
        self._request.state.target = target

    def note_detail(self, detail: Json) -> None:
        """Note what the request has changed, for the audit log."""
        self._request.state.detail = detail


def _get_caller(request: Request, role: Role) -> Caller:
    identity = cast(Identity, request.state.identity)
    if not identity.role.includes(role):
        raise role_error(identity, role)
    return Caller(request, identity)


async def _get_viewer(request: Request) -> Caller:
    return _get_caller(request, Role.VIEWER)


async def _get_submitter(request: Request) -> Caller:
    return _get_caller(request, Role.SUBMITTER)


async def _get_admin(request: Request) -> Caller:
    return _get_caller(request, Role.ADMIN)


async def _get_observer(request: Request) -> Caller:
    """Return the caller if every sweep is visible to that role."""
    caller = _get_caller(request, Role.VIEWER)
    if caller.owner is not None:
        raise ForbiddenError(
            f"this needs the role viewer or admin, which see the sweeps of all users; {caller.identity.user} is signed "
            f"in as {caller.identity.role}: ask an admin"
        )
    return caller


Viewer = Annotated[Caller, Depends(_get_viewer)]
"""Any signed-in user."""
Submitter = Annotated[Caller, Depends(_get_submitter)]
"""A user who may submit sweeps."""
Admin = Annotated[Caller, Depends(_get_admin)]
Observer = Annotated[Caller, Depends(_get_observer)]
"""A user who sees the sweeps of all."""
