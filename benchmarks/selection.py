"""How often each way to pick production hyperparameters fails, on sweeps that are drawn from real learning curves.

    python benchmarks/selection.py collect FOLDER [--set NAME] [--emoji ARCHIVE]

`collect` trains every recipe of a set with every seed and keeps the right answers per image, a file for each seed, so
that it can be interrupted. ARCHIVE is what `npm pack emoji-datasource-google` writes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from selection_curves import Collector
from selection_sets import SETS, write_emoji


def main() -> None:
    """Collect curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect")
    collecting.add_argument("folder", type=Path)
    collecting.add_argument("--set", choices=[chosen.name for chosen in SETS])
    collecting.add_argument("--emoji", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.emoji and not (options.folder / "emoji").exists():
        write_emoji(options.emoji, options.folder / "emoji")
    wanted = [chosen for chosen in SETS if options.set in (None, chosen.name)]
    collectors = {chosen.name: Collector(chosen, options.folder.resolve()) for chosen in wanted}
    for seed in range(max(chosen.seeds for chosen in wanted)):
        for chosen in wanted:
            if seed < chosen.seeds:
                collectors[chosen.name].train_seed(seed)


if __name__ == "__main__":
    main()
