"""`meltpoint restore`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from service.clocks import now_ms
from service.commands.surroundings import make_home
from service.formats import counted
from service.terminals import HomeFlag, print_next, stderr, working


def restore(file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")], home: HomeFlag = None) -> None:
    """Put a backup into the ledger of an empty home."""
    from service.ledgers import Ledger

    console = stderr()
    with closing(Ledger.open(make_home(home), clock=now_ms)) as ledger, working(console, "reading the backup"):
        contents = ledger.restore(file)
    amount = f"{counted(contents['sweeps'], 'sweep')}, {counted(contents['trials'], 'trial')}"
    console.print(f"restored {amount}", markup=False, soft_wrap=True)
    print_next("ls")
