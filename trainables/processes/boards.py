"""A board of notices, from which processes on other nodes learn what a file tells those on the same machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["Board"]


class Board:
    """Notices by topic. Whoever reads says which notice it knows, and gets the next one as soon as there is one.

    All methods run in one event loop, as those of an asynchronous Ray actor do.
    """

    def __init__(self) -> None:
        self._notices: dict[str, str] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    async def post(self, notices: Mapping[str, str]) -> None:
        """Replace the notices of these topics."""
        self._notices |= notices
        for topic in notices:
            for reader in self._waiting.pop(topic, ()):
                if not reader.done():
                    reader.set_result(None)

    async def read(self, topic: str, known: str, seconds: float) -> str:
        """Return the topic's notice once it is not `known`, at the latest after some seconds; "" if there is none."""
        if self._notices.get(topic, "") == known:
            reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(topic, set()).add(reader)
            with suppress(TimeoutError):
                await asyncio.wait_for(reader, seconds)
            self._waiting.get(topic, set()).discard(reader)
        return self._notices.get(topic, "")
