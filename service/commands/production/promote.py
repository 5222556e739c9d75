"""`meltpoint promote`."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from service.commands.surroundings import open_requests
from service.formats import Format
from service.terminals import ContextFlag, HomeFlag, Output, SweepRef, print_data, print_next, stderr, working

EXIT_REFUSED, EXIT_KEPT = 1, 4

Alias = Annotated[str, typer.Option("--alias", metavar="ALIAS", help="Alias that people serve from.")]

_STYLES: Final = {"promoted": "green", "unchanged": None, "refused": "red"}


def promote(
    sweep: SweepRef,
    alias: Alias = "champion",
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Registered model; by default that of the sweep's candidate."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Promote also a model that is worse than the present one, or not comparable."),
    ] = False,
    unconfirmed: Annotated[
        bool, typer.Option("--unconfirmed", help="Promote the best model of a search that was not confirmed.")
    ] = False,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Give a sweep's confirmed model an alias that people serve from, unless the present model is better."""
    console = stderr()
    with open_requests(context, home) as requests, working(console, "comparing with the present model"):
        outcome = requests.promote(sweep, alias=alias, model=model, force=force, unconfirmed=unconfirmed)
    if output is not Format.TABLE:
        print_data(outcome.as_json(), output)
    status = outcome.status.value
    console.print(
        f"{status}: {outcome.sentences[0]}", style=_STYLES.get(status, "yellow"), markup=False, soft_wrap=True
    )
    for sentence in outcome.sentences[1:]:
        console.print(sentence, markup=False, soft_wrap=True)
    if status in ("promoted", "unchanged"):
        print_next("models", outcome.model)
        return
    sys.exit(EXIT_REFUSED if status == "refused" else EXIT_KEPT)
