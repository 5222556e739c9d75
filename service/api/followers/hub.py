"""The hub: reads new events of all followed sweeps in one task, and passes them on to the followers."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from service.api.followers.channels import Channel, Frame
from service.clocks import now_ms
from service.errors import SweepNotFoundError
from service.ledgers import Event, Sweep
from service.sweeps import is_over

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["Hub"]

log = logging.getLogger(__name__)

PAGE = 200
_REREAD_SECONDS = 1.0
_TROUBLE_SECONDS = 1.0


@dataclass(frozen=True)
class _Look:
    """A question about one sweep, and the answer: its row if asked for, and its new events; None if it is gone."""

    sweep_id: str
    after: int
    wants_sweep: bool
    sweep: Sweep | None = None
    events: Sequence[Event] | None = None


class Hub:
    """Followers of sweeps, each with a place in the events of one sweep.

    However many follow, one task looks at the ledger, and the newest events of a sweep are kept once. A follower who
    is slow, or who begins far back, reads the ledger by id: nothing is lost, and nothing waits for anybody.

    Ownership: borrows the ledger. Thread safety: only the event loop may call.

    Args:
        ledger: where the events are.
        poll_seconds: time between two looks.
        clock: UTC milliseconds since 1970, as events have them.
        ending: every stream ends once it is set.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        poll_seconds: float = 0.1,
        clock: Callable[[], int] = now_ms,
        ending: threading.Event | None = None,
    ) -> None:
        self._ledger, self._poll_seconds, self._clock = ledger, poll_seconds, clock
        self._ending = ending or threading.Event()
        self._channels: dict[str, Channel] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def followers(self) -> int:
        """The number of followers."""
        return sum(channel.followers for channel in self._channels.values())

    @asynccontextmanager
    async def join(self, sweep: Sweep) -> AsyncIterator[Channel]:
        """Follow a sweep while entered; its events are read from the ledger for as long as anybody follows."""
        if sweep.id not in self._channels:
            last_id = await run_in_threadpool(self._ledger.events.last_id, sweep.id)
            self._channels.setdefault(sweep.id, Channel(sweep, last_id))
        channel = self._channels[sweep.id]
        channel.followers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield channel
        finally:
            channel.followers -= 1
            if channel.followers == 0 and self._channels.get(sweep.id) is channel:
                del self._channels[sweep.id]

    async def follow(self, sweep: Sweep, *, after: int, quiet_seconds: float) -> AsyncIterator[Sequence[Frame]]:
        """Yield the events of a sweep behind `after`, in pages, until no further one is to be expected.

        An empty page comes after `quiet_seconds` without events.
        """
        async with self.join(sweep) as channel:
            while True:
                has_ended = channel.is_over or self._is_closed
                frames = await self._page(channel, after)
                if frames:
                    after = frames[-1].event.id
                    yield frames
                elif has_ended:
                    return
                elif not await channel.wait(quiet_seconds):
                    yield ()

    async def wait_until(self, sweep: Sweep, is_reached: Callable[[Sweep], bool], seconds: float) -> Sweep:
        """Return the sweep as soon as `is_reached` holds for it, or as it stands after `seconds`."""
        deadline = time.monotonic() + seconds
        async with self.join(sweep) as channel:
            while not is_reached(channel.sweep) and not channel.is_over and not self._is_closed:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                await channel.wait(left)
            return channel.sweep

    async def close(self) -> None:
        """End every stream, and the task."""
        self._end_streams()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _end_streams(self) -> None:
        self._is_closed = True
        for channel in self._channels.values():
            channel.wake()

    async def _page(self, channel: Channel, after: int) -> Sequence[Frame]:
        """Return the next events of one follower, from the channel or, if that has them no longer, from the ledger."""
        if after >= channel.floor:
            return channel.frames_after(after, PAGE)
        try:
            events = await run_in_threadpool(self._ledger.events.after, channel.sweep_id, after, PAGE)
        except SweepNotFoundError:
            return ()
        return [Frame(event) for event in events] or channel.frames_after(channel.floor, PAGE)

    async def _watch(self) -> None:
        """Look for news as long as anybody follows."""
        reread_at, newest_id = 0.0, -1
        try:
            while self._channels and not self._is_closed:
                if self._ending.is_set():
                    self._end_streams()
                    return
                try:
                    present_id = await run_in_threadpool(self._ledger.events.newest_id)
                    rereads = time.monotonic() >= reread_at
                    is_stale = any(channel.is_stale for channel in self._channels.values())
                    if rereads or is_stale or present_id != newest_id:
                        await self._look(rereads)
                        newest_id = present_id
                    if rereads:
                        reread_at = time.monotonic() + _REREAD_SECONDS
                except Exception:
                    log.exception("events cannot be read")
                    await asyncio.sleep(_TROUBLE_SECONDS)
                await asyncio.sleep(self._poll_seconds)
        finally:
            self._task = None

    async def _look(self, rereads: bool) -> None:
        """Read the new events of all channels, and the rows of those sweeps that may have changed."""
        questions = [
            _Look(channel.sweep_id, channel.last_id, rereads or channel.is_stale) for channel in self._channels.values()
        ]
        for look in await run_in_threadpool(lambda: [self._look_at(question) for question in questions]):
            self._pass_on(look)

    def _look_at(self, look: _Look) -> _Look:
        """Answer a question. The row is read before the events, so that no event can come behind the end."""
        try:
            sweep = self._ledger.sweeps.get(look.sweep_id) if look.wants_sweep else None
            events = self._ledger.events.after(look.sweep_id, look.after, PAGE)
        except SweepNotFoundError:
            return _Look(look.sweep_id, look.after, look.wants_sweep)
        return _Look(look.sweep_id, look.after, look.wants_sweep, sweep, events)

    def _pass_on(self, look: _Look) -> None:
        channel = self._channels.get(look.sweep_id)
        if channel is None:
            return
        if look.events is None:
            channel.update(channel.sweep, is_over=True)
            return
        if look.sweep is not None:
            channel.update(look.sweep, is_over=not look.events and self._is_over(channel, look.sweep))
        channel.add(look.events)

    def _is_over(self, channel: Channel, sweep: Sweep) -> bool:
        quiet_seconds = time.monotonic() - channel.heard_at
        return is_over(sweep, quiet_seconds=quiet_seconds, is_remote=True, now=self._clock())
