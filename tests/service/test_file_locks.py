"""Locks on files: one holder at a time, freed when its process ends in any way."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.file_locks import try_lock

HOLDER = """
import sys
from pathlib import Path
from service.file_locks import try_lock
with try_lock(Path(sys.argv[1])) as is_mine:
    print(is_mine, flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has the lock."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "True\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def is_free(path: Path) -> bool:
    with try_lock(path) as is_mine:
        return is_mine


def test_a_lock_is_refused_while_another_process_has_it_and_free_once_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "driver.lock"
    with other_process(path) as process:
        assert not is_free(path)
        process.kill()
        process.wait()
        assert is_free(path)


def test_a_lock_is_refused_within_its_process_too(tmp_path: Path) -> None:
    path = tmp_path / "driver.lock"
    answers: list[bool] = []
    with try_lock(path) as is_mine:
        assert is_mine
        assert not is_free(path)
        thread = threading.Thread(target=lambda: answers.append(is_free(path)))
        thread.start()
        thread.join()
    assert answers == [False]
    assert is_free(path)


def test_a_lock_is_freed_after_an_error_and_its_file_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "driver.lock"
    path.write_text("kept")
    with pytest.raises(ZeroDivisionError), try_lock(path):
        raise ZeroDivisionError
    assert is_free(path)
    assert path.read_text() == "kept"


def test_a_lock_that_cannot_be_opened_is_an_error_and_not_a_lock_in_use(tmp_path: Path) -> None:
    (tmp_path / "driver.lock").mkdir()
    with pytest.raises(OSError, match=r"driver\.lock"):
        is_free(tmp_path / "driver.lock")
