"""`meltpoint rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.commands.production.promote import Alias
from service.commands.surroundings import open_requests
from service.terminals import ContextFlag, HomeFlag, print_next, stderr

ModelName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the registered model.")]


def rollback(name: ModelName, alias: Alias = "champion", context: ContextFlag = None, home: HomeFlag = None) -> None:
    """Give an alias back to the version that had it before; twice goes back two promotions."""
    with open_requests(context, home) as requests:
        move = requests.rollback(name, alias=alias)
    before = "" if move.previous is None else f", no longer version {move.previous}"
    source = "" if move.trial_id is None else f", the model of {move.trial_id}"
    console = stderr()
    console.print(
        f"{move.model}@{move.alias} is version {move.version} now{source}{before}", markup=False, soft_wrap=True
    )
    print_next("models", move.model)
