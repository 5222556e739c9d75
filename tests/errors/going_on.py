"""Errors of resume, pause and stop, and of backups of the ledger."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from unittest import mock

from search_spaces import Goal
from service.ledgers import Ledger, SweepState
from tests.errors.cases import Case, Section
from tests.errors.folders import Folder
from tests.errors.machines import at_home, two_sweeps

HEAD = "name: cells\ndata: {source: digits}\n"
SPEC = f"{HEAD}space: {{batch_size: {{values: [16, 32]}}}}\nbudget: {{trials: 1}}\n"
LIST = f"{HEAD}search: {{algorithm: points, points: [{{batch_size: 32}}]}}\n"


def sweep_in(*states: SweepState, text: str = SPEC) -> Callable[[Ledger], None]:
    """Return a function that makes a sweep with one trial and moves it through these states."""

    def make(ledger: Ledger) -> None:
        with mock.patch("secrets.token_hex", return_value="7f3a9c"):
            sweep = ledger.sweeps.create(
                name="cells",
                spec_text=text,
                spec_file="sweep.yaml",
                metric="val/loss",
                goal=Goal.MINIMIZE,
                seed=0,
                data={},
                settings={},
            )
        ledger.trials.create(sweep.id, number=0, point={}, recipe={}, identity="", seed=0)
        for state in states:
            ledger.sweeps.move(sweep.id, state)

    return make


COMPLETED = sweep_in(SweepState.RUNNING, SweepState.COMPLETED)
USED_UP = sweep_in(SweepState.RUNNING, SweepState.COMPLETED, text=SPEC.replace("[16, 32]", "[32]"))
LISTED = sweep_in(SweepState.RUNNING, SweepState.COMPLETED, text=LIST)

GOING_ON = Section(
    "Resume, change, pause and stop",
    "The sweep has a budget of one trial.",
    2,
    [
        Case("`meltpoint resume last`, which has completed", at_home("resume", "last", make=COMPLETED)),
        Case("`meltpoint resume last`, which has tried its whole space", at_home("resume", "last", make=USED_UP)),
        Case("`meltpoint resume last`, which has run its whole list", at_home("resume", "last", make=LISTED)),
        Case(
            "`meltpoint resume last --set 'search.points=[{batch_size: 8}]'`, of a list",
            at_home("resume", "last", "--set", "search.points=[{batch_size: 8}]", make=LISTED),
        ),
        Case(
            "`meltpoint resume last --set 'search.points=[{}]'`, of a search",
            at_home("resume", "last", "--set", "search.points=[{}]", make=COMPLETED),
        ),
        Case(
            "`meltpoint resume last --set budget.epochs=9`",
            at_home("resume", "last", "--set", "budget.epochs=9", make=COMPLETED),
        ),
        Case(
            "`meltpoint resume last`, which was cancelled",
            at_home("resume", "last", make=sweep_in(SweepState.CANCELLED)),
        ),
        Case(
            "`meltpoint resume last`, which waits for its turn",
            at_home("resume", "last", make=sweep_in(SweepState.QUEUED)),
        ),
        Case(
            "`meltpoint rm last --yes`, which waits for its turn",
            at_home("rm", "last", "--yes", make=sweep_in(SweepState.QUEUED)),
        ),
        Case("`meltpoint change last`, without a change", at_home("change", "last", make=COMPLETED)),
        Case(
            "`meltpoint change last --set budget.trials=9`, which has completed",
            at_home("change", "last", "--set", "budget.trials=9", make=COMPLETED),
        ),
        Case(
            "`meltpoint change last --set budget.epochs=9`, which waits for its turn",
            at_home("change", "last", "--set", "budget.epochs=9", make=sweep_in(SweepState.QUEUED)),
        ),
        Case("`meltpoint pause last`, which has completed", at_home("pause", "last", make=COMPLETED)),
        Case(
            "`meltpoint stop last`, which is paused",
            at_home("stop", "last", make=sweep_in(SweepState.RUNNING, SweepState.PAUSING, SweepState.PAUSED)),
        ),
    ],
)


def restored(
    make: Callable[[Folder], object], fill: Callable[[Ledger], object] = id
) -> Callable[[Folder], Sequence[str]]:
    """Return a function that prepares `meltpoint restore b.zip`; `fill` writes into the home's ledger before."""

    def made(folder: Folder) -> Sequence[str]:
        make(folder)
        return at_home("restore", "b.zip", make=fill)(folder)

    return made


def of_schema(schema: str) -> Callable[[Folder], object]:
    def make(folder: Folder) -> None:
        with zipfile.ZipFile(folder.path / "b.zip", "w") as archive:
            archive.writestr("about.json", json.dumps({"schema": schema, "rows": {}}))

    return make


def with_ledger(url: str) -> Callable[[Folder], Sequence[str]]:
    def make(folder: Folder) -> Sequence[str]:
        folder.during.enter_context(mock.patch.dict(os.environ, {"MELTPOINT_LEDGER": url}))
        return ["ls", "--home", "home"]

    return make


BACKUPS = Section(
    "Backups, and other ledgers",
    "Commands as typed.",
    1,
    [
        Case("`meltpoint backup -f absent/b.zip`", at_home("backup", "-f", "absent/b.zip", make=two_sweeps)),
        Case(
            "`meltpoint restore b.zip`, which is a letter",
            restored(lambda folder: folder.write("b.zip", "Dear friend")),
        ),
        Case("`meltpoint restore b.zip` of an older version", restored(of_schema("0001"))),
        Case("`meltpoint restore b.zip`, where there are sweeps", restored(of_schema("0004"), two_sweeps)),
        Case("`MELTPOINT_LEDGER=elsewhere meltpoint ls`", with_ledger("elsewhere")),
        Case("`MELTPOINT_LEDGER=oracle://host/x meltpoint ls`", with_ledger("oracle://host/x")),
    ],
)
