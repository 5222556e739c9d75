"""The newest events of one sweep, kept once for all who follow it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from fastapi.sse import format_sse_event

from service.ledgers import Event, EventKind, Sweep
from service.schemas import EventModel

__all__ = ["Channel", "Frame"]

MOST_FRAMES = 1000
"""Most events that a channel keeps; a follower who is further behind reads the ledger."""

_STATE_KINDS = (EventKind.SWEEP_STATE, EventKind.REGISTERED)


@dataclass(frozen=True)
class Frame:
    """An event, and its text in a stream, which is written once for all followers."""

    event: Event

    @cached_property
    def data(self) -> bytes:
        """The event as a server-sent event."""
        event = self.event
        model = EventModel(
            id=event.id,
            sweep_id=event.sweep_id,
            trial_id=event.trial_id,
            kind=event.kind.value,
            payload=event.payload,
            at=event.at,
        )
        return format_sse_event(data_str=model.model_dump_json(), event=event.kind.value, id=str(event.id))


class Channel:
    """The newest events of a sweep that somebody follows, and the sweep as it stands.

    Every event with an id above `floor`, up to `last_id`, is kept. Thread safety: only the event loop may call.
    """

    def __init__(self, sweep: Sweep, last_id: int) -> None:
        self.sweep, self.last_id, self.floor = sweep, last_id, last_id
        self.followers = 0
        self.heard_at = time.monotonic()
        self.is_over = False
        self.is_stale = True
        """True if the sweep may have changed since it was read."""
        self._frames: deque[Frame] = deque()
        self._changed = asyncio.Event()

    @property
    def sweep_id(self) -> str:
        """Id of the sweep."""
        return self.sweep.id

    def update(self, sweep: Sweep, *, is_over: bool) -> None:
        """Take the sweep as it was read; is_over: whether no further event is to be expected."""
        has_changed = sweep != self.sweep or is_over != self.is_over
        self.sweep, self.is_over, self.is_stale = sweep, is_over, False
        if has_changed:
            self.wake()

    def add(self, events: Sequence[Event]) -> None:
        """Add events that follow the last one, and wake the followers."""
        for event in events:
            self._frames.append(Frame(event))
            self.last_id = event.id
            self.is_stale = self.is_stale or event.kind in _STATE_KINDS
            if len(self._frames) > MOST_FRAMES:
                self.floor = self._frames.popleft().event.id
        if events:
            self.heard_at = time.monotonic()
            self.wake()

    def frames_after(self, event_id: int, limit: int) -> list[Frame]:
        """Return kept events with larger ids, oldest first; `event_id` must not be below the floor."""
        assert event_id >= self.floor, (event_id, self.floor)
        newer = (frame for frame in self._frames if frame.event.id > event_id)
        return list(islice(newer, limit))

    def wake(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Wait until something changes; return False if nothing has in this time."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return False
        return True
