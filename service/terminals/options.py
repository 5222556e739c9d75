"""Options and arguments that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from service.errors import UsageError
from service.formats import Format
from service.terminals import completions
from service.terminals.hints import remember_context, remember_home
from trainables.checkpoint_stores import mask_place, read_place

__all__ = ["Assign", "ContextFlag", "HomeFlag", "Output", "Spec", "StoreFlag", "SweepRef"]


def use_store(text: str | None) -> str | None:
    """Set the variable that this process and those that it starts read; the callback of `--store`.

    Raises:
        UsageError: the text names no place, or holds credentials.
    """
    if text:
        try:
            os.environ["MELTPOINT_STORE"] = read_place(text, Path.cwd())
        except ValueError as error:
            raise UsageError(f"--store: {error} ({mask_place(text)})") from None
    return text


Spec = Annotated[
    Path, typer.Argument(metavar="SPEC", help="The sweep file (YAML).", autocompletion=completions.sweep_files)
]
SweepRef = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP", help="An id, a unique prefix, a name, or `last`.", autocompletion=completions.sweeps
    ),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="Format of the data on stdout.")]
HomeFlag = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        callback=remember_home,
        help="The folder of ledger, MLflow store and images. Default: MELTPOINT_HOME, meltpoint.toml or ~/.meltpoint.",
    ),
]
ContextFlag = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        callback=remember_context,
        help="The service to act on: a context's name or an address. Default: see `meltpoint context`.",
        autocompletion=completions.contexts,
    ),
]
StoreFlag = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PLACE",
        callback=use_store,
        help="Keep checkpoints in this folder or URI. Default: MELTPOINT_STORE, meltpoint.toml or the home.",
    ),
]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the sweep file, such as budget.trials=64; may be given again.",
        autocompletion=completions.keys,
    ),
]
