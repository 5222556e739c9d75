"""`meltpoint completion`: typer's scripts, which ask the command itself what fits."""

from __future__ import annotations

import sys
from typing import Final

import typer
from typer.completion import get_completion_inspect_parameters, shell_complete

from service.terminals import VARIABLE, stderr

__all__ = ["completion", "register_shells"]

_HOW: Final = {
    "bash": 'eval "$(meltpoint completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(meltpoint completion zsh)" in ~/.zshrc, after compinit',
    "fish": "meltpoint completion fish > ~/.config/fish/completions/meltpoint.fish",
}


def register_shells() -> None:
    """Have typer know its shells, without the options that it would add to the command."""
    get_completion_inspect_parameters()


def completion(shell: str, ctx: typer.Context) -> None:
    """Print the script on stdout; where a person reads it, say on stderr how it is used."""
    register_shells()
    shell_complete(ctx.find_root().command, {}, "meltpoint", VARIABLE, f"source_{shell}")
    if sys.stdout.isatty():
        stderr().print(f"to use it: {_HOW[shell]}", markup=False, soft_wrap=True)
