"""`meltpoint completion`: prints typer's scripts, by which a shell asks the command itself for completions."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Final

import typer

from service.terminals import VARIABLE, stderr


class Shell(StrEnum):
    """The shells for which there is a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_HOW: Final = {
    "bash": 'eval "$(meltpoint completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(meltpoint completion zsh)" in ~/.zshrc, after compinit',
    "fish": "meltpoint completion fish > ~/.config/fish/completions/meltpoint.fish",
}


def register_shells() -> None:
    """Make the shells known to typer, without the options that it would add to the command."""
    from typer.completion import get_completion_inspect_parameters

    get_completion_inspect_parameters()


def completion(
    ctx: typer.Context, shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="Your shell.")]
) -> None:
    """Print the script by which a shell completes meltpoint's words."""
    from typer.completion import shell_complete

    register_shells()
    shell_complete(ctx.find_root().command, {}, "meltpoint", VARIABLE, f"source_{shell}")
    if sys.stdout.isatty():
        stderr().print(f"to use it: {_HOW[shell]}", markup=False, soft_wrap=True)
