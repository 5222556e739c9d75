"""A Ray of one sweep: what of it runs, and that it ends."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psutil
import pytest

from service.ray_heads import RayHead

pytestmark = pytest.mark.ray


def test_of_ray_runs_what_a_sweep_on_one_machine_needs_and_all_of_it_ends() -> None:
    before = set(psutil.Process().children(recursive=True))
    with closing(RayHead()) as head:
        assert head.address().startswith("127.0.0.1:")
        started = set(psutil.Process().children(recursive=True)) - before
        names = {Path(part).name for process in started for part in process.cmdline()}
        assert {"gcs_server", "raylet"} <= names
        assert not names & {"monitor.py", "log_monitor.py", "dashboard.py"}
    assert not [process for process in started if process.is_running()]
