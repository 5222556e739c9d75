"""The tables of `selection.py`, with standard errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machines
import numpy as np
from numpy.typing import NDArray
from scipy import stats
from selection_scenarios import WAYS

Rows = dict[str, NDArray[Any]]


def print_tables(folder: Path) -> None:
    """Print the tables of each folder of results."""
    about = machines.describe()
    print(f"{about['date']}, {about['machine']}, commit {about['commit']}")
    for results in sorted(folder.glob("results-*")):
        val, confirm = results.name.split("-")[1:]
        scenarios = [dict(np.load(file)) for file in sorted(results.glob("*.npz")) if ".tmp" not in file.name]
        if not scenarios:
            continue
        most = max(len(rows["default"]) for rows in scenarios)
        whole = [rows for rows in scenarios if len(rows["default"]) == most]
        print(f"\n{val} val and {confirm} confirmation images, {len(whole)} scenarios of {most} sweeps")
        for table in (_print_wanted, _print_totals, _print_gates):
            print()
            table(whole)
        for table in (_print_searches, _print_scenarios):
            print()
            table(scenarios)


def _print_wanted(scenarios: list[Rows]) -> None:
    """Print what was wanted of the confirmed recipe, and what it reached."""
    covers = [100 * float(_covered(rows).mean()) for rows in scenarios]
    outside = sum(not 94 <= cover <= 97 for cover in covers)
    worse, much, more = _figures(scenarios, "confirmed")
    most = max(float(rows["retrainings confirmed"].max()) for rows in scenarios)
    count = len(scenarios)
    print("| figure | wanted | reached by **confirmed** |")
    print("| --- | --- | --- |")
    print(
        f"| the interval covers, in every scenario | 94.0 to 97.0 % | {min(covers):.1f} to {max(covers):.1f} %; "
        f"outside in {outside} of {count} |"
    )
    print(f"| worse than the default, on average | under 2 % | {np.mean(worse):.2f} % |")
    print(
        f"| worse than the default, in any scenario | at most 3.5 % | {max(worse):.1f} %; "
        f"above 3.5 % in {_above(worse, 3.5)} of {count} |"
    )
    print(
        f"| worse by more than half a point, in any scenario | at most 0.5 % | {max(much):.1f} %; "
        f"above 0.5 % in {_above(much, 0.5)} of {count} |"
    )
    print(
        f"| mean regret above that of argmax, in any scenario | at most 0.05 points | {np.mean(more):+.2f} on average; "
        f"above 0.05 in {_above(more, 0.05)} of {count}, at most {max(more):+.2f} |"
    )
    print(f"| trainings | at most 17 | {most:.0f} |")


def _figures(scenarios: list[Rows], way: str) -> tuple[list[float], list[float], list[float]]:
    """Return for each scenario: worse in %, worse by more than half a point in %, regret less argmax's in points."""
    gains = [100 * (rows[way] - rows["default"]) for rows in scenarios]
    worse, much = ([100 * float(np.mean(gain < limit)) for gain in gains] for limit in (-1e-7, -0.5))
    return worse, much, [100 * float(np.mean(rows["argmax"] - rows[way])) for rows in scenarios]


def _above(values: Sequence[float], limit: float) -> int:
    return sum(value > limit + 1e-9 for value in values)


def _covered(rows: Rows) -> NDArray[Any]:
    return np.asarray((rows["low"] <= rows["confirmed"]) & (rows["confirmed"] <= rows["high"]))


def _print_scenarios(scenarios: list[Rows]) -> None:
    """Print for each scenario: worse than the default, worse by more than half a point, mean regret, and coverage."""
    print("| set, search, default better than | sweeps | argmax | confirmed | winner, % | covers, % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rows in scenarios:
        cells = []
        for way in ("argmax", "confirmed"):
            gain = 100 * (rows[way] - rows["default"])
            regret = 100 * (rows["best"] - rows[way])
            cells.append(f"{_share(gain < -1e-7)} / {_share(gain < -0.5)} / {_mean(regret)}")
        cells += [_share(rows["won"] > 0), _share(_covered(rows))]
        print(f"| {rows['name']} | {len(rows['default'])} | {' | '.join(cells)} |")


def _print_searches(scenarios: list[Rows]) -> None:
    """Print each way's figures by search, means over sets and defaults."""
    groups: dict[tuple[str, int], list[Rows]] = {}
    for rows in scenarios:
        search = str(rows["name"]).partition(" ")[2].partition(" default")[0]
        groups.setdefault((search, len(rows["default"])), []).append(rows)
    print(f"| search, trials | scenarios, sweeps of each | {' | '.join(WAYS)} |")
    print(f"| --- | --- |{' --- |' * len(WAYS)}")
    for (search, sweeps), members in sorted(
        groups.items(), key=lambda group: (group[0][0].split()[0], len(group[0][0]))
    ):
        cells = []
        for way in WAYS:
            worse, much, _ = _figures(members, way)
            regret = np.mean([100 * float(np.mean(rows["best"] - rows[way])) for rows in members])
            cells.append(f"{np.mean(worse):.1f} / {np.mean(much):.1f} / {regret:.2f}")
        print(f"| {search} | {len(members)}, {sweeps} | {' | '.join(cells)} |")


def _print_totals(scenarios: list[Rows]) -> None:
    print("| way | worse, mean and most, % | worse by > 0.5, mean and most, % | regret less argmax's, mean and most |")
    print("| --- | --- | --- | --- |")
    for way in WAYS:
        worse, much, more = _figures(scenarios, way)
        print(
            f"| {way} | {np.mean(worse):.2f}, {max(worse):.1f} | {np.mean(much):.2f}, {max(much):.1f} | "
            f"{np.mean(more):+.2f}, {max(more):+.2f} |"
        )


def _print_gates(scenarios: list[Rows]) -> None:
    """Print what other gates would have done, without the rule for cheaper recipes."""
    print("| gate | worse | worse by > 0.5 | regret less argmax's | scenarios above 0.05 |")
    print("| --- | --- | --- | --- | --- |")
    for gate in (0.8, 0.85, 0.9, 0.93, 0.95):
        gated = [rows | {"gated": rows["default"] + _gain(rows, gate)} for rows in scenarios]
        worse, much, more = _figures(gated, "gated")
        print(
            f"| {gate} | {np.mean(worse):.2f}, {max(worse):.1f} | {np.mean(much):.2f}, {max(much):.1f} | "
            f"{np.mean(more):+.2f}, {max(more):+.2f} | {_above(more, 0.05)} of {len(more)} |"
        )


def _gain(rows: Rows, gate: float) -> NDArray[Any]:
    """Return the true gain over the default if the leader wins at this gate, else 0."""
    leads = np.where(np.isnan(rows["raw"]), -np.inf, rows["raw"] - np.nan_to_num(rows["optimism"]))
    picked = (np.arange(len(leads)), leads.argmax(axis=1))
    errors = np.sqrt(np.maximum(rows["variance"][picked], 1e-12))
    chances = stats.t.cdf(leads[picked] / errors, rows["df"][picked])
    return np.where(chances >= gate, rows["true"][picked], 0.0)


def _share(hits: NDArray[Any]) -> str:
    share = float(np.mean(hits))
    return f"{100 * share:.1f} ± {100 * math.sqrt(share * (1 - share) / len(hits)):.1f}"


def _mean(values: NDArray[Any]) -> str:
    return f"{values.mean():.2f} ± {values.std() / math.sqrt(len(values)):.2f}"
