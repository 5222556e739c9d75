"""A board of notices: a reader waits for the next one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainables.processes import Board, Rendezvous


def test_a_reader_gets_the_next_notice_of_its_topic_at_once() -> None:
    async def read() -> tuple[str, str, str]:
        board = Board()
        waiting = asyncio.create_task(board.read("sweep", "", 60.0))
        await asyncio.sleep(0)
        await board.post({"other": "open"})
        await asyncio.sleep(0)
        assert not waiting.done()
        await board.post({"sweep": "open"})
        first = await waiting
        await board.post({"sweep": "report"})
        return first, await board.read("sweep", "open", 60.0), await board.read("sweep", "report", 0.01)

    with ThreadPoolExecutor(1) as pool:  # this thread may have a loop of its own, of a browser's tests
        assert pool.submit(lambda: asyncio.run(read())).result(60) == ("open", "report", "report")


def test_a_rendezvous_elsewhere_follows_the_driver(tmp_path: Path) -> None:
    (tmp_path / "driver").mkdir()
    (tmp_path / "node").mkdir()
    driver, node = Rendezvous(str(tmp_path / "driver"), 1), Rendezvous(str(tmp_path / "node"), 1)

    node.follow("")
    assert (node.reports_requested(), node.is_abandoned()) == (False, False)
    driver.request_reports()
    node.follow(driver.notice())
    assert node.reports_requested()
    driver.withdraw_request()
    node.follow(driver.notice())
    assert (node.reports_requested(), node.is_abandoned()) == (False, False)
    (tmp_path / "driver").rmdir()
    node.follow(driver.notice())
    assert node.is_abandoned()
