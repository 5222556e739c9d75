"""The command `meltpoint`. Heavy packages are imported by the command that needs them, so that help is quick."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands import reference
from service.formats import Format
from service.logs import configure_logs
from service.settings import has_settings
from service.terminals import Assign, HomeFlag, Output, Spec, SweepRef, completions, stderr, working

if TYPE_CHECKING:
    from service.settings import Home

app = typer.Typer(
    name="meltpoint",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How deep to thaw a pretrained image classifier, and with which optimizer, dropout and augmentation.",
)

cache = typer.Typer(no_args_is_help=True, help="What the home keeps only to be quicker the next time.")
app.add_typer(cache, name="cache")

EXIT_FAILED, EXIT_USAGE = 1, 2


@app.callback(invoke_without_command=True)
def top(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if version:
        from importlib import metadata

        typer.echo(f"meltpoint {metadata.version('meltpoint')}")
        raise typer.Exit
    from search_spaces.extensions import count_stages_by

    count_stages_by(_count_stages)
    if has_settings() and not {"-h", "--help"} & set(sys.argv[1:]):
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
    configure_logs(debug=_debugging())
    from service.clusters import prestart

    with prestart() as prestarted:
        with working(console, "loading Ray Tune"):
            from service.commands import running
        sys.exit(running.run(loaded, output, place, console, prestarted))


@app.command()
def resume(sweep: SweepRef, assign: Assign = None, output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """Go on with a sweep that was interrupted or paused, from its trials' newest checkpoints."""
    console = stderr()
    place = _home(home)
    configure_logs(debug=_debugging())
    from service.clusters import prestart

    with prestart() as prestarted:
        with working(console, "loading Ray Tune"):
            from service.commands import running
        sys.exit(running.resume(sweep, assign or (), output, place, console, prestarted))


@app.command()
def pause(sweep: SweepRef, home: HomeFlag = None) -> None:
    """Have a running sweep end its trials at their next report, to go on later."""
    _steer(sweep, "pause", home)


@app.command()
def stop(sweep: SweepRef, home: HomeFlag = None) -> None:
    """Have a running sweep start no further trial, and conclude once the running ones have finished."""
    _steer(sweep, "stop", home)


@app.command()
def cancel(sweep: SweepRef, home: HomeFlag = None) -> None:
    """End a sweep at once, for good."""
    _steer(sweep, "cancel", home)


@app.command()
def sync(home: HomeFlag = None) -> None:
    """Send MLflow what it has not taken yet, of every sweep that nobody drives."""
    from service.commands import syncing

    sys.exit(syncing.sync(_home(home), stderr()))


@app.command()
def backup(
    file: Annotated[Path, typer.Option("-f", "--file", help="Where to.")] = Path("meltpoint-backup.zip"),
    home: HomeFlag = None,
) -> None:
    """Write the whole ledger into one file, also while sweeps run. Models, checkpoints and MLflow's store stay."""
    from service.commands import keeping
    from service.settings import Home

    keeping.backup(file, Home.resolve(home), stderr())


@app.command()
def restore(file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")], home: HomeFlag = None) -> None:
    """Put a backup into the ledger of an empty home."""
    from service.commands import keeping

    keeping.restore(file, _home(home), stderr())


def _steer(sweep: str, action: str, home: Path | None) -> None:
    from service.commands import steering
    from service.ledgers import SweepAction
    from service.settings import Home

    sys.exit(steering.steer(sweep, SweepAction(action), Home.resolve(home), stderr()))


@app.command()
def plan(
    spec: Spec,
    assign: Assign = None,
    recipes: Annotated[int, typer.Option("-n", min=1, max=64, help="So many sampled recipes.")] = 5,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Show what a sweep would do: recipes, data, and an estimate of time and memory. Trains nothing."""
    from search_spaces import load_spec
    from service.settings import Home

    loaded = load_spec(spec, assign or ())
    configure_logs(debug=_debugging())
    with working(stderr(), "loading torch"):
        from service.commands import planning
    planning.plan(loaded, recipes, output, Home.resolve(home), stderr())


@app.command()
def ls(output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """List the sweeps, newest first."""
    from service.commands import listing
    from service.settings import Home

    listing.ls(output, Home.resolve(home))


@app.command()
def status(sweep: SweepRef, output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """Show how a sweep stands."""
    from service.commands import listing
    from service.settings import Home

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
    from service.settings import Home

    listing.trials(sweep, top, output, Home.resolve(home))


@app.command()
def compare(one: SweepRef, other: SweepRef, output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """Show what differs between two sweeps: spaces, settings, winners, cost."""
    from service.commands import comparing
    from service.settings import Home

    comparing.compare(one, other, output, Home.resolve(home))


@cache.command("ls")
def cache_ls(output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """List what is cached, the longest unused first."""
    from service.commands import caching
    from service.settings import Home

    caching.ls(output, Home.resolve(home))


@cache.command("prune")
def cache_prune(
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="What was not used for so long, such as 30d.")
    ] = None,
    most: Annotated[
        str | None, typer.Option("--max", metavar="SIZE", help="The longest unused, until the rest fits, such as 10G.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Remove what can be made again; all of it, unless told which. What a sweep uses stays."""
    from service.commands import caching
    from service.settings import Home

    sys.exit(
        caching.prune(older_than=older_than, most=most, dry_run=dry_run, yes=yes, form=output, home=Home.resolve(home))
    )


@app.command()
def doctor(
    ctx: typer.Context,
    start: Annotated[bool, typer.Option("--start", help="Also start Ray, which takes some seconds.")] = False,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Check that this machine can run sweeps; exit code 1 where something prevents it."""
    from service.commands import examining

    source = ctx.get_parameter_source("home")
    typed = source is not None and source.name == "COMMANDLINE"
    sys.exit(examining.doctor(home, typed=typed, start=start, form=output, console=stderr()))


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
    from service.settings import settings

    for sentence in settings.describe_unknown_variables():
        stderr().print(sentence, style="yellow", markup=False, soft_wrap=True)
    values = {name: str(setting.value) for name, setting in settings.read_settings().items()}
    if ledger := values.pop("ledger", ""):
        os.environ.setdefault("MELTPOINT_LEDGER", ledger)

    def mapped(one: Any) -> dict[str, Any]:
        return {name: mapped(inner) for name, inner in one.commands.items()} if hasattr(one, "commands") else values

    return mapped(command)


def _count_stages(backbone: str, folder: Path) -> int:
    """Of the user's own backbone, which is imported, and torch with it, when a file names one."""
    from trainables.architectures import count_stages

    return count_stages(backbone, folder)


def _home(flag: Path | None) -> Home:
    """The home, usable, with the environment that Ray and MLflow read when they are imported."""
    from service.settings import Home, prepare_environment

    home = Home.resolve(flag).create()
    prepare_environment(home)
    return home


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


def script() -> None:
    """`main` as a process of its own, which ends at once.

    Taking torch apart would cost Python seconds, and Ray Tune, asked at the exit, may call a Ray that is gone.
    """
    try:
        main()
    except SystemExit as ended:
        if {"torch", "ray"} & sys.modules.keys() and isinstance(ended.code, int | None):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code or 0)
        raise


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
