"""`meltpoint models`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.surroundings import open_requests
from service.formats import Format
from service.terminals import ContextFlag, HomeFlag, Output, print_data, print_table, stderr

if TYPE_CHECKING:
    from service.ledgers import Promotion
    from service.promotions import MovedAlias


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Registered model whose history to show.")
    ] = None,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """List the aliases that models were promoted to; with a name, the history of that model's aliases."""
    with open_requests(context, home) as requests:
        if name is None:
            aliases = requests.models()
            rows = [_alias_row(alias) for alias in aliases]
            table = [_alias_cells(alias) for alias in aliases]
            header = ["model", "alias", "version", "trial", "chosen", "test", "since", "by"]
        else:
            moves = requests.model_history(name)
            rows = [_move_row(move) for move in moves]
            table = [_move_cells(move) for move in moves]
            header = ["when", "alias", "action", "version", "before", "trial", "chosen", "test", "by"]
    if output is not Format.TABLE:
        print_data(rows, output)
    elif table:
        print_table(header, table)
    else:
        text = "no model was promoted yet; promote a confirmed sweep's model with: meltpoint promote SWEEP"
        stderr().print(text, markup=False, soft_wrap=True)


def _alias_row(alias: MovedAlias) -> dict[str, Any]:
    last, origin = alias.last, alias.origin
    return {
        "model": last.model,
        "alias": last.alias,
        "version": last.version,
        "uri": f"models:/{last.model}@{last.alias}",
        "sweep_id": last.sweep_id,
        "trial_id": last.trial_id,
        "confirmed": None if origin is None else (origin.evidence or {}).get("confirmed"),
        "moved_by": last.action.value,
        "at": last.at,
        "user": last.user_name,
        "evidence": None if origin is None else origin.evidence,
    }


def _alias_cells(alias: MovedAlias) -> Sequence[str]:
    last, evidence = alias.last, None if alias.origin is None else alias.origin.evidence
    return [
        last.model,
        last.alias,
        last.version,
        last.trial_id or "",
        _chosen(evidence),
        _tested(evidence),
        _when(last),
        last.user_name or "",
    ]


def _move_row(move: Promotion) -> dict[str, Any]:
    return {
        "model": move.model,
        "alias": move.alias,
        "action": move.action.value,
        "version": move.version,
        "previous": move.previous,
        "sweep_id": move.sweep_id,
        "trial_id": move.trial_id,
        "at": move.at,
        "user": move.user_name,
        "evidence": move.evidence,
    }


def _move_cells(move: Promotion) -> Sequence[str]:
    return [
        _when(move),
        move.alias,
        move.action.value,
        move.version,
        move.previous or "",
        move.trial_id or "",
        _chosen(move.evidence),
        _tested(move.evidence),
        move.user_name or "",
    ]


def _chosen(evidence: dict[str, Any] | None) -> str:
    """Return how a version was chosen, in one word."""
    if not evidence:
        return ""
    chosen = "confirmed" if evidence.get("confirmed") else "unconfirmed"
    return f"{chosen}, forced" if evidence.get("forced") else chosen


def _tested(evidence: dict[str, Any] | None) -> str:
    images = (evidence or {}).get("test_images") or {}
    return f"{images['correct']}/{images['images']}" if images.get("images") else ""


def _when(move: Promotion) -> str:
    return datetime.fromtimestamp(move.at / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")
