"""The surroundings of a command: its home, the service that it acts on, the file that it writes, and `--debug`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import SweepNotFoundError, UsageError
from service.settings import Context, Home, choose_context, find_local_service, prepare_environment
from service.terminals import is_home_typed, stderr

if TYPE_CHECKING:
    from service.clients import Connection
    from service.sweeps import SweepRequests

__all__ = [
    "EXIT_NOT_FOUND",
    "check_output_file",
    "chosen_context",
    "exiting_if_not_found",
    "is_debugging",
    "make_home",
    "open_requests",
    "open_service",
    "write_whole",
]

EXIT_NOT_FOUND = 102


def make_home(flag: Path | None) -> Home:
    """Return the home, created if need be, and set the environment that Ray and MLflow read when they are imported."""
    home = Home.resolve(flag).create()
    prepare_environment(home)
    return home


def is_debugging() -> bool:
    """Return if `--debug` was typed, before or behind the command."""
    return "--debug" in sys.argv[1:]


def chosen_context(name: str | None) -> Context | None:
    """Return the service that a command acts on; None if it acts on the home, also because `--home` was typed.

    name: the value of `--context`.
    """
    if not is_home_typed():
        return choose_context(name)
    if name is not None:
        raise UsageError("--context and --home cannot be given together: a command acts on a service or on a home")
    return None


@contextmanager
def open_requests(context: str | None, home: Path | None) -> Iterator[SweepRequests]:
    """Open what a command about sweeps acts on: a service if one is chosen, else the home.

    If the home has no ledger, but a service runs on it, that service has its ledger elsewhere, and is asked.
    """
    chosen, place = chosen_context(context), Home.resolve(home)
    if chosen is None and not place.has_ledger:
        chosen = find_local_service(place)
    if chosen is None:
        from service.sweeps import HomeSweeps

        with HomeSweeps(place) as requests:
            yield requests
        return
    from service.clients.remote_sweeps import RemoteSweeps

    with _connect(chosen) as connection:
        yield RemoteSweeps(connection)


@contextmanager
def open_service(context: str | None, home: Path | None) -> Iterator[Connection]:
    """Open the chosen service, else the service that runs on this home.

    Raises:
        UsageError: no service is chosen, and none runs on this home.
    """
    chosen = chosen_context(context) or find_local_service(Home.resolve(home))
    if chosen is None:
        raise UsageError(
            "no service to act on: sign in to one with `meltpoint login URL`, or start one here with `meltpoint serve`"
        )
    with _connect(chosen) as connection:
        yield connection


@contextmanager
def exiting_if_not_found() -> Iterator[None]:
    """End the process with exit code 102 if the sweep does not exist."""
    try:
        yield
    except SweepNotFoundError as error:
        if is_debugging():
            raise
        stderr().print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(EXIT_NOT_FOUND)


@contextmanager
def _connect(context: Context) -> Iterator[Connection]:
    """Say which service the command acts on, and connect to it."""
    from service.clients import Connection

    console = stderr()
    console.print(f"on {context}", style="dim", markup=False, soft_wrap=True)

    def notice(text: str) -> None:
        console.print(text, style="yellow", markup=False, soft_wrap=True)

    with Connection(context, notice=notice) as connection:
        yield connection


def check_output_file(file: Path, *, force: bool) -> None:
    """Refuse a file that a command cannot write, or must not. force: whether it may write over a file that exists.

    Raises:
        UsageError: the file is a folder, a device or a pipe, its folder does not exist, or it exists without `force`.
    """
    if (file.exists() and not file.is_file()) or not file.absolute().parent.is_dir():
        raise UsageError(f"{file}: not a file that can be written; give a file's name in a folder that exists")
    if file.exists() and not force:
        raise UsageError(f"{file} exists already; --force writes over it")


def write_whole(file: Path, text: str, *, errors: str = "strict") -> None:
    """Write under another name, then rename: a full disk leaves no half of a file.

    errors: what becomes of characters that UTF-8 cannot hold, as `str.encode` takes it.
    """
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", errors=errors)
        partial.replace(file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
