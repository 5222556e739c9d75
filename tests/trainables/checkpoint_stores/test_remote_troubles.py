"""Stores that are away, full, without rights or without a driver: one sentence with the cause, after some tries."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from service.coordination.retries import cause_reported, node_fault
from service.ledgers import Cause
from trainables.checkpoint_stores import open_store, probe_store, remote
from trainables.errors import StoreError


class Flaky(MemoryFileSystem):
    """Memory whose operations fail as often as `errors` says."""

    protocol = "flaky"
    errors: ClassVar[list[Exception]] = []
    torn: ClassVar[int] = 0

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if type(self).torn:
            type(self).torn -= 1
            value = value[:-1]
        super().pipe_file(path, value, mode, **kwargs)  # type: ignore[no-untyped-call]
        if type(self).errors:
            raise type(self).errors.pop()


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> type[Flaky]:
    """The file system flaky://, with short pauses between tries."""
    monkeypatch.setattr(remote, "_FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(remote, "_LONGEST_PAUSE_SECONDS", 0.002)
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(Flaky, "errors", [])
    return Flaky


def test_errors_that_pass_and_torn_uploads_are_tried_again(flaky: type[Flaky]) -> None:
    flaky.errors, flaky.torn = [TimeoutError("slow"), ConnectionResetError("reset"), OSError(errno.EIO, "bad")], 1
    location = open_store("flaky://a").write("flaky://a", "file", b"content")
    assert open_store(location).read(location) == b"content"
    assert flaky.errors == []


@pytest.mark.parametrize(
    ("error", "sentence", "cause"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left", Cause.NO_SPACE),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no space left", Cause.NO_SPACE),
        (RuntimeError("XMinioStorageFull: Storage full"), "no space left", Cause.NO_SPACE),
        (PermissionError("Access Denied"), "no rights", Cause.NO_STORE),
        (OSError(errno.EROFS, "Read-only file system"), "no rights", Cause.NO_STORE),
        (RuntimeError("Unable to locate credentials"), "no rights", Cause.NO_STORE),
        (TimeoutError(), "cannot be written: TimeoutError", Cause.NO_STORE),
        (FileNotFoundError("The specified bucket does not exist"), "does not exist: The specified", Cause.NO_STORE),
    ],
    ids=str,
)
def test_a_lasting_error_is_one_sentence_whose_trials_are_tried_again(
    flaky: type[Flaky], error: Exception, sentence: str, cause: Cause
) -> None:
    flaky.errors = [error] * 9
    with pytest.raises(StoreError, match=sentence) as caught:
        open_store("flaky://a").write("flaky://a", "file", b"content")
    assert str(caught.value).startswith("the checkpoint store flaky://a ")
    assert "\n" not in str(caught.value)
    assert cause_reported(str(caught.value)) is cause
    assert node_fault(str(caught.value)) is None  # the store is no part of the node


def test_a_driver_that_is_not_installed_is_named() -> None:
    with pytest.raises(StoreError, match=r"folder needs a package that is not installed: .*gcsfs"):
        open_store("gs://bucket/folder")
    with pytest.raises(StoreError, match="nosuch"):
        open_store("nosuch://bucket/folder")


def test_a_server_that_is_away_and_a_bucket_that_does_not_exist(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_MOST_SECONDS", 1.0)
    with pytest.raises(
        StoreError, match=r"s3://no-such-bucket/x does not exist: .*; make it first, or correct --store"
    ):
        probe_store("s3://no-such-bucket/x")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        fsspec.filesystem("s3").clear_instance_cache()
        with pytest.raises(StoreError, match=rf"cannot be written: .*{url}"):
            probe_store(f"{bucket}/x")
    fsspec.filesystem("s3").clear_instance_cache()


def test_a_local_store_loads_no_driver() -> None:
    program = (
        "import sys, trainables.checkpoint_stores as s; s.probe_store(sys.argv[1]); assert 'fsspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, "/tmp"], check=True, timeout=60)
