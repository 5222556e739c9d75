"""Events as pages and as streams: ids that resume, keepalive comments, an end, and many followers at one reader."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from search_spaces import Goal
from service.api.followers import Hub
from service.api.followers.channels import MOST_FRAMES
from service.clocks import now_ms
from service.identities import issue_token
from service.ledgers import EventKind, Ledger, Role, Sweep, SweepState
from service.settings import Home
from tests.service.api.services import RunningApi
from tests.service.sweeps.sweeps import add_sweep

T = TypeVar("T")

STREAM = {"Accept": "text/event-stream"}


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the coroutine's result, from a thread: Playwright leaves an event loop running in that of the tests."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def ids_of(text: str) -> list[int]:
    return [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]


def all_ids(ledger: Ledger, sweep: Sweep) -> list[int]:
    ids: list[int] = []
    while events := ledger.events.after(sweep.id, ids[-1] if ids else 0):
        ids += [event.id for event in events]
    return ids


def add_notices(ledger: Ledger, sweep: Sweep, count: int, text: str = "hello") -> None:
    for number in range(count):
        ledger.events.add(sweep.id, EventKind.NOTICE, {"text": f"{text} {number}"})


def test_a_page_has_the_events_behind_an_id(module_api: RunningApi) -> None:
    sweep = module_api.add_sweep(SweepState.QUEUED)
    page = module_api.get(f"/sweeps/{sweep.id}/events").json()
    assert [event["payload"]["state"] for event in page["items"]] == ["validating", "queued"]
    assert not page["is_over"]
    first = page["items"][0]["id"]
    rest = module_api.get(f"/sweeps/{sweep.id}/events?after={first}").json()
    assert rest["items"] == page["items"][1:]
    assert module_api.get(f"/sweeps/{sweep.id}/events?after={rest['next']}").json()["items"] == []


def test_the_stream_of_a_finished_sweep_ends_and_resumes_by_id(module_api: RunningApi) -> None:
    sweep = module_api.add_sweep(SweepState.CANCELLED)
    path = f"/sweeps/{sweep.id}/events"
    assert module_api.get(path).json()["is_over"]
    answer = module_api.get(path, headers=STREAM)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    ids = ids_of(answer.text)
    assert ids == all_ids(module_api.ledger, sweep)
    assert "event: sweep_state" in answer.text
    answer = module_api.get(path, headers=STREAM | {"Last-Event-ID": str(ids[0])})
    assert ids_of(answer.text) == ids[1:]


def test_a_stream_ends_if_its_sweep_is_deleted(api: RunningApi) -> None:
    sweep = api.add_sweep(SweepState.PAUSED)
    api.ledger.sweeps.delete(sweep.id)
    assert api.get(f"/sweeps/{sweep.id}/events", headers=STREAM).status_code == 404


def test_the_log_has_a_line_for_each_event(module_api: RunningApi) -> None:
    sweep = module_api.add_sweep(SweepState.CANCELLED)
    module_api.ledger.events.add(sweep.id, EventKind.NOTICE, {"text": "a GPU is busy"})
    for query in ("", "?follow=1"):
        lines = module_api.get(f"/sweeps/{sweep.id}/logs{query}").text.splitlines()
        assert lines[-1].endswith("a GPU is busy")
        assert len(lines) == 3


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=now_ms)
    yield ledger
    ledger.close()


def test_a_follower_that_is_far_behind_reads_the_ledger(ledger: Ledger) -> None:
    async def follow() -> list[int]:
        hub, seen = Hub(ledger, poll_seconds=0.001), []
        async for frames in hub.follow(sweep, after=0, quiet_seconds=10):
            seen += [frame.event.id for frame in frames]
            if len(seen) == len(frames):  # the first page: the follower sleeps while much happens
                await asyncio.to_thread(add_notices, ledger, sweep, MOST_FRAMES + 200)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(ledger.sweeps.cancel, sweep.id)
        assert hub.followers == 0
        await hub.close()
        return seen

    sweep = add_sweep(ledger, SweepState.RUNNING)
    assert run_apart(follow()) == all_ids(ledger, sweep)


def test_a_silent_stream_gives_signs_of_life(ledger: Ledger) -> None:
    async def first_pages() -> list[int]:
        hub, sizes = Hub(ledger, poll_seconds=0.01), []
        async for frames in hub.follow(sweep, after=0, quiet_seconds=0.05):
            sizes.append(len(frames))
            if len(sizes) == 3:
                break
        await hub.close()
        return sizes

    sweep = add_sweep(ledger, SweepState.RUNNING)
    assert run_apart(first_pages()) == [2, 0, 0]


def test_followers_of_a_broken_ledger_go_on_when_it_is_mended(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.followers.hub._TROUBLE_SECONDS", 0.01)
    whole, failures = ledger.events.newest_id, iter([OSError("no disk"), OSError("no disk")])

    def fail_twice() -> int:
        error = next(failures, None)
        if error is not None:
            raise error
        return whole()

    async def follow() -> list[int]:
        hub, seen = Hub(ledger, poll_seconds=0.01), []
        async for frames in hub.follow(sweep, after=0, quiet_seconds=10):
            seen += [frame.event.id for frame in frames]
        return seen

    sweep = add_sweep(ledger, SweepState.CANCELLED)
    monkeypatch.setattr(ledger.events, "newest_id", fail_twice)
    assert run_apart(follow()) == all_ids(ledger, sweep)


@contextmanager
def served(home: Home) -> Iterator[tuple[int, psutil.Process]]:
    """Serve a home in a process of its own; yields its port and the process."""
    command = [sys.executable, "-m", "tests.service.api.served_alone", str(home.root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(process.stdout.readline()), psutil.Process(process.pid)
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


async def read_stream(port: int, request: bytes, ids: list[int], *, is_slow: bool) -> None:
    """Read a stream to its end, and add the ids of its events."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async for line in reader:
        if line.startswith(b"id: "):
            ids.append(int(line.removeprefix(b"id: ")))
            if is_slow and len(ids) % 200 == 0:
                await asyncio.sleep(0.3)
    writer.close()


