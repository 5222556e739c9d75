"""Trials that do nothing, through Meltpoint's own machinery: searcher, Ray Tune, ledger, outbox, MLflow.

    python benchmarks/noop_meltpoint.py --trials 500 --epochs 20 --metrics 12 [--each-epoch]

Workers report made-up metrics instead of training: all epochs at once, as in a sweep without early stopping, or with
`--each-epoch` one epoch at a time. The output is a JSON object: seconds from the first report, when the workers are up,
until the last trial ended (`trained`) and until MLflow had everything (`sent`); and the driver's CPU seconds.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from noop_options import shape_parser

from search_spaces import parse_spec
from service.settings import Home, prepare_environment

SPEC = """
name: noop
data: {{source: nothing}}
space:
  dropout.rate: {{min: 0.0, max: 0.5}}
  optimizer.lr: {{min: 1.0e-4, max: 1.0e-1, log: true}}
search: {{algorithm: random}}
budget: {{trials: {trials}, epochs: {epochs}}}
"""


def main() -> None:
    """Run the sweep in a fresh home and print what it took."""
    parser = shape_parser(__doc__, trials=500)
    parser.add_argument("--each-epoch", action="store_true", help="send a report an epoch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder)).create()
        prepare_environment(home)
        spec = parse_spec(SPEC.format(trials=options.trials, epochs=options.epochs), file="noop.yaml")
        from noop_sweep import run_noop  # Ray reads the environment at its import

        costs, _ = run_noop(spec, home, metrics=options.metrics, each_epoch=options.each_epoch)
        print(json.dumps(costs))


if __name__ == "__main__":
    main()
