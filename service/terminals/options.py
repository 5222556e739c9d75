"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.formats import Format
from service.terminals import completions

__all__ = ["Assign", "HomeFlag", "Output", "Spec", "SweepRef"]

Spec = Annotated[
    Path, typer.Argument(metavar="SPEC", help="The sweep file (YAML).", autocompletion=completions.sweep_files)
]
SweepRef = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP", help="An id, a unique prefix, a name, or `last`.", autocompletion=completions.sweeps
    ),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="Format of what is printed on stdout.")]
HomeFlag = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Ledger, MLflow store, images. Else MELTPOINT_HOME, else meltpoint.toml, else ~/.meltpoint.",
    ),
]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Put a value in the sweep file's place, such as budget.trials=64; may be given again.",
        autocompletion=completions.keys,
    ),
]
