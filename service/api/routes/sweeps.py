"""Sweeps: their list, and all that can be read of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse, PlainTextResponse

from service.api.routes.parameters import After, Limit, Name, SweepReference
from service.api.routes.strict_routes import make_router
from service.api.state import Viewer
from service.exports import RecipeFile, make_recipe_file
from service.ledgers import SweepState
from service.reports import read_retrainings
from service.schemas import (
    PRINTABLE_AND_NOT_EMPTY,
    ComparisonModel,
    ConfirmationModel,
    ConfirmationStatusModel,
    CurveModel,
    LeaderboardModel,
    Page,
    RetrainingModel,
    StatusModel,
    SummaryModel,
    SweepModel,
    TrialCountsModel,
    TrialResult,
    WaitingModel,
)
from service.sweep_reports import PAGE_POLICY, SweepReport
from service.sweeps import (
    compare_sweeps,
    find_confirmation,
    get_status,
    list_sweeps,
    read_leaderboard,
    read_report,
    render_report,
)

__all__ = ["router"]

router = make_router("sweeps")

DEFAULT_LIMIT = 50
_CURVES = 20


@router.get("/sweeps", operation_id="list_sweeps")
def get_sweeps(
    caller: Viewer,
    state: Annotated[list[SweepState] | None, Query(max_length=len(SweepState), description="States to keep.")] = None,
    name: Name = None,
    owner: Name = None,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> Page[SummaryModel]:
    """List sweeps, newest first."""
    if caller.owner is not None and owner not in (None, caller.owner):
        return Page(items=[])
    if after is not None:
        after = caller.find(after).id
    summaries = list_sweeps(
        caller.ledger,
        states=state,
        name=name,
        owner=caller.owner or owner,
        limit=limit + 1,
        after=after,
        cache=caller.api.counts,
    )
    models = [SummaryModel.from_records(summary.sweep, summary.trial_counts) for summary in summaries[:limit]]
    return Page(items=models, next=models[-1].sweep_id if len(summaries) > limit else None)


@router.get("/sweeps/{ref}", operation_id="get_sweep")
def get_sweep(ref: SweepReference, caller: Viewer) -> SweepModel:
    """Return a sweep."""
    return SweepModel.from_record(caller.find(ref))


@router.get(
    "/sweeps/{ref}/spec",
    operation_id="get_spec",
    response_class=PlainTextResponse,
    responses={200: {"description": "The sweep file", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_spec(ref: SweepReference, caller: Viewer) -> PlainTextResponse:
    """Return the text of the sweep file, with all changes of its submission and its resumes."""
    return PlainTextResponse(caller.find(ref).spec_text.encode("utf-8", "replace"))


@router.get("/sweeps/{ref}/status", operation_id="get_status")
def get_sweep_status(ref: SweepReference, caller: Viewer) -> StatusModel:
    """Return how a sweep stands: its leaderboard, and numbers of trials, checkpoints and unsent messages."""
    status = get_status(caller.ledger, caller.home, caller.find(ref).id)
    return StatusModel(
        leaderboard=LeaderboardModel.from_record(status.board),
        trial_counts=TrialCountsModel.from_record(status.trial_counts),
        unsent=status.unsent,
        waiting=[WaitingModel.from_record(waiting) for waiting in status.waiting],
        checkpoint_files=status.checkpoint_files,
        checkpoint_bytes=status.checkpoint_bytes,
        unlisted=status.unlisted or None,
        confirmation=None if status.confirmation is None else ConfirmationStatusModel(**vars(status.confirmation)),
    )


@router.get("/sweeps/{ref}/trials", operation_id="list_trials")
def get_trials(
    ref: SweepReference,
    caller: Viewer,
    top: Annotated[int | None, Query(ge=1, le=1_000_000, description="Show only the best N trials.")] = None,
) -> Page[TrialResult]:
    """Return the trials of a sweep, best first, as `meltpoint trials -o json` prints them."""
    board = read_leaderboard(caller.ledger, caller.find(ref).id, readings_of=top)
    return Page(items=[TrialResult(**row) for row in board.as_json(top)])


@router.get("/sweeps/{ref}/leaderboard", operation_id="get_leaderboard")
def get_leaderboard(
    ref: SweepReference,
    caller: Viewer,
    readings_of: Annotated[
        int | None, Query(ge=0, le=1_000_000, description="Give the readings of the best N trials alone.")
    ] = None,
) -> LeaderboardModel:
    """Return the trials of a sweep, best first, with all that a leaderboard needs."""
    board = read_leaderboard(caller.ledger, caller.find(ref).id, readings_of=readings_of)
    return LeaderboardModel.from_record(board)


@router.get("/sweeps/{ref}/report", operation_id="get_report")
def get_report(ref: SweepReference, caller: Viewer) -> SweepReport:
    """Return the numbers behind the report of a sweep, as `meltpoint report -o json` prints them."""
    return read_report(caller.ledger, caller.find(ref).id)


@router.get(
    "/sweeps/{ref}/report.html",
    operation_id="get_report_page",
    response_class=HTMLResponse,
    responses={200: {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}}},
)
def get_report_page(ref: SweepReference, caller: Viewer) -> HTMLResponse:
    """Return the report of a sweep as a page that needs no other file; it shows no images."""
    page = render_report(caller.ledger, caller.find(ref).id)
    return HTMLResponse(page.encode("utf-8", "replace"), headers={"Content-Security-Policy": f"{PAGE_POLICY}; sandbox"})


@router.get("/sweeps/{ref}/recipe", operation_id="get_recipe")
def get_recipe(ref: SweepReference, caller: Viewer) -> RecipeFile:
    """Return the recipe file of a sweep, as `meltpoint export` writes it: of its winner, else of its best trial."""
    return make_recipe_file(caller.ledger, caller.find(ref), with_places=False)


@router.get("/sweeps/{ref}/confirmation", operation_id="get_confirmation")
def get_confirmation(ref: SweepReference, caller: Viewer) -> ConfirmationModel:
    """Return the confirmation of a sweep, as `meltpoint confirm -o json` prints it; 404 if none has begun."""
    return ConfirmationModel(**find_confirmation(caller.find(ref)))


@router.get("/sweeps/{ref}/retrainings", operation_id="list_retrainings")
def get_retrainings(ref: SweepReference, caller: Viewer) -> Page[RetrainingModel]:
    """Return the retrainings of a sweep's confirmation, as `meltpoint trials --phase confirm -o json` prints them."""
    retrainings = read_retrainings(caller.ledger, caller.find(ref))
    return Page(items=[RetrainingModel.from_record(retraining) for retraining in retrainings])


