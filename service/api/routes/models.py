"""Promotions of models, ways back, and the history of aliases."""

from __future__ import annotations

import shlex

from service.api.routes.parameters import Reference, SweepReference
from service.api.routes.strict_routes import make_router
from service.api.state import Caller, Submitter, Viewer
from service.errors import ForbiddenError, SweepNotFoundError
from service.ledgers import Promotion, Role
from service.registry import read_model_history, read_models, request_promotion, roll_back_apart
from service.schemas import AliasModel, AliasMoveModel, Page, PromoteRequest, PromotionModel, RollbackRequest

__all__ = ["router"]

router = make_router("models", 409)


@router.post("/sweeps/{ref}/promotion", operation_id="promote_sweep")
def promote_sweep(ref: SweepReference, request: PromoteRequest, caller: Submitter) -> PromotionModel:
    """Give the model of a sweep's confirmed recipe an alias, if it is not worse than the version that has the alias.

    The answer comes after at most 40 s; its status is `running` if the promotion takes longer: send the request again.
    """
    sweep = caller.find_to_change(ref)
    kept, after = request_promotion(caller.ledger, sweep, user=caller.identity.user, **request.model_dump())
    outcome = caller.api.registry.carry_out(caller.ledger, caller.home, sweep.id, kept, after=after)
    return PromotionModel.from_record(outcome)


@router.get("/models", operation_id="list_models")
def get_models(caller: Viewer) -> Page[AliasModel]:
    """List the aliases that models were promoted to, the last moved first."""
    return Page(items=[AliasModel.from_record(alias) for alias in read_models(caller.ledger)])


@router.get("/models/{name}", operation_id="get_model_history")
def get_model_history(name: Reference, caller: Viewer) -> Page[AliasMoveModel]:
    """Return the moves of a registered model's aliases, newest first."""
    return Page(items=[AliasMoveModel.from_record(move) for move in read_model_history(caller.ledger, name)])


@router.post("/models/{name}/rollback", operation_id="roll_back_model")
def roll_back_model(name: Reference, request: RollbackRequest, caller: Submitter) -> AliasMoveModel:
    """Give an alias back to the version that had it before. A submitter does so with models of own sweeps alone."""
    caller.note_target(f"{name}@{request.alias}")
    moves = [move for move in read_model_history(caller.ledger, name) if move.alias == request.alias]
    if moves:
        _check_own(caller, moves[0])
    move = roll_back_apart(caller.home, model=name, alias=request.alias, user=caller.identity.user)
    return AliasMoveModel.from_record(move)


def _check_own(caller: Caller, move: Promotion) -> None:
    """Raise ForbiddenError if a submitter did not promote the present version, that of the move, from an own sweep."""
    if caller.identity.role is Role.ADMIN:
        return
    try:
        is_own = move.sweep_id is not None and caller.ledger.sweeps.get(move.sweep_id).owner == caller.identity.user
    except SweepNotFoundError:
        is_own = False
    if not is_own:
        raise ForbiddenError(
            "the present version comes from the sweep of somebody else; an admin can roll it back: meltpoint rollback "
            f"{shlex.quote(move.model)} --alias {shlex.quote(move.alias)}"
        )