@pytest.mark.slow
def test_200_followers_get_every_event_and_memory_stays_flat(tmp_path: Path) -> None:
    followers, slow, batches, batch = 200, 10, 8, 250

    async def follow_all() -> None:
        tasks = [
            asyncio.create_task(read_stream(port, request, ids, is_slow=number < slow))
            for number, ids in enumerate(seen)
        ]
        while not all(seen):
            await asyncio.sleep(0.05)
        for _ in range(batches):
            await asyncio.to_thread(add_notices, ledger, sweep, batch, "x" * 300)
            await asyncio.sleep(1)
            sizes.append(process.memory_info().rss)
        await asyncio.to_thread(ledger.sweeps.cancel, sweep.id)
        await asyncio.gather(*tasks)

    home, sizes = Home(tmp_path).create(), list[int]()
    seen: list[list[int]] = [[] for _ in range(followers)]
    ledger = Ledger.open(home, clock=now_ms)
    ledger.users.create("ann", Role.SUBMITTER)
    token = issue_token(ledger, "ann", label="test", days=1, clock=now_ms)
    columns: dict[str, Any] = {"spec_text": "", "spec_file": "", "metric": "val/accuracy", "goal": Goal.MAXIMIZE}
    sweep, _ = ledger.sweeps.submit(name="cells", seed=0, settings={}, owner="ann", **columns)
    lines = [f"GET /api/v1/sweeps/{sweep.id}/events HTTP/1.1", "Host: here", "Connection: close"]
    lines += ["Accept: text/event-stream", f"Authorization: Bearer {token}", "", ""]
    request = "\r\n".join(lines).encode()
    with served(home) as (port, process):
        run_apart(follow_all())
    expected = all_ids(ledger, sweep)
    ledger.close()
    assert len(expected) > batches * batch
    assert all(ids == expected for ids in seen)
    # The events that are kept once for all are there after 1000; a copy for each follower would be 80 MB more.
    assert max(sizes[5:]) - sizes[4] < 20_000_000, sizes
