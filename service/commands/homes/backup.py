"""`meltpoint backup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.formats import counted
from service.settings import Home
from service.terminals import HomeFlag, stderr, working


def backup(
    file: Annotated[Path, typer.Option("-f", "--file", help="The file to write.")] = Path("meltpoint-backup.zip"),
    home: HomeFlag = None,
) -> None:
    """Write the whole ledger into one file, also while sweeps run. Models, checkpoints and MLflow's store stay out."""
    from service.sweeps import open_ledger

    console = stderr()
    with open_ledger(Home.resolve(home)) as ledger, working(console, "writing the backup"):
        contents = ledger.backup(file)
    amount = f"{counted(contents['sweeps'], 'sweep')}, {counted(contents['trials'], 'trial')}"
    console.print(f"{file}: {amount}", markup=False, soft_wrap=True)
