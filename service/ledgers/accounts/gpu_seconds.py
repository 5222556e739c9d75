"""GPU seconds that are reserved for sweeps under way, and charged to the users who own them.

A reservation stands twice: at the user, where it counts against the limit, and at the sweep, so that it can be given
back without the process that made it. Every transaction changes the row of the sweep before that of the user: two that
wait for each other would be a deadlock.
"""

from __future__ import annotations

from sqlalchemy import Connection, case, select, update

from service.ledgers import tables

__all__ = ["release_gpu", "reserve_gpu", "settle_gpu"]

_SWEEPS, _USERS = tables.sweeps.c, tables.users.c
_SECONDS_AN_HOUR = 3600.0


def reserve_gpu(connection: Connection, name: str, seconds: float, sweep_id: str | None) -> bool:
    """Reserve GPU seconds; return False, and reserve nothing, if the user has too few left or is not there."""
    _add_to_sweep(connection, sweep_id, seconds)
    taken = _USERS.gpu_seconds_used + _USERS.gpu_seconds_reserved + seconds
    enough = _USERS.gpu_hours.is_(None) | (taken <= _USERS.gpu_hours * _SECONDS_AN_HOUR)
    reserved = {"gpu_seconds_reserved": _USERS.gpu_seconds_reserved + seconds}
    if connection.execute(update(tables.users).where(_USERS.name == name, enough).values(reserved)).rowcount:
        return True
    _add_to_sweep(connection, sweep_id, -seconds)
    return False


def settle_gpu(connection: Connection, name: str, reserved: float, used: float, sweep_id: str | None) -> bool:
    """Give reserved GPU seconds back and charge for those used; return whether there is such a user.

    Of a sweep, no more is given back than is still reserved for it: the rest was given back already.
    """
    if sweep_id is not None:
        reserved = min(reserved, _reserved_for(connection, sweep_id))
        _add_to_sweep(connection, sweep_id, -reserved)
    return _give_back(connection, name, reserved, used)


def release_gpu(connection: Connection, sweep_id: str) -> None:
    """Give back all that is reserved for a sweep, whose driver has ended or is replaced."""
    owner = connection.scalar(select(_SWEEPS.owner).where(_SWEEPS.id == sweep_id))
    if owner is not None and (reserved := _reserved_for(connection, sweep_id)):
        _add_to_sweep(connection, sweep_id, -reserved)
        _give_back(connection, owner, reserved, used=0.0)


def _reserved_for(connection: Connection, sweep_id: str) -> float:
    query = select(_SWEEPS.gpu_seconds_reserved).where(_SWEEPS.id == sweep_id).with_for_update()
    return float(connection.scalar(query) or 0.0)


def _add_to_sweep(connection: Connection, sweep_id: str | None, seconds: float) -> None:
    total = _SWEEPS.gpu_seconds_reserved + seconds
    rounded = case((total > 1e-6, total), else_=0.0)  # sums of floating-point numbers leave a rest
    if sweep_id is not None:
        connection.execute(
            update(tables.sweeps).where(_SWEEPS.id == sweep_id).values({"gpu_seconds_reserved": rounded})
        )


def _give_back(connection: Connection, name: str, reserved: float, used: float) -> bool:
    left = _USERS.gpu_seconds_reserved - reserved
    settled = {
        "gpu_seconds_reserved": case((left > 1e-6, left), else_=0.0),
        "gpu_seconds_used": _USERS.gpu_seconds_used + used,
    }
    return bool(connection.execute(update(tables.users).where(_USERS.name == name).values(settled)).rowcount)
