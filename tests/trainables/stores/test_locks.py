"""Locks on folders: many users, one remover, freed when a process dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainables.stores import lock_for_removal
from trainables.stores.locks import FolderLock, lock_for_writing

USE = """
import sys, time
from pathlib import Path
from trainables.stores.locks import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(600)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def is_removable(folder: Path) -> bool:
    with lock_for_removal(folder) as removable:
        return removable


def test_a_folder_in_use_is_not_removable_until_its_last_user_is_done(store: Path) -> None:
    with FolderLock(store):
        with FolderLock(store):
            assert not is_removable(store)
        assert not is_removable(store)
    assert is_removable(store)


def test_a_folder_that_is_being_written_is_not_removable(store: Path) -> None:
    with lock_for_writing(store):
        assert not is_removable(store)
    assert is_removable(store)


def test_a_folder_that_is_gone_is_removable(tmp_path: Path) -> None:
    assert is_removable(tmp_path / "gone")


def test_a_killed_user_frees_the_folder(store: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", USE, str(store)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        assert not is_removable(store)
        process.kill()
    assert is_removable(store)


def test_a_missing_folder_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FolderLock(tmp_path / "gone")
