"""`meltpoint export`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from service.commands.surroundings import check_output_file, chosen_context, make_home, open_requests, write_whole
from service.errors import UsageError
from service.formats import RecipeFormat
from service.terminals import ContextFlag, HomeFlag, SweepRef, home_option, print_next, stderr, working

if TYPE_CHECKING:
    from service.exports import RecipeFile

_STDOUT_NAME: Final = "recipe.yaml"
"""Name of the file in the printed command, if the recipe goes to stdout."""


def export(
    sweep: SweepRef,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", metavar="FILE", help="Write to this file, not to stdout.")
    ] = None,
    form: Annotated[
        RecipeFormat,
        typer.Option(
            "--format",
            help="recipe and json are for `meltpoint train`, timm, torchvision and lightning for other programs; "
            "onnx writes the model.",
        ),
    ] = RecipeFormat.RECIPE,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Write a sweep's recipe: hyperparameters for production, how they were chosen, and what to expect of them."""
    if file is not None:
        check_output_file(file, force=force)
    if form is RecipeFormat.ONNX:
        _write_model(sweep, file, context, home)
        return
    from service.exports import format_recipe

    with open_requests(context, home) as requests:
        recipe = requests.recipe(sweep)
    name = shlex.quote(str(file or _STDOUT_NAME))
    recipe = recipe.model_copy(update={"command": f"meltpoint train {name}{home_option()}"})
    text = format_recipe(recipe, form)
    if file is None:
        sys.stdout.write(text)
    else:
        write_whole(file, text)
    _say(recipe)
    if file is not None and form in (RecipeFormat.RECIPE, RecipeFormat.JSON):
        print_next("train", str(file))


def _write_model(sweep: str, file: Path | None, context: str | None, home: Path | None) -> None:
    """Write the sweep's model as an ONNX file; the checkpoints that it is made from lie in the home."""
    if file is None:
        raise UsageError("--format onnx writes a binary file: name it with -f model.onnx")
    if chosen_context(context) is not None:
        raise UsageError(
            "--format onnx needs the sweep's checkpoints: run it on the service's machine with --home, or take the "
            "registered model"
        )
    place, console = make_home(home), stderr()
    from service.sweeps import open_ledger

    with open_ledger(place) as ledger, working(console, "writing the model as ONNX"):
        from service.promotions.onnx_files import export_onnx

        sentences = export_onnx(ledger, place, ledger.sweeps.find(sweep), file)
    for sentence in sentences:
        console.print(sentence, markup=False, soft_wrap=True)


def _say(recipe: RecipeFile) -> None:
    """Say how the recipe was chosen, and what to expect."""
    from service.exports import describe_score, headline

    console = stderr()
    style = "green" if recipe.is_confirmed else "yellow"
    console.print(headline(recipe), style=style, markup=False, soft_wrap=True)
    console.print(f"expected: {describe_score(recipe.score)}", markup=False, soft_wrap=True)
