"""`meltpoint rm`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from service.commands.surroundings import open_requests
from service.formats import counted
from service.terminals import ContextFlag, HomeFlag, completions, stderr


def rm(
    sweeps: Annotated[
        list[str],
        typer.Argument(
            metavar="SWEEP...", help="Ids, unique prefixes, names, or `last`.", autocompletion=completions.sweeps
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Delete sweeps with their trials and checkpoints; MLflow keeps its runs and models."""
    console = stderr()
    with open_requests(context, home) as requests:
        chosen = {row.id: row for row in map(requests.find, sweeps)}  # all are found before any is deleted
        names = ", ".join(f"{row.id} ({row.name}, {row.state})" for row in chosen.values())
        if not yes:
            if not sys.stdin.isatty():
                sentence = f"not deleted: {names}; nobody can be asked here, so confirm with --yes"
                console.print(sentence, markup=False, soft_wrap=True)
                sys.exit(2)
            if not typer.confirm(f"delete {counted(len(chosen), 'sweep')}: {names}?", err=True):
                sys.exit(2)
        for sweep_id in chosen:
            requests.delete(sweep_id)
            console.print(f"deleted {sweep_id}", markup=False)
