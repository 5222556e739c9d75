"""Scenarios of `selection.py`: a set, a search and a default, each over many drawn sweeps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from selection_curves import Curves
from selection_rules import (
    Pick,
    SearchedSweep,
    pick_argmax,
    pick_argmax_over_seeds,
    pick_confirmed,
    pick_one_standard_error,
    training_cost,
)
from selection_sweeps import (
    DrawnPoints,
    Draws,
    SearchResult,
    SearchSettings,
    StoredSpace,
    quantile_default,
    search,
    shipped_default,
)

from service.confirmations import ConfirmRule

WAYS: Final = ("argmax", "argmax over seeds", "one standard error", "confirmed")
DEFAULTS: Final = ("50 %", "90 %", "shipped")
Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A scenario; `default` is better than so many of the recipes, or the shipped one."""

    set_name: str
    search: SearchSettings
    default: str

    @property
    def name(self) -> str:
        """The words of the table, also the stem of the file of results."""
        stopping = "" if self.search.scheduler == "none" else f"+{self.search.scheduler}"
        return f"{self.set_name} {self.search.searcher}{stopping} {self.search.trials} default {self.default}"

    @property
    def file(self) -> str:
        """The name of the file of results."""
        return self.name.replace(" ", "-").replace("-%", "") + ".npz"


def searches(trials: Sequence[int], tpe_trials: Sequence[int]) -> list[SearchSettings]:
    """Return the searches of a set, those with fewer trials first."""
    kinds = [("random", "none", trials), ("random", "asha", trials), ("tpe", "none", tpe_trials)]
    settings = [
        SearchSettings(searcher=searcher, scheduler=scheduler, trials=count)
        for searcher, scheduler, counts in kinds
        for count in counts
    ]
    return sorted(settings, key=lambda settings: settings.trials)


def find_default(curves: Curves, name: str) -> int:
    """Return the recipe that a scenario's default names."""
    return (
        shipped_default(curves) if name == "shipped" else quantile_default(curves, int(name.removesuffix(" %")) / 100)
    )


def simulate(
    curves: Curves, draws: Draws, scenario: Scenario, searched: Sequence[SearchResult], rule: ConfirmRule
) -> dict[str, Values]:
    """Pick a recipe in each way after each search of a scenario; return a row for each sweep.

    Keys: `default`, `best` (the accuracy of the best recipe of the search), for each way its recipe's accuracy
    and `retrainings WAY`, for the confirmed recipe `low`, `high` and `won`, and for each finalist its true difference
    `true`, and `raw`, `optimism`, `variance`, `df` as decided, (sweeps, finalists).
    """
    row = find_default(curves, scenario.default)
    costs = [training_cost(recipe) for recipe in curves.recipes]
    identities = [recipe.identity for recipe in curves.recipes]
    results: dict[str, list[object]] = {}
    for number, result in enumerate(searched):
        sweep = SearchedSweep(
            curves=curves,
            draws=draws,
            number=number,
            result=result,
            default=row,
            costs=costs,
            identities=identities,
        )
        for key, value in _compare(sweep, rule).items():
            results.setdefault(key, []).append(value)
    return {key: np.array(values, dtype=np.float64) for key, values in results.items()}


def run_searches(
    curves: Curves, draws: Draws, scenarios: Sequence[Scenario], folder: Path
) -> Iterator[tuple[Scenario, list[SearchResult]]]:
    """Yield the searches of all sweeps of scenarios with the same search; those stored in `folder` are read."""
    spaces = {
        scenario: StoredSpace(curves, find_default(curves, scenario.default))
        for scenario in scenarios
        if not (folder / scenario.file).exists()
    }
    searched: dict[Scenario, list[SearchResult]] = {scenario: [] for scenario in spaces}
    for number, values in enumerate(draws.curves if spaces else ()):
        seed = int.from_bytes(hashlib.sha256(f"{number}".encode()).digest()[:4], "big")
        drawn: DrawnPoints = {}
        for scenario, space in spaces.items():
            searched[scenario].append(search(space, values, scenario.search, seed=seed, drawn=drawn))
    folder.mkdir(parents=True, exist_ok=True)
    for scenario, results in searched.items():
        SearchResult.write(folder / scenario.file, results)
    for scenario in scenarios:
        yield scenario, SearchResult.read(folder / scenario.file)


def _compare(sweep: SearchedSweep, rule: ConfirmRule) -> dict[str, object]:
    truth = sweep.draws.truth[sweep.number]
    picks = {
        "argmax": pick_argmax(sweep),
        "argmax over seeds": pick_argmax_over_seeds(sweep, rule),
        "one standard error": pick_one_standard_error(sweep),
        "confirmed": pick_confirmed(sweep, rule),
    }
    row: dict[str, object] = {
        "default": truth[sweep.default],
        "best": max(truth[sweep.result.recipes].max(), truth[sweep.default]),
        "naive": sweep.naive()[0],
        "argmax model": _accuracy_of_best_model(sweep),
    }
    for way, pick in picks.items():
        row |= {way: truth[pick.recipe], f"retrainings {way}": pick.retrainings}
    return row | _confirmed_row(sweep, picks["confirmed"], rule)


def _accuracy_of_best_model(sweep: SearchedSweep) -> float:
    """Return the pool accuracy of the model that the leaderboard shows first."""
    recipe, epoch, seed = sweep.result.recipes[0], sweep.result.epochs[0], sweep.draws.search_seed[sweep.number]
    return float(sweep.curves.correct[recipe, seed, epoch].mean())


def _confirmed_row(sweep: SearchedSweep, pick: Pick, rule: ConfirmRule) -> dict[str, object]:
    decision = pick.decision
    assert decision is not None
    truth, finalists = sweep.draws.truth[sweep.number], sweep.finalists(rule.top_k)
    missing = rule.top_k - len(finalists)

    def filled(values: Sequence[float]) -> list[float]:
        return [*values, *[np.nan] * missing]

    estimates = decision.finalists
    return {
        "low": pick.low,
        "high": pick.high,
        "won": decision.winner is not None,
        "true": filled([truth[recipe] - truth[sweep.default] for recipe in finalists]),
        "raw": filled([estimate.raw for estimate in estimates]),
        "optimism": filled([estimate.optimism for estimate in estimates]),
        "variance": filled([estimate.variance for estimate in estimates]),
        "df": filled([estimate.df for estimate in estimates]),
    }


def run_scenarios(curves: Curves, draws: Draws, scenarios: Sequence[Scenario], rule: ConfirmRule, folder: Path) -> None:
    """Run scenarios with the same search, unless their files of results are there.

    The searches, which no rule changes, are kept beside the results.
    """
    missing = [scenario for scenario in scenarios if not (folder / scenario.file).exists()]
    for scenario, searched in run_searches(curves, draws, missing, folder / "searches"):
        rows = simulate(curves, draws, scenario, searched, rule)
        file = folder / scenario.file
        temporary = file.with_suffix(".tmp.npz")
        columns: dict[str, Any] = {"name": np.array(scenario.name), **rows}
        np.savez_compressed(temporary, **columns)
        temporary.rename(file)
