"""Trials that do nothing on several nodes, through Meltpoint's own machinery.

    python benchmarks/scale_meltpoint.py --trials 10000 --nodes 4 [--without-mlflow]

All nodes are on this machine. The output is a JSON object: seconds from the first report until the last trial ended
(`trained`) and until MLflow had everything (`sent`), the driver's CPU seconds, `marks` on the way (see `Mark`), and
`commands`: the seconds of `ls`, `trials` and the queue's order afterwards, as a user types them.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from contenders import HERE, MELTPOINT
from noop_meltpoint import SPEC
from noop_options import shape_parser

from search_spaces import parse_spec
from service.settings import Home, prepare_environment

COMMANDS = {"ls": ["ls"], "trials": ["trials", "last", "--top", "20"], "status": ["status", "last"]}


def main() -> None:
    """Run the sweep in a fresh home and print what it took."""
    parser = shape_parser(__doc__, trials=10_000)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--without-mlflow", action="store_true", help="leave MLflow's messages in the ledger")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder)).create()
        prepare_environment(home)
        spec = parse_spec(SPEC.format(trials=options.trials, epochs=options.epochs), file="noop.yaml")
        from noop_sweep import run_noop  # Ray reads the environment at its import
        from scale_nodes import nodes

        with nodes(options.nodes):
            costs, marks = run_noop(
                spec,
                home,
                metrics=options.metrics,
                each_epoch=False,
                sends=not options.without_mlflow,
                marked_every=max(1, options.trials // 10),
                on_nodes=True,
            )
        commands = {name: _median_seconds(arguments, home) for name, arguments in COMMANDS.items()}
    print(json.dumps({**costs, "marks": [asdict(mark) for mark in marks], "commands": commands}))


def _median_seconds(arguments: list[str], home: Home) -> float:
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "MELTPOINT_HOME": str(home.root)}
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([*MELTPOINT, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[2]


if __name__ == "__main__":
    main()
