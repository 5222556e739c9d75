"""`meltpoint train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.surroundings import is_debugging, make_home
from service.formats import Format
from service.logs import configure_logs
from service.terminals import HomeFlag, Output, own_stdout, print_data, print_table, stderr, working

if TYPE_CHECKING:
    from service.trainings import TrainingOutcome

EXIT_NOT_DELIVERED = 4


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe file that `meltpoint export` wrote.")],
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="SOURCE", help="Train on other images, or on the same ones at another place."),
    ] = None,
    full_data: Annotated[
        bool, typer.Option("--full-data", help="Train on all images but test, for as many epochs as were best.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the training. Default: the recipe's.")
    ] = None,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Train by a recipe, outside any sweep, and say whether the score is what the recipe promises."""
    from service.exports import headline, load_recipe
    from service.trainings import TrainingRequest

    file = load_recipe(recipe)
    console = stderr()
    place = make_home(home)
    configure_logs(debug=is_debugging())
    if file.is_as_exported:  # otherwise the training says what was changed
        console.print(headline(file), style="green" if file.is_confirmed else "yellow", markup=False, soft_wrap=True)
    with working(console, "loading torch and MLflow"):
        from service.terminals.training_listener import ConsoleTrainingListener
        from service.trainings.training import train_by_recipe
    request = TrainingRequest(file=file, path=recipe, data=data, full_data=full_data, seed=seed)
    with own_stdout(), ConsoleTrainingListener(console) as listener:
        outcome = train_by_recipe(request, home=place, listener=listener)
    _show(outcome, output)
    sys.exit(EXIT_NOT_DELIVERED if outcome.model_uri is None else 0)


def _show(outcome: TrainingOutcome, output: Format) -> None:
    console = stderr()
    if output is not Format.TABLE:
        print_data(outcome.as_json(), output)
    else:
        names = list(dict.fromkeys(name for score in outcome.scores for name in score.metrics))
        rows = [
            [score.split, str(score.images), *(f"{score.metrics[name]:.4f}" for name in names)]
            for score in outcome.scores
        ]
        print_table(["split", "images", *names], rows)
    promise = outcome.promise
    if not promise.obstacles:  # these were told before the training
        style = {True: "green", False: "red", None: "yellow"}[promise.is_kept]
        console.print(promise.sentence(), style=style, markup=False, soft_wrap=True)
    test = outcome.score_on("test")
    if test is not None and test.interval is not None:
        console.print(
            f"test/accuracy {test.metrics['accuracy']:.4f} of this model, read once; 95 % interval for images like "
            f"these {test.interval.low:.4f} to {test.interval.high:.4f}",
            soft_wrap=True,
        )
    if outcome.model_uri is None:
        console.print(
            f"MLflow has not taken the model: {outcome.tracking_error}; its weights are in {outcome.saved}",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    else:
        console.print(
            f"model {outcome.model_uri} of run {outcome.run_id} in MLflow's experiment {outcome.experiment}",
            markup=False,
            soft_wrap=True,
        )
