"""`meltpoint ls`, `status` and `trials`: what the ledger says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from service.clocks import now_ms
from service.homes import Home
from service.leaderboards import Leaderboard
from service.ledgers import Ledger
from service.outputs import Format, print_data, print_table, stderr
from service.records import Json, Sweep


def ls(form: Format, home: Home) -> None:
    """Every sweep, newest first."""
    with _open(home) as ledger:
        rows = [_summary(ledger, sweep) for sweep in ledger.sweeps()]
    if form is not Format.TABLE:
        print_data(rows, form)
    elif rows:
        header = ["sweep", "name", "state", "trials", "metric", "best", "started", "seconds"]
        print_table(header, [_row(row) for row in rows])
    else:
        stderr().print("no sweeps yet; start one with: meltpoint run SPEC")


def status(reference: str, form: Format, home: Home) -> None:
    """One sweep: state, counts, best trial, where MLflow shows it."""
    with _open(home) as ledger:
        sweep = ledger.find_sweep(reference)
        board = Leaderboard.read(ledger, sweep)
        summary = _summary(ledger, sweep) | {
            "counts": board.counts(),
            "best": board.best
            and {
                "trial_id": board.best.id,
                "metrics": board.metrics(board.best),
                "recipe": board.best.recipe,
            },
            "error": sweep.error,
            "mlflow": sweep.mlflow,
            "registered": sweep.registered,
            "unsent": len(ledger.waiting(sweep_id=sweep.id, limit=10_000)),
            "data": sweep.data,
        }
    if form is not Format.TABLE:
        print_data(summary, form)
        return
    counts = ", ".join(f"{count} {state}" for state, count in summary["counts"].items() if count) or "none yet"
    lines = [("sweep", sweep.id), ("name", sweep.name), ("state", sweep.state.value), ("trials", counts)]
    lines += [("error", sweep.error)] if sweep.error else []
    if board.best is not None:
        lines += [("best", f"{board.best.id}  {sweep.metric} {board.best.best_value:.4f}")]
        lines += [(f"  {name}", str(value)) for name, value in board.best.recipe.items()]
    data = sweep.data
    lines += [
        (
            "data",
            f"{data['name']}, {data['images']} images at {data['image_size']} px, digest {data['digest'][:12]}",
        )
    ]
    lines += [("registered", sweep.registered["uri"])] if sweep.registered else []
    lines += (
        [("mlflow", f"{sweep.mlflow['tracking_uri']} experiment {sweep.mlflow['experiment_id']}")]
        if sweep.mlflow
        else []
    )
    lines += [("unsent", f"{summary['unsent']} messages to MLflow wait")] if summary["unsent"] else []
    print_table(["", ""], lines)
    stderr().print(f"next: meltpoint trials {sweep.id}")


def trials(reference: str, top: int | None, form: Format, home: Home) -> None:
    """The leaderboard."""
    with _open(home) as ledger:
        board = Leaderboard.read(ledger, ledger.find_sweep(reference))
    if form is Format.TABLE:
        print_table(board.header(), board.cells(top))
        stderr().print(f"next: meltpoint ui {board.sweep.id}")
    else:
        print_data(board.as_json(top), form)


@contextmanager
def _open(home: Home) -> Iterator[Ledger]:
    ledger = Ledger.at(home.create().ledger, clock=now_ms)
    try:
        yield ledger
    finally:
        ledger.close()


def _summary(ledger: Ledger, sweep: Sweep) -> Json:
    board = Leaderboard.read(ledger, sweep)
    return {
        "sweep_id": sweep.id,
        "name": sweep.name,
        "state": sweep.state.value,
        "trials": len(board.trials),
        "metric": sweep.metric,
        "best_value": board.best.best_value if board.best else None,
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
