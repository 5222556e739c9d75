"""Promotions on a home: requested through the outbox, carried out by whoever sends it, and their outcome."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from service.errors import NotFoundError
from service.ledgers import EventKind, Json, MessageKind, Promotion, Sweep
from service.promotions import (
    MovedAlias,
    PromotionOutcome,
    PromotionRequest,
    PromotionStatus,
    check_alias,
    check_model_name,
    choose_model,
    list_aliases,
)

if TYPE_CHECKING:
    from service.ledgers import Ledger
    from service.settings import Home

__all__ = [
    "find_outcome",
    "read_model_history",
    "read_models",
    "request_promotion",
    "roll_back_here",
    "send_messages",
    "waiting_outcome",
]

SENDING_PATIENCE_SECONDS = 600.0
_PAGE = 500


def request_promotion(
    ledger: Ledger,
    sweep: Sweep,
    *,
    alias: str,
    model: str | None = None,
    force: bool = False,
    unconfirmed: bool = False,
    user: str | None = None,
) -> tuple[PromotionRequest, int]:
    """Put a request for a promotion into the outbox, or find the same one there, unsent.

    model: name of the registered model; by default that of the sweep's candidate. user: who asks; None on a home.
    Returns the request, and the id of the newest event before its outcome.

    Raises:
        UsageError: the sweep is under way, unconfirmed or has no model, or a name cannot be used.
    """
    check_alias(alias)
    if model is not None:
        check_model_name(model)
    chosen = choose_model(ledger, sweep, unconfirmed=unconfirmed, is_remote=user is not None)
    request = PromotionRequest(
        key=secrets.token_hex(8),
        model=model or str(sweep.settings.get("register.model", sweep.name)),
        alias=alias,
        force=force,
        user_name=user,
        **vars(chosen),
    )
    after = ledger.events.last_id(sweep.id)
    for message in ledger.outbox.unsent(sweep.id):
        if message.kind is MessageKind.PROMOTION:
            earlier = PromotionRequest.from_json(message.payload)
            if earlier.repeats(request):
                return earlier, after
    ledger.outbox.put(sweep.id, MessageKind.PROMOTION, request.as_json(), trial_id=request.trial_id)
    return request, after


def find_outcome(ledger: Ledger, sweep_id: str, key: str, *, after: int) -> PromotionOutcome | None:
    """Return what became of a request; None if it was not carried out yet. after: id of an event before its outcome."""
    while events := ledger.events.after(sweep_id, after, limit=_PAGE):
        for event in events:
            if event.kind is EventKind.PROMOTION and event.payload.get("key") == key:
                return PromotionOutcome.from_json(event.payload)
        after = events[-1].id
    return None


def waiting_outcome(request: PromotionRequest, error: str | None) -> PromotionOutcome:
    """Return the outcome of a request that MLflow has not taken; error: why."""
    reason = f": {error.splitlines()[0]}" if error else ""
    return PromotionOutcome(
        key=request.key,
        status=PromotionStatus.WAITING,
        model=request.model,
        alias=request.alias,
        trial_id=request.trial_id,
        sentences=(
            f"MLflow has not taken the promotion{reason}",
            "the request is kept, and the gate is asked when it is sent: with the next sweep, or by meltpoint sync",
        ),
    )


def send_messages(ledger: Ledger, home: Home, sweep_id: str) -> str | None:
    """Send what MLflow has not taken of a sweep, from this process; return MLflow's last error if something is left."""
    from service.tracking import Sender
    from service.tracking.trackers import Tracker

    sender = Sender(ledger, sweep_id, lambda: Tracker(ledger, home), backlog_lock=home.backlog_lock).start()
    sender.finish(SENDING_PATIENCE_SECONDS)
    return sender.last_error


def roll_back_here(ledger: Ledger, home: Home, *, model: str, alias: str, user: str | None = None) -> Promotion:
    """Give an alias back to the version that had it before, from this process; raises as `roll_back`."""
    from mlflow.tracking import MlflowClient

    from service.promotions.rollbacks import roll_back
    from service.tracking import prepare_local_store

    check_alias(alias)
    prepare_local_store(home)
    client = MlflowClient(tracking_uri=home.tracking_uri)
    return roll_back(client, ledger, home, model=model, alias=alias, user=user)


def read_models(ledger: Ledger) -> list[MovedAlias]:
    """Return every alias that was promoted to, the last moved first."""
    return list_aliases(ledger.promotions.list())


def read_model_history(ledger: Ledger, model: str) -> list[Promotion]:
    """Return the moves of a model's aliases, newest first. Raises NotFoundError if there are none."""
    moves = ledger.promotions.list(model)
    if not moves:
        raise NotFoundError(f"nothing was promoted to {model}; `meltpoint models` lists what was")
    return moves


def promotion_as_json(move: Promotion) -> Json:
    """Return a move of an alias as JSON values."""
    return vars(move) | {"action": move.action.value}
