"""Errors of confirm, promote, rollback and models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from unittest import mock

from service.ledgers import Ledger, SweepState
from tests.errors.cases import Case, Section
from tests.errors.folders import Folder
from tests.errors.going_on import sweep_in
from tests.errors.machines import at_home
from tests.errors.production import with_failed_trials
from tests.service.confirmations.searched_sweeps import SearchedSweep

_CONFIRMED_WITHOUT_IMAGES = """
name: cells
data: {source: cells, split: {confirm: 0}}
space: {dropout.rate: {min: 0.0, max: 0.5}}
confirm: {seeds: 4}
"""
_ONE_SEED = """
name: cells
data: {source: cells}
space: {dropout.rate: {min: 0.0, max: 0.5}}
confirm: {seeds: 1}
"""


def validating(text: str) -> Callable[[Folder], Sequence[str]]:
    """Return a function that writes a sweep file and validates it."""

    def make(folder: Folder) -> Sequence[str]:
        folder.write("sweep.yaml", text)
        return ["validate", "sweep.yaml"]

    return make


def paused(ledger: Ledger) -> None:
    sweep_in(SweepState.RUNNING)(ledger)
    sweep = ledger.sweeps.find("last")
    ledger.sweeps.move(sweep.id, SweepState.PAUSING)
    ledger.sweeps.move(sweep.id, SweepState.PAUSED)


def _searched(ledger: Ledger, chances: dict[float, float]) -> SearchedSweep:
    with mock.patch("secrets.token_hex", return_value="7f3a9c"):
        return SearchedSweep(ledger, chances)


def with_the_default_alone(ledger: Ledger) -> None:
    _searched(ledger, {0.0: 0.8})


def without_confirmation_images(ledger: Ledger) -> None:
    searched = _searched(ledger, {0.0: 0.8, 0.25: 0.9})
    data = searched.sweep.data
    for counts in data["classes"].values():
        counts["confirm"] = 0
    ledger.sweeps.note(searched.sweep.id, data=data)


def searched(ledger: Ledger) -> None:
    _searched(ledger, {0.0: 0.8, 0.25: 0.9})


CONFIRMATIONS = Section(
    "Confirm and promote",
    "The sweep's search has ended with several recipes, unless a row says more.",
    2,
    [
        Case("a sweep file with `confirm`, and no images for it", validating(_CONFIRMED_WITHOUT_IMAGES)),
        Case("a sweep file with `confirm: {seeds: 1}`", validating(_ONE_SEED)),
        Case("`meltpoint confirm last`, which runs", at_home("confirm", "last", make=sweep_in(SweepState.QUEUED))),
        Case("`meltpoint confirm last`, which is paused", at_home("confirm", "last", make=paused)),
        Case(
            "`meltpoint confirm last`, which was cancelled",
            at_home("confirm", "last", make=sweep_in(SweepState.CANCELLED)),
        ),
        Case("`meltpoint promote last --alias latest`", at_home("promote", "last", "--alias", "latest", make=searched)),
        Case(
            "`meltpoint promote last --alias candidate`",
            at_home("promote", "last", "--alias", "candidate", make=searched),
        ),
        Case("`meltpoint promote last --alias 'a b'`", at_home("promote", "last", "--alias", "a b", make=searched)),
        Case("`meltpoint promote last`, whose checkpoints are gone", at_home("promote", "last", make=searched)),
        Case(
            "`meltpoint promote last`, which waits for its turn",
            at_home("promote", "last", make=sweep_in(SweepState.QUEUED)),
        ),
        Case("`meltpoint export last --format onnx`", at_home("export", "last", "--format", "onnx", make=searched)),
        Case(
            "`meltpoint trials last --pareto` of a sweep with one metric",
            at_home("trials", "last", "--pareto", make=searched),
        ),
    ],
)

UNCONFIRMABLE = Section(
    "Sweeps that cannot be confirmed, models that cannot go back",
    "The sweep's search has ended with several recipes, unless a row says more.",
    1,
    [
        Case(
            "`meltpoint confirm last`; its images have changed since its search",
            at_home("confirm", "last", make=searched),
        ),
        Case("`meltpoint confirm last`; both trials have failed", at_home("confirm", "last", make=with_failed_trials)),
        Case(
            "`meltpoint confirm last`; only the default has finished",
            at_home("confirm", "last", make=with_the_default_alone),
        ),
        Case(
            "`meltpoint confirm last`; its split has no confirmation images",
            at_home("confirm", "last", make=without_confirmation_images),
        ),
        Case("`meltpoint rollback cells` before any promotion", at_home("rollback", "cells", make=searched)),
    ],
)
