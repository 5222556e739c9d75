"""Sweeps as rows: read by id or by reference, and turned into records."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, literal, select

from search_spaces import Goal
from service.errors import ConflictError, NoSweepsError, SweepNotFoundError
from service.ledgers import tables
from service.ledgers.records import Sweep, SweepState, TrialPhase

__all__ = [
    "brief",
    "find_submission",
    "find_sweep",
    "free_id",
    "get_sweep",
    "newest_first",
    "sweep_from_row",
    "unknown_sweep",
]

_SWEEPS = tables.sweeps.c
_LARGE = ("spec_text", "data", "plan", "confirmation", "model_costs", "warm_start")
_MOST_NAMED = 8


def get_sweep(connection: Connection, sweep_id: str) -> Sweep:
    """Return the sweep of exactly this id. Raises SweepNotFoundError if there is none."""
    row = connection.execute(select(tables.sweeps).where(_SWEEPS.id == sweep_id)).mappings().first()
    if row is None:
        raise unknown_sweep(sweep_id)
    return sweep_from_row(row)


def find_sweep(connection: Connection, reference: str, owner: str | None) -> Sweep:
    """Return the sweep that a reference means; owner: whose sweeps to look at, None for all. See `Sweeps.find`."""
    newest = newest_first(owner)

    def first(query: Select[Any]) -> Sweep | None:
        row = connection.execute(query.limit(1)).mappings().first()
        return None if row is None else sweep_from_row(row)

    last = first(newest)
    if last is None:
        raise NoSweepsError("no sweeps yet; start one with: meltpoint run SPEC")
    if reference == "last":
        return last
    exact = first(newest.where(_SWEEPS.id == reference)) or first(newest.where(_SWEEPS.name == reference))
    if exact is not None:
        return exact
    fitting = newest.where(_begins_with(reference) | _begins_with(f"s-{reference}")) if reference else None
    rows = [] if fitting is None else connection.execute(fitting.limit(_MOST_NAMED + 1)).mappings().all()
    if len(rows) == 1:
        return sweep_from_row(rows[0])
    if rows:
        raise SweepNotFoundError(f"{reference} fits {_several([row['id'] for row in rows])}")
    count = connection.scalar(select(func.count()).select_from(newest.order_by(None).subquery()))
    if count == 1:
        raise SweepNotFoundError(f"no sweep {reference}; the only one is {last.id} ({last.name})")
    raise SweepNotFoundError(f"no sweep {reference}; to see the {count} sweeps: meltpoint ls")


def find_submission(connection: Connection, owner: str, key: str | None, digest: str | None) -> Sweep | None:
    """Return the owner's sweep that was submitted with an idempotency key; None without a key or such a sweep.

    Raises:
        ConflictError: the key was used for a request with another digest.
    """
    if key is None:
        return None
    mine = newest_first(owner).where(_SWEEPS.idempotency_key == key)
    row = connection.execute(mine).mappings().first()
    if row is None:
        return None
    if row["request_digest"] != digest:
        raise ConflictError(f"the idempotency key {key} was used for another request; each request needs its own")
    return sweep_from_row(row)


def newest_first(owner: str | None = None) -> Select[Any]:
    """Return the query for sweeps, newest first; owner: whose, None for all."""
    query = select(tables.sweeps).order_by(_SWEEPS.created_at.desc(), _SWEEPS.id)
    return query if owner is None else query.where(_SWEEPS.owner == owner)


def free_id(connection: Connection) -> str:
    """Return an id that no sweep has."""
    while True:
        sweep_id = f"s-{secrets.token_hex(3)}"
        if connection.scalar(select(_SWEEPS.id).where(_SWEEPS.id == sweep_id)) is None:
            return sweep_id


def unknown_sweep(sweep_id: str) -> SweepNotFoundError:
    """Return the error for an id that no sweep has."""
    return SweepNotFoundError(f"no sweep {sweep_id}")


def sweep_from_row(row: RowMapping) -> Sweep:
    """Make the record; the settings' column has an older name."""
    values = {name: row[name] for name in Sweep.__dataclass_fields__ if name != "settings"}
    values |= {"state": SweepState(row["state"]), "goal": Goal(row["goal"]), "phase": TrialPhase(row["phase"])}
    values |= {"spec_text": row["spec_text"] or "", "data": row["data"] or {}, "settings": row["plan"] or {}}
    return Sweep(**values)


def brief(query: Select[Any]) -> Select[Any]:
    """Return a query of sweeps for lists, in which the file's text, the data and the settings are empty."""
    small = [column for column in _SWEEPS if column.name not in _LARGE]
    return query.with_only_columns(*small, *(literal(None).label(name) for name in _LARGE))


def _begins_with(prefix: str) -> Any:
    """Compare letter by letter; LIKE would not tell capitals from small letters in SQLite."""
    return func.substr(_SWEEPS.id, 1, len(prefix)) == prefix


def _several(ids: list[str]) -> str:
    if len(ids) > _MOST_NAMED:
        return f"more than {_MOST_NAMED} sweeps: {', '.join(ids[:_MOST_NAMED])}, ..."
    return f"{len(ids)} sweeps: {', '.join(ids)}"
