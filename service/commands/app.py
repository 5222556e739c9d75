"""The command `meltpoint`: joins the commands, and reports errors.

Command files import heavy packages inside their functions, so that `--help` is quick.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from service.commands.files import backbones, explain, init, manifest, plan, schema, spaces, validate
from service.commands.homes import backup, cache, completion, doctor, restore, sync, ui
from service.commands.option_errors import PlainGroup
from service.commands.production import confirm, export, models, promote, rollback, train
from service.commands.services import context, login, migrate, node, queue, serve, token, user
from service.commands.surroundings import is_debugging
from service.commands.sweeps import (
    cancel,
    change,
    compare,
    logs,
    ls,
    pause,
    resume,
    rm,
    run,
    status,
    stop,
    submit,
    trials,
    watch,
)
from service.commands.sweeps import report as report_command
from service.settings import has_settings
from service.terminals import completions, repeat_options, stderr

EXIT_FAILED, EXIT_USAGE = 1, 2

USE_A_SERVICE: Final = "Use a service"

PANELS: Final[dict[str, tuple[Callable[..., None], ...]]] = {
    "Write a sweep file": (
        init.init,
        manifest.manifest,
        validate.validate,
        plan.plan,
        spaces.spaces,
        backbones.backbones,
        explain.explain,
        schema.schema,
    ),
    "Run sweeps and look at them": (
        run.run,
        pause.pause,
        stop.stop,
        cancel.cancel,
        resume.resume,
        change.change,
        ls.ls,
        status.status,
        trials.trials,
        report_command.report,
        compare.compare,
        watch.watch,
        logs.logs,
        rm.rm,
    ),
    "Take a sweep's result into production": (
        confirm.confirm,
        export.export,
        train.train,
        promote.promote,
        rollback.rollback,
        models.models,
    ),
    USE_A_SERVICE: (
        login.login,
        context.context,
        submit.submit,
        queue.queue,
    ),
    "Run a service": (serve.serve, migrate.migrate, node.node),
    "Keep the home and the machine in order": (
        ui.ui,
        sync.sync,
        doctor.doctor,
        backup.backup,
        restore.restore,
        completion.completion,
    ),
}
"""The commands by the panel of `--help` that shows them."""

app = typer.Typer(
    name="meltpoint",
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How deep to thaw a pretrained image classifier, and with which optimizer, dropout and augmentation.",
)
for _panel, _commands in PANELS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.add_typer(token.token, name="token", rich_help_panel=USE_A_SERVICE)
app.add_typer(user.user, name="user", rich_help_panel=USE_A_SERVICE)
app.add_typer(cache.cache, name="cache", rich_help_panel=[*PANELS][-1])


@app.callback(invoke_without_command=True)
def top(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Prepare for any command: settings become defaults of options, and own backbones can be counted."""
    if version:
        from importlib import metadata

        typer.echo(f"meltpoint {metadata.version('meltpoint')}")
        raise typer.Exit
    from search_spaces.extensions import count_stages_by

    count_stages_by(_count_stages)
    if has_settings() and not {"-h", "--help"} & set(sys.argv[1:]):
        ctx.default_map = _defaults_from_settings(ctx.command)


def _defaults_from_settings(command: Any) -> dict[str, Any]:
    """Return the settings as defaults for the options of every command, in the form of click's `default_map`."""
    from service.settings import settings

    for sentence in settings.describe_unknown_variables():
        stderr().print(sentence, style="yellow", markup=False, soft_wrap=True)
    values = {name: str(setting.value) for name, setting in settings.read_settings().items()}
    for name in ("service", "token"):  # `choose_context` reads them: they are no options
        values.pop(name, None)
    if ledger := values.pop("ledger", ""):
        os.environ.setdefault("MELTPOINT_LEDGER", ledger)
    if migrates := values.pop("migrate", ""):
        os.environ["MELTPOINT_MIGRATE"] = migrates.lower()
    if store := values.pop("store", ""):
        os.environ["MELTPOINT_STORE"] = store  # as an absolute path, if it is one

    def mapped(inner: Any) -> dict[str, Any]:
        if not hasattr(inner, "commands"):
            return values
        return {name: mapped(subcommand) for name, subcommand in inner.commands.items()}

    return mapped(command)


def _count_stages(backbone: str, folder: Path) -> int:
    """Count the stages of a user's own backbone; this imports the backbone, and torch with it."""
    from trainables.architectures import count_stages

    return count_stages(backbone, folder)


def main() -> None:
    """Run a command; an error becomes one clear message, with a traceback only if `--debug` is given."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    if completions.VARIABLE in os.environ:
        completion.register_shells()
    try:
        app(args=arguments, prog_name="meltpoint")
    except Exception as error:
        if is_debugging():
            raise
        sys.exit(report(error))


def script() -> None:
    """Run `main` as a process of its own, and end the process without Python's clean-up.

    The clean-up of torch takes seconds, and that of Ray Tune may call a Ray that is gone.
    """
    try:
        main()
    except SystemExit as error:
        if {"torch", "ray"} & sys.modules.keys() and isinstance(error.code, int | None):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(error.code or 0)
        raise


def report(error: Exception) -> int:
    """Print the error for a user; return the exit code."""
    from search_spaces import SpecError
    from service.errors import UsageError

    message = _message(error) or (
        f"unexpected {type(error).__name__}: {error}\n"
        "this is a defect of Meltpoint; run again with --debug for the traceback"
    )
    stderr().print(repeat_options(message), style="red", markup=False, soft_wrap=True)
    return EXIT_USAGE if isinstance(error, SpecError | UsageError) else EXIT_FAILED


def _message(error: Exception) -> str | None:
    """Return what a user can act on; None if the error is a defect of Meltpoint."""
    from search_spaces import MeltpointError

    if isinstance(error, MeltpointError):
        return str(error)
    if isinstance(error, OSError):
        place = "" if error.filename is None else f"{error.filename}: "
        return f"{place}{error.strerror or error}"
    if "sqlalchemy" in sys.modules:
        from sqlalchemy.exc import DBAPIError

        if isinstance(error, DBAPIError):
            return f"the ledger cannot be read or written: {error.orig}"
    if "trainables.processes" in sys.modules:
        from trainables.processes import ForkedError

        if isinstance(error, ForkedError):
            return str(error)
    return None
