"""A rendezvous: workers wait for each other, and learn that they must report."""

from __future__ import annotations

import threading
from pathlib import Path

from trainables.processes import Rendezvous


def test_all_workers_go_on_when_the_last_arrives_or_no_more_will_come(tmp_path: Path) -> None:
    rendezvous = Rendezvous(str(tmp_path), 2)
    first = threading.Thread(target=rendezvous.wait)
    first.start()
    first.join(0.2)
    assert first.is_alive()
    rendezvous.wait()
    first.join(5)
    assert not first.is_alive()

    other = Rendezvous(str(tmp_path), 9)
    late = threading.Thread(target=other.wait)
    late.start()
    assert not other.reports_requested()
    other.open()
    other.request_reports()
    late.join(5)
    assert not late.is_alive()
    assert other.reports_requested()
    other.withdraw_request()
    other.withdraw_request()
    assert not other.reports_requested()
