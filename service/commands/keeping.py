"""`meltpoint backup` and `restore`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from rich.console import Console

from service.clocks import now_ms
from service.commands.listing import open_ledger
from service.formats import counted
from service.ledgers import Contents, Ledger
from service.settings import Home
from service.terminals import working


def backup(file: Path, home: Home, console: Console) -> None:
    """Raises BackupError where it cannot be written, SweepNotFoundError where there is no ledger."""
    with open_ledger(home) as ledger, working(console, "writing the backup"):
        contents = ledger.backup(file)
    console.print(f"{file}: {_said(contents)}", markup=False, soft_wrap=True)


def restore(file: Path, home: Home, console: Console) -> None:
    """Raises BackupError where it cannot be read or the ledger is not empty."""
    with closing(Ledger.open(home, clock=now_ms)) as ledger, working(console, "reading the backup"):
        contents = ledger.restore(file)
    console.print(f"restored {_said(contents)}", markup=False, soft_wrap=True)
    console.print("next: meltpoint ls")


def _said(contents: Contents) -> str:
    return f"{counted(contents['sweeps'], 'sweep')}, {counted(contents['trials'], 'trial')}"
