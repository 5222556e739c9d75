"""The tables of `selection.py`, with standard errors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import machines
import numpy as np
from numpy.typing import NDArray
from scipy import stats
from selection_scenarios import WAYS

Rows = dict[str, NDArray[Any]]


def print_tables(folder: Path) -> None:
    """Print a table of each folder of results."""
    about = machines.describe()
    print(f"{about['date']}, {about['machine']}, commit {about['commit']}")
    for results in sorted(folder.glob("results-*")):
        val, confirm = results.name.split("-")[1:]
        scenarios = [dict(np.load(file)) for file in sorted(results.glob("*.npz")) if ".tmp" not in file.name]
        if not scenarios:
            continue
        print(f"\n{val} val and {confirm} confirmation images\n")
        _print_failures(scenarios)
        print()
        _print_confirmed(scenarios)
        print()
        _print_totals(scenarios)
        print()
        _print_designs(scenarios)


def _print_failures(scenarios: list[Rows]) -> None:
    """Print for each way: worse than the default, worse by more than half a point, and mean regret."""
    print("worse than the default in % of sweeps / by more than half a point in % / mean regret in points\n")
    print(f"| set, search, default better than | sweeps | {' | '.join(WAYS)} |")
    print(f"| --- | --- |{' --- |' * len(WAYS)}")
    for rows in scenarios:
        cells = []
        for way in WAYS:
            gain = 100 * (rows[way] - rows["default"])
            regret = 100 * (rows["best"] - rows[way])
            cells.append(f"{_share(gain < -1e-7)} / {_share(gain < -0.5)} / {_mean(regret)}")
        print(f"| {rows['name']} | {len(rows['default'])} | {' | '.join(cells)} |")


def _print_confirmed(scenarios: list[Rows]) -> None:
    print("| set, search, default better than | interval covers, % | width, points | winner, % | retrainings, most |")
    print("| --- | --- | --- | --- | --- |")
    for rows in scenarios:
        covered = (rows["low"] <= rows["confirmed"]) & (rows["confirmed"] <= rows["high"])
        width = 100 * (rows["high"] - rows["low"])
        most = rows["retrainings confirmed"].max()
        print(f"| {rows['name']} | {_share(covered)} | {width.mean():.1f} | {_share(rows['won'] > 0)} | {most:.0f} |")


def _print_totals(scenarios: list[Rows]) -> None:
    print("| way | worse, mean and most, % | worse by > 0.5, mean and most, % | regret less argmax's, mean and most |")
    print("| --- | --- | --- | --- |")
    for way in WAYS:
        gains = [100 * (rows[way] - rows["default"]) for rows in scenarios]
        more = [100 * float(np.mean(rows["argmax"] - rows[way])) for rows in scenarios]
        worse, much = ([100 * float(np.mean(gain < limit)) for gain in gains] for limit in (-1e-7, -0.5))
        print(
            f"| {way} | {np.mean(worse):.2f}, {max(worse):.1f} | {np.mean(much):.2f}, {max(much):.1f} | "
            f"{np.mean(more):+.2f}, {max(more):+.2f} |"
        )


def _print_designs(scenarios: list[Rows]) -> None:
    """Print what other gates and other shares of the luck would have done, without the rule for cheaper recipes."""
    print("| gate, times the luck taken off | worse | worse by > 0.5 | regret less argmax's | scenarios above 0.05 |")
    print("| --- | --- | --- | --- | --- |")
    for gate, times in ((0.8, 1), (0.9, 0), (0.9, 1), (0.9, 2), (0.93, 1), (0.95, 0), (0.95, 1)):
        gains = [100 * _gain(rows, gate, times) for rows in scenarios]
        more = [
            float(np.mean(100 * (rows["argmax"] - rows["default"]) - gain))
            for rows, gain in zip(scenarios, gains, strict=True)
        ]
        worse, much = ([100 * float(np.mean(gain < limit)) for gain in gains] for limit in (-1e-7, -0.5))
        print(
            f"| {gate}, {times} | {np.mean(worse):.2f}, {max(worse):.1f} | {np.mean(much):.2f}, {max(much):.1f} | "
            f"{np.mean(more):+.2f}, {max(more):+.2f} | {sum(value > 0.05 for value in more)} of {len(more)} |"
        )


def _gain(rows: Rows, gate: float, times: float) -> NDArray[Any]:
    """Return the true gain over the default if the leader wins at this gate, else 0."""
    leads = np.where(np.isnan(rows["raw"]), -np.inf, rows["raw"] - times * np.nan_to_num(rows["optimism"]))
    picked = (np.arange(len(leads)), leads.argmax(axis=1))
    errors = np.sqrt(np.maximum(rows["variance"][picked], 1e-12))
    chances = stats.t.cdf(leads[picked] / errors, rows["df"][picked])
    return np.where(chances >= gate, rows["true"][picked], 0.0)


def _share(hits: NDArray[Any]) -> str:
    share = float(np.mean(hits))
    return f"{100 * share:.1f} ± {100 * math.sqrt(share * (1 - share) / len(hits)):.1f}"


def _mean(values: NDArray[Any]) -> str:
    return f"{values.mean():.2f} ± {values.std() / math.sqrt(len(values)):.2f}"
