"""`meltpoint ls`, `status` and `trials`: what the ledger says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from search_spaces.documents import format_size
from service.clocks import now_ms
from service.errors import SweepNotFoundError
from service.formats import Format, counted
from service.ledgers import Json, Ledger, Sweep, TrialCounts
from service.reports import Leaderboard
from service.runs import space_taken
from service.runs.leases import mark_interrupted
from service.settings import Home
from service.terminals import print_data, print_table, stderr


def ls(form: Format, home: Home) -> None:
    """Every sweep, newest first."""
    if not home.has_ledger:
        _say_none(form)
        return
    with open_ledger(home) as ledger:
        sweeps = ledger.sweeps.list()
        trial_counts = ledger.sweeps.trial_counts(sweep.id for sweep in sweeps)
        rows = [_summary(sweep, trial_counts.get(sweep.id, TrialCounts())) for sweep in sweeps]
    if not rows:
        _say_none(form)
    elif form is Format.TABLE:
        header = ["sweep", "name", "state", "trials", "metric", "best", "started", "seconds"]
        print_table(header, [_row(row) for row in rows])
    else:
        print_data(rows, form)


def _say_none(form: Format) -> None:
    if form is Format.TABLE:
        stderr().print("no sweeps yet; start one with: meltpoint run SPEC")
    else:
        print_data([], form)


def status(reference: str, form: Format, home: Home) -> None:
    """One sweep: state, counts, best trial, where MLflow shows it."""
    with open_ledger(home) as ledger:
        sweep = ledger.sweeps.find(reference)
        standing = ledger.sweeps.trial_counts([sweep.id]).get(sweep.id, TrialCounts())
        board = Leaderboard.read(ledger, sweep)
        unsent = ledger.outbox.count_unsent(sweep.id)
    files, size = space_taken(home.sweep(sweep.id))
    if form is not Format.TABLE:
        more = {
            "counts": board.counts(),
            "best": board.best_as_json(),
            "error": sweep.error,
            "mlflow": sweep.mlflow,
            "registered": sweep.registered,
            "unsent": unsent,
            "checkpoints": {"files": files, "bytes": size},
            "data": sweep.data,
        }
        print_data(_summary(sweep, standing) | more, form)
        return
    facts = [*_facts(sweep, board), ("checkpoints", f"{counted(files, 'file')}, {format_size(size)}")]
    if unsent:
        facts.append(("unsent", f"{counted(unsent, 'message')} to MLflow; meltpoint sync sends them"))
    print_table(["", ""], facts)
    stderr().print(f"next: meltpoint {'resume' if sweep.state.rests else 'trials'} {sweep.id}")


def _facts(sweep: Sweep, board: Leaderboard) -> Iterator[tuple[str, str]]:
    counts = ", ".join(f"{count} {state}" for state, count in board.counts().items() if count)
    yield from (
        ("sweep", sweep.id),
        ("name", sweep.name),
        ("state", sweep.state.value),
        ("trials", counts or "none yet"),
    )
    if sweep.error:
        yield "reason", sweep.error
    yield from (("failed", line) for line in board.failures())
    if board.best is not None:
        yield "best", f"{board.best.id}  {sweep.metric} {board.best.best_value:.4f}"
        yield from ((f"  {name}", str(value)) for name, value in board.best.recipe.items())
    data = sweep.data
    resized = f"{data['image_size']} px, {data.get('interpolation', 'bilinear')}"
    yield "data", f"{data['name']}, {data['images']} images at {resized}, digest {data['digest'][:12]}"
    yield from (("skipped", f"{name}: {reason}") for name, reason in data.get("skipped", {}).items())
    if sweep.registered:
        yield "registered", sweep.registered["uri"]
    if sweep.mlflow:
        yield "mlflow", f"{sweep.mlflow['tracking_uri']} experiment {sweep.mlflow['experiment_id']}"


def trials(reference: str, top: int | None, form: Format, home: Home) -> None:
    """The leaderboard."""
    with open_ledger(home) as ledger:
        board = Leaderboard.read(ledger, ledger.sweeps.find(reference))
    if form is Format.TABLE:
        print_table(board.header(), board.cells(top))
        for line in board.failures():
            stderr().print(f"failed: {line}", markup=False, soft_wrap=True)
        stderr().print(f"next: meltpoint ui {board.sweep.id}")
    else:
        print_data(board.as_json(top), form)


@contextmanager
def open_ledger(home: Home) -> Iterator[Ledger]:
    """The ledger, which must be there; sweeps whose process ended are marked so."""
    if not home.has_ledger:
        raise SweepNotFoundError(f"no sweeps yet in {home.root}; start one with: meltpoint run SPEC")
    ledger = Ledger.open(home, clock=now_ms)
    try:
        mark_interrupted(ledger, home)
        yield ledger
    finally:
        ledger.close()


def _summary(sweep: Sweep, standing: TrialCounts) -> Json:
    return {
        "sweep_id": sweep.id,
        "name": sweep.name,
        "state": sweep.state.value,
        "trials": sum(standing.states.values()),
        "metric": sweep.metric,
        "best_value": standing.best_value(sweep.goal),
        "started": _iso(sweep.started_at),
        "seconds": sweep.seconds,
    }


def _row(row: Json) -> list[str]:
    best = "" if row["best_value"] is None else f"{row['best_value']:.4f}"
    seconds = "" if row["seconds"] is None else f"{row['seconds']:.0f}"
    return [
        row["sweep_id"],
        row["name"],
        row["state"],
        str(row["trials"]),
        row["metric"],
        best,
        row["started"] or "",
        seconds,
    ]


def _iso(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, tz=UTC).isoformat(timespec="seconds")
