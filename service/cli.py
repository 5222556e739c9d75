"""The command `meltpoint`. Heavy packages are imported by the command that needs them, so that help is quick."""

from __future__ import annotations

import logging
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service import completions, reference
from service.options import Assign, HomeFlag, Output, Spec, SweepRef
from service.outputs import Format, stderr, working
from service.setting_places import any_given

if TYPE_CHECKING:
    from service.homes import Home

app = typer.Typer(
    name="meltpoint",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How deep to thaw a pretrained image classifier, and with which optimizer, dropout and augmentation.",
)

EXIT_FAILED, EXIT_USAGE = 1, 2


@app.callback(invoke_without_command=True)
def top(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if version:
        typer.echo(f"meltpoint {metadata.version('meltpoint')}")
        raise typer.Exit
    if any_given() and not {"-h", "--help"} & set(sys.argv[1:]):
        ctx.default_map = _defaults_from_settings(ctx.command)


@app.command()
def validate(spec: Spec, assign: Assign = None, output: Output = Format.TABLE) -> None:
    """Check a sweep file: every error at once."""
    from service.commands import validating

    validating.validate(spec, output, assign=assign or ())


@app.command()
def run(spec: Spec, assign: Assign = None, output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """Run a sweep here, with live progress, and print its leaderboard."""
    from search_spaces import load_spec

    console = stderr()
    loaded = load_spec(spec, assign or ())
    place = _home(home)
    _quieten()
    with working(console, "loading torch, Ray and MLflow"):
        from service.commands import running
    sys.exit(running.run(loaded, output, place, console))


@app.command()
def ls(output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """List the sweeps, newest first."""
    from service.commands import listing
    from service.homes import Home

    listing.ls(output, Home.resolve(home))


@app.command()
def status(sweep: SweepRef, output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """Show how a sweep stands."""
    from service.commands import listing
    from service.homes import Home

    listing.status(sweep, output, Home.resolve(home))


@app.command()
def trials(
    sweep: SweepRef,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Only the best so many.")] = None,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Print a sweep's leaderboard."""
    from service.commands import listing
    from service.homes import Home

    listing.trials(sweep, top, output, Home.resolve(home))


@app.command()
def ui(
    sweep: Annotated[
        str | None,
        typer.Argument(metavar="SWEEP", help="Open this sweep's prepared view.", autocompletion=completions.sweeps),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 5000,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    home: HomeFlag = None,
) -> None:
    """Serve MLflow's UI on loopback until Ctrl-C."""
    from service.commands import browsing

    sys.exit(browsing.ui(sweep, port=port, browser=browser, home=_home(home), console=stderr()))


app.add_typer(reference.app)


def _defaults_from_settings(command: Any) -> dict[str, Any]:
    """What the settings give as defaults to the options of every command, as click's `default_map` takes it."""
    from service import settings

    for sentence in settings.unknown_variables():
        stderr().print(sentence, style="yellow", markup=False, soft_wrap=True)
    values = {name: str(setting.value) for name, setting in settings.given().items()}

    def mapped(one: Any) -> dict[str, Any]:
        return {name: mapped(inner) for name, inner in one.commands.items()} if hasattr(one, "commands") else values

    return mapped(command)


def _home(flag: Path | None) -> Home:
    """The home, usable, with the environment that Ray and MLflow read when they are imported."""
    from service.environments import prepare_environment
    from service.homes import Home

    home = Home.resolve(flag).create()
    prepare_environment(home)
    return home


def _quieten() -> None:
    """Ray, MLflow and alembic log in their own formats; what a user must know, we say. `--debug` lets them speak."""
    if _debugging():
        logging.basicConfig(level=logging.INFO)
    else:
        for name in ("ray", "ray.tune", "mlflow", "alembic", "torch", "optuna"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _debugging() -> bool:
    return "--debug" in sys.argv[1:]


def main() -> None:
    """Entry point: one clear message for what went wrong, a traceback only with `--debug`."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    if completions.VARIABLE in os.environ:
        from service.commands import completing

        completing.register_shells()
    try:
        app(args=arguments, prog_name="meltpoint")
    except Exception as error:
        if _debugging():
            raise
        sys.exit(report(error))


def report(error: Exception) -> int:
    """Print the error for a user; returns the exit code."""
    from search_spaces import MeltpointError, SpecError
    from service.errors import UsageError

    console = stderr()
    if isinstance(error, MeltpointError):
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return EXIT_USAGE if isinstance(error, SpecError | UsageError) else EXIT_FAILED
    text = f"unexpected {type(error).__name__}: {error}\nrun again with --debug for the traceback"
    console.print(text, style="red", markup=False, soft_wrap=True)
    return EXIT_FAILED