@router.get("/sweeps/{ref}/curves", operation_id="list_curves")
def get_curves(
    ref: SweepReference,
    caller: Viewer,
    limit: Limit = _CURVES,
    after: Annotated[
        int, Query(ge=-1, le=2**31, description="`next` of the page before: number of its last trial.")
    ] = -1,
) -> Page[CurveModel]:
    """Return every epoch of the trials of a sweep, by trial number."""
    trials = [trial for trial in caller.ledger.trials.list(caller.find(ref).id) if trial.number > after]
    shown = trials[:limit]
    epochs = caller.ledger.trials.epochs_of(trial.id for trial in shown)
    models = [CurveModel.from_records(trial, epochs.get(trial.id, [])) for trial in shown]
    return Page(items=models, next=str(models[-1].number) if len(trials) > limit else None)


@router.get("/comparison", operation_id="compare_sweeps")
def get_comparison(
    caller: Viewer,
    first: Annotated[str, Query(min_length=1, max_length=128, pattern=PRINTABLE_AND_NOT_EMPTY)],
    second: Annotated[str, Query(min_length=1, max_length=128, pattern=PRINTABLE_AND_NOT_EMPTY)],
) -> ComparisonModel:
    """Return what differs between two sweeps: data, spaces, settings, winners, cost."""
    comparison = compare_sweeps(caller.ledger, caller.find(first).id, caller.find(second).id)
    return ComparisonModel.from_record(comparison)
