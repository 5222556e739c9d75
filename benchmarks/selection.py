"""How often each way to pick production hyperparameters fails, on sweeps that are drawn from real learning curves.

    python benchmarks/selection.py collect FOLDER [--set NAME] [--emoji ARCHIVE]
    python benchmarks/selection.py simulate FOLDER [--set NAME] [--sweeps N] [--trials N ...] [--tpe-trials N ...]
    python benchmarks/selection.py report FOLDER

`collect` trains every recipe of a set with every seed and keeps the right answers per image, a file for each seed, so
that it can be interrupted. ARCHIVE is what `npm pack emoji-datasource-google` writes. `simulate` draws sweeps from the
curves, a file for each scenario; `report` prints the tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from selection_curves import Collector, Curves
from selection_scenarios import DEFAULTS, Scenario, run_scenarios, searches
from selection_sets import SETS, CurveSet, write_emoji
from selection_sweeps import Draws
from selection_tables import print_tables

from service.confirmations import ConfirmRule


def main() -> None:
    """Collect curves, simulate sweeps, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect")
    collecting.add_argument("folder", type=Path)
    collecting.add_argument("--set", choices=[chosen.name for chosen in SETS])
    collecting.add_argument("--emoji", type=Path)
    simulating = commands.add_parser("simulate")
    simulating.add_argument("folder", type=Path)
    simulating.add_argument("--set", choices=[chosen.name for chosen in SETS])
    simulating.add_argument("--sweeps", type=int, default=2000)
    simulating.add_argument("--val", type=int, default=525)
    simulating.add_argument("--confirm", type=int, default=262)
    simulating.add_argument("--trials", type=int, nargs="*", default=[12, 48, 160])
    simulating.add_argument("--tpe-trials", type=int, nargs="*", default=[12, 48, 160])
    simulating.add_argument("--defaults", nargs="+", choices=DEFAULTS, default=DEFAULTS)
    reporting = commands.add_parser("report")
    reporting.add_argument("folder", type=Path)
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.command == "report":
        print_tables(folder)
        return
    wanted = [chosen for chosen in SETS if options.set in (None, chosen.name)]
    if options.command == "collect":
        _collect(folder, wanted, options.emoji)
    else:
        _simulate(folder, wanted, options)


def _collect(folder: Path, wanted: Sequence[CurveSet], emoji: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if emoji and not (folder / "emoji").exists():
        write_emoji(emoji, folder / "emoji")
    collectors = {chosen.name: Collector(chosen, folder) for chosen in wanted}
    for seed in range(max(chosen.seeds for chosen in wanted)):
        for chosen in wanted:
            if seed < chosen.seeds:
                collectors[chosen.name].train_seed(seed)


def _simulate(folder: Path, wanted: Sequence[CurveSet], options: argparse.Namespace) -> None:
    """Run the scenarios; of a set with few recipes only those with fewer trials than recipes."""
    for chosen in wanted:
        curves = Curves.read(chosen, folder)
        draws = Draws.make(curves, sweeps=options.sweeps, val=options.val, confirm=options.confirm, seed=0)
        counts = [
            [trials for trials in given if trials < len(curves.recipes)]
            for given in (options.trials, options.tpe_trials)
        ]
        for settings in searches(*counts):
            scenarios = [Scenario(set_name=chosen.name, search=settings, default=name) for name in options.defaults]
            print(chosen.name, settings, file=sys.stderr, flush=True)
            run_scenarios(curves, draws, scenarios, ConfirmRule(), folder / f"results-{options.val}-{options.confirm}")


if __name__ == "__main__":
    main()
