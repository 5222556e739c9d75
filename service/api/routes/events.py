"""Events and logs of a sweep, as far as they go or for as long as it goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse
from starlette.concurrency import run_in_threadpool

from service.api.routes.parameters import AfterEvent, LastEventId, SweepReference
from service.api.routes.strict_routes import make_router
from service.api.state import Caller, Viewer
from service.ledgers import Event, Sweep
from service.schemas import EventModel, EventsModel
from service.sweeps import is_over, log_line

__all__ = ["router"]

router = make_router("sweeps")

PAGE = 500
_STREAM = "text/event-stream"
_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@router.get(
    "/sweeps/{ref}/events",
    operation_id="list_events",
    response_model=EventsModel,
    responses={200: {"content": {_STREAM: {"schema": {"type": "string"}}}}},
)
async def get_events(
    ref: SweepReference,
    request: Request,
    caller: Viewer,
    after: AfterEvent = 0,
    last_event_id: LastEventId = None,
) -> Response:
    """Return events of a sweep that come after `after`: a page as JSON, or a stream if `Accept` asks for one.

    The stream (`Accept: text/event-stream`) goes on until no further event is to be expected. Each event has its id,
    with which `Last-Event-ID` goes on behind it.
    """
    sweep = await run_in_threadpool(caller.find, ref)
    after = after if last_event_id is None else last_event_id
    if _STREAM in request.headers.get("accept", ""):
        return EventSourceResponse(_stream(caller, sweep, after), headers=_STREAM_HEADERS)
    model = await run_in_threadpool(_read_page, caller, sweep, after)
    return JSONResponse(model.model_dump(mode="json"))


@router.get(
    "/sweeps/{ref}/logs",
    operation_id="get_logs",
    response_class=PlainTextResponse,
    responses={200: {"description": "The log", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def get_logs(
    ref: SweepReference,
    caller: Viewer,
    follow: Annotated[bool, Query(description="Go on until the sweep has ended.")] = False,
) -> Response:
    """Return the log of a sweep, a line for each event that people want to see."""
    sweep = await run_in_threadpool(caller.find, ref)
    lines = _follow_log(caller, sweep) if follow else _read_log(caller, sweep)
    return StreamingResponse(lines, media_type="text/plain", headers=_STREAM_HEADERS)


async def _stream(caller: Caller, sweep: Sweep, after: int) -> AsyncIterator[bytes]:
    yield KEEPALIVE_COMMENT  # the client learns at once that the service follows
    seconds = caller.api.settings.keepalive_seconds
    async for frames in caller.hub.follow(sweep, after=after, quiet_seconds=seconds):
        yield b"".join(frame.data for frame in frames) or KEEPALIVE_COMMENT


def _read_page(caller: Caller, sweep: Sweep, after: int) -> EventsModel:
    events = caller.ledger.events.after(sweep.id, after, PAGE)
    models = [EventModel(**vars(event)) for event in events]
    now = caller.api.settings.clock()
    quiet_seconds = (now - (events[-1].at if events else sweep.finished_at or now)) / 1000
    over = len(events) < PAGE and is_over(sweep, quiet_seconds=quiet_seconds, is_remote=True)
    return EventsModel(items=models, next=models[-1].id if models else after, is_over=over)


async def _read_log(caller: Caller, sweep: Sweep) -> AsyncIterator[bytes]:
    after = 0
    while events := await run_in_threadpool(caller.ledger.events.after, sweep.id, after, PAGE):
        after = events[-1].id
        yield _lines(events)


async def _follow_log(caller: Caller, sweep: Sweep) -> AsyncIterator[bytes]:
    async for frames in caller.hub.follow(sweep, after=0, quiet_seconds=caller.api.settings.keepalive_seconds):
        yield _lines([frame.event for frame in frames])


def _lines(events: list[Event]) -> bytes:
    lines = [line for event in events if (line := log_line(event)) is not None]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
