"""A child ends with its parent, however the parent ends, and takes its own children along."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from service.child_processes import ChildProcess

SLEEPS = [sys.executable, "-c", "import time; print('at work', flush=True); time.sleep(600)"]
IGNORES = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('at work', flush=True); time.sleep(600)",
]
PARENT = """
import sys, time
from pathlib import Path
from service.child_processes import ChildProcess
child = ChildProcess(sys.argv[2:], log=Path(sys.argv[1]), grace_seconds=600)
print("started", flush=True)
time.sleep(600)
"""


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("command", [SLEEPS, IGNORES], ids=["ends", "ignores-sigterm"])
def test_nothing_runs_on_after_kill_minus_9_of_the_parent(tmp_path: Path, command: list[str]) -> None:
    log = tmp_path / "log"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(log), *command]) as parent:
        wait_for(lambda: log.exists() and "at work" in log.read_text())
        processes = descendants(parent.pid)
        assert len(processes) == 2
        parent.kill()
        parent.wait()
        wait_for(lambda: all(map(is_gone, processes)))


def test_a_child_has_a_log_and_an_exit_code(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("from before\n")
    child = ChildProcess([sys.executable, "-c", "print('one'); print('two'); raise SystemExit(3)"], log=log)
    assert child.wait(20) == 3
    assert child.exit_code() == 3
    assert child.last_line() == "two"
    assert log.read_text() == "from before\none\ntwo\n"
    child.close()


def test_close_waits_for_an_orderly_end_and_kill_does_not(tmp_path: Path) -> None:
    log = tmp_path / "log"
    orderly = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(7)); print('at work', flush=True)"
    child = ChildProcess([sys.executable, "-c", f"{orderly}; time.sleep(600)"], log=log)
    wait_for(lambda: child.last_line() == "at work")
    child.close()
    assert child.exit_code() == 7
    stubborn = ChildProcess(IGNORES, log=log, grace_seconds=600)
    wait_for(lambda: stubborn.last_line() == "at work")
    stubborn.kill()
    assert stubborn.exit_code() == 128 + signal.SIGKILL


def test_what_a_child_leaves_behind_in_its_group_ends_with_it(tmp_path: Path) -> None:
    leaves = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]]).pid)"
    child = ChildProcess([sys.executable, "-c", leaves, "import time; time.sleep(600)"], log=tmp_path / "log")
    child.wait(20)
    orphan = int(child.last_line())
    wait_for(lambda: not psutil.pid_exists(orphan) or is_gone(psutil.Process(orphan)))
    child.close()
