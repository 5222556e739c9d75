"""The command `meltpoint`. Heavy packages are imported by the command that needs them, so that help is quick."""

from __future__ import annotations

import logging
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from service.homes import Home
from service.outputs import Format, stderr, working

app = typer.Typer(
    name="meltpoint",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How deep to thaw a pretrained image classifier, and with which optimizer, dropout and augmentation.",
)

Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="The sweep file (YAML).")]
SweepRef = Annotated[str, typer.Argument(metavar="SWEEP", help="An id, a unique prefix, a name, or `last`.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="Format of what is printed on stdout.")]
HomeFlag = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Ledger, MLflow store, images. Else MELTPOINT_HOME, else ~/.meltpoint."),
]

EXIT_FAILED, EXIT_USAGE = 1, 2


@app.callback(invoke_without_command=True)
def top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if version:
        typer.echo(f"meltpoint {metadata.version('meltpoint')}")
        raise typer.Exit
    from search_spaces.own_backbones import count_stages_by

    count_stages_by(_count_stages)


@app.command()
def validate(spec: Spec, output: Output = Format.TABLE) -> None:
    """Check a sweep file: every error at once."""
    from service.commands import validating

    validating.validate(spec, output)


@app.command()
def run(spec: Spec, output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """Run a sweep here, with live progress, and print its leaderboard."""
    from search_spaces import load_spec

    console = stderr()
    loaded = load_spec(spec)
    place = _home(home)
    _quieten()
    with working(console, "loading torch, Ray and MLflow"):
        from service.commands import running
    sys.exit(running.run(loaded, output, place, console))


@app.command()
def ls(output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """List the sweeps, newest first."""
    from service.commands import listing

    listing.ls(output, Home.resolve(home))


@app.command()
def status(sweep: SweepRef, output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """Show how a sweep stands."""
    from service.commands import listing

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

    listing.trials(sweep, top, output, Home.resolve(home))


@app.command()
def ui(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="Open this sweep's prepared view.")] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 5000,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    home: HomeFlag = None,
) -> None:
    """Serve MLflow's UI on loopback until Ctrl-C."""
    from service.commands import browsing

    sys.exit(browsing.ui(sweep, port=port, browser=browser, home=_home(home), console=stderr()))


def _count_stages(backbone: str, folder: Path) -> int:
    """Of the user's own backbone, which is imported, and torch with it, when a file names one."""
    from trainables.own_backbones import count_stages

    return count_stages(backbone, folder)


def _home(flag: Path | None) -> Home:
    """The home, usable, with the environment that Ray and MLflow read when they are imported."""
    from service.environments import prepare_environment

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
    try:
        app(args=arguments, prog_name="meltpoint")
    except Exception as error:
        if _debugging():
            raise
        sys.exit(report(error))


def report(error: Exception) -> int:
    """Print the error for a user; returns the exit code."""
    from search_spaces import MeltpointError, SpecError

    console = stderr()
    if isinstance(error, MeltpointError):
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return EXIT_USAGE if isinstance(error, SpecError) else EXIT_FAILED
    text = f"unexpected {type(error).__name__}: {error}\nrun again with --debug for the traceback"
    console.print(text, style="red", markup=False, soft_wrap=True)
    return EXIT_FAILED
