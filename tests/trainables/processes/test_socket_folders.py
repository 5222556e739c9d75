"""Folders for sockets: short paths, whatever TMPDIR is."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from trainables.processes import LONGEST, make_socket_folder, socket_root

SESSION = "ray/session_2026-11-29_21-01-02_105888_4194304/sockets/plasma_store"
"""The longest path that Ray puts below its folder: the number of a process has up to seven digits."""


@pytest.fixture(autouse=True)
def fresh_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python choose the folder for temporary files anew, once pytest has made its own."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def test_a_short_tmpdir_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tempfile.mkdtemp(prefix="s-", dir="/tmp")
    monkeypatch.setenv("TMPDIR", folder)

    assert socket_root() == folder
    assert len(f"{'t' * LONGEST}/{SESSION}") <= 107
    Path(folder).rmdir()


@pytest.mark.parametrize("length", [50, 99, 200])
def test_a_long_tmpdir_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    long = tmp_path / ("t" * length)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))

    assert tempfile.gettempdir() == str(long)
    folder = Path(make_socket_folder("meltpoint-test-"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    assert folder.stat().st_mode & 0o077 == 0
    shutil.rmtree(folder)


def test_folders_that_cannot_be_used_are_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("t" * 60)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))

    with pytest.raises(OSError, match=rf"sockets: {long}, /missing cannot be written, .* {LONGEST} bytes; set TMPDIR"):
        socket_root(["/missing"])


def test_the_runtime_folder_of_the_user_is_the_last_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("t" * 60)
    long.mkdir()
    runtime = tempfile.mkdtemp(prefix="r-", dir="/tmp")
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)

    assert socket_root([]) == runtime
    Path(runtime).rmdir()
