"""`meltpoint rm`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from search_spaces.documents import format_size
from service.commands.surroundings import open_requests
from service.errors import UsageError
from service.formats import Format, counted
from service.terminals import ContextFlag, HomeFlag, Output, completions, print_data, print_next, stderr, working

if TYPE_CHECKING:
    from service.ledgers import Json
    from service.sweeps import DeletedSweep, SweepFiles, SweepStatus


def rm(
    sweeps: Annotated[
        list[str],
        typer.Argument(
            metavar="SWEEP...", help="Ids, unique prefixes, names, or `last`.", autocompletion=completions.sweeps
        ),
    ],
    mlflow: Annotated[bool, typer.Option("--mlflow", help="Delete their runs in MLflow too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Delete sweeps with their trials and checkpoints; MLflow keeps its models, and its runs unless asked."""
    console = stderr()
    with open_requests(context, home) as requests:
        chosen = {row.id: row for row in map(requests.find, sweeps)}  # all are found before any is deleted
        for row in chosen.values():
            if row.state.is_under_way:
                raise UsageError(f"{row.id} is {row.state}; end it first with: meltpoint cancel {row.id}")
        for line in _announce({i: (requests.status(i), requests.files(i)) for i in chosen}, mlflow=mlflow):
            console.print(line, markup=False, soft_wrap=True)
        names = ", ".join(chosen)
        if not yes:
            if not sys.stdin.isatty():
                sentence = f"not deleted: {names}; nobody can be asked here, so confirm with --yes"
                console.print(sentence, markup=False, soft_wrap=True)
                sys.exit(2)
            if not typer.confirm(f"delete {counted(len(chosen), 'sweep')}: {names}?", err=True):
                sys.exit(2)
        deleted = []
        for sweep_id in chosen:
            with working(console, f"deleting {sweep_id}"):
                deleted.append(requests.delete(sweep_id, with_runs=mlflow))
            console.print(_outcome(deleted[-1]), markup=False, soft_wrap=True)
        if output is not Format.TABLE:
            print_data([_as_json(result) for result in deleted], output)
        elif not requests.is_remote:
            print_next("cache", "ls")


def _announce(sweeps: Mapping[str, tuple[SweepStatus, SweepFiles]], *, mlflow: bool) -> Iterator[str]:
    """Yield what would be deleted of each sweep, and what stays."""
    models = []
    for status, files in sweeps.values():
        sweep = status.sweep
        trials = counted(status.trial_counts.total, "trial")
        yield f"{sweep.id} ({sweep.name}, {sweep.state}): {trials}, {_sizes(files)}"
        if status.unsent:
            yield f"{sweep.id}: {counted(status.unsent, 'message')} that MLflow has not taken would be lost"
        if sweep.registered:
            models.append(f"{sweep.registered['uri']} (version {sweep.registered['version']})")
    kept = [] if mlflow else ["its runs in MLflow (--mlflow deletes them too)"]
    kept += [f"registered {model}" for model in models]
    yield f"stays: {', '.join([*kept, 'cached images and activations, which other sweeps may use'])}"


def _sizes(files: SweepFiles) -> str:
    parts = [f"{counted(files.checkpoints, 'checkpoint')} with {format_size(files.checkpoint_bytes)}"]
    if files.prediction_bytes:
        parts.append(f"predictions with {format_size(files.prediction_bytes)}")
    if files.other_bytes:
        parts.append(f"logs with {format_size(files.other_bytes)}")
    if files.unlisted:
        parts.append(f"and more that was not counted: {files.unlisted}")
    return ", ".join(parts)


def _outcome(deleted: DeletedSweep) -> str:
    text = f"deleted {deleted.sweep.id}: {format_size(deleted.files.total_bytes)} freed"
    if deleted.runs_deleted or deleted.runs_kept:
        text += f", {counted(deleted.runs_deleted, 'run')} deleted in MLflow, whose files `mlflow gc` removes"
    if deleted.runs_kept:
        text += f", {deleted.runs_kept} kept, from which a registered model comes"
    return text


def _as_json(deleted: DeletedSweep) -> Json:
    sweep = deleted.sweep
    return {
        "sweep_id": sweep.id,
        "name": sweep.name,
        "state": sweep.state.value,
        "bytes": deleted.files.total_bytes,
        "files": deleted.files.as_json(),
        "mlflow_runs": {"deleted": deleted.runs_deleted, "kept": deleted.runs_kept},
        "registered": sweep.registered,
    }
