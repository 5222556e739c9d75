"""Commands that tell what there is, and help to write a sweep file; none of them needs a home."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from service.formats import Format
from service.terminals import Assign, Output, completions, stderr

app = typer.Typer()

PANEL = "Write a sweep file"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command(rich_help_panel=PANEL)
def init(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write it.", autocompletion=completions.sweep_files)
    ] = Path("sweep.yaml"),
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH|NAME", help="An image folder, a manifest, or a data set.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Write a commented sweep file that runs as it is, and its schema for editors."""
    from service.commands import starting

    starting.init(file, data, force=force, form=output, console=stderr())


@app.command(rich_help_panel=PANEL)
def spaces(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|SPEC", help="A shipped space, or a sweep file.", autocompletion=completions.spaces
        ),
    ] = None,
    assign: Assign = None,
    output: Output = Format.TABLE,
) -> None:
    """List the shipped spaces, or what a space comes to, entry by entry."""
    from service.commands import inspecting

    inspecting.spaces(name, assign or (), output)


@app.command(rich_help_panel=PANEL)
def backbones(
    pattern: Annotated[
        str | None,
        typer.Argument(metavar="PATTERN", help="Part of a name, or a glob.", autocompletion=completions.backbones),
    ] = None,
    family: Annotated[str | None, typer.Option("--family", help="Only of this family.")] = None,
    at_hand: Annotated[bool, typer.Option("--at-hand", help="Only those whose weights need no download.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """List the backbones: stages, cost, image sizes, and whether weights are at hand."""
    from service.commands import cataloguing

    cataloguing.backbones(pattern, family=family, at_hand=at_hand, form=output)


@app.command(rich_help_panel=PANEL)
def explain(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Without it every name is listed.", autocompletion=completions.topics),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Explain a name: of a recipe, an optimizer, a backbone, a space, a metric, an augmentation, a sweep-file key."""
    from service.commands import explaining

    explaining.explain(name, output)


@app.command(rich_help_panel=PANEL)
def schema() -> None:
    """Print the sweep file's JSON Schema."""
    from service.commands import starting

    starting.schema()


@app.command(rich_help_panel=PANEL)
def completion(
    ctx: typer.Context, shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="Your shell.")]
) -> None:
    """Print the script by which a shell completes meltpoint's words."""
    from service.commands import completing

    completing.completion(shell, ctx)
