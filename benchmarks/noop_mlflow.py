"""The least time that MLflow needs for a trial: its client alone in a bare loop, without training, scheduler or ledger.

    python benchmarks/noop_mlflow.py --trials 50 --epochs 20 --metrics 12

Each trial is a run: created, filled with all points, parameters and tags in one batch, and ended. The store is SQLite
with a write-ahead log. The output is a JSON object: `sent`, the seconds of all trials but the first.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from noop_options import shape_parser

from service.settings import Home
from service.tracking import prepare_local_store

PARAMS = 30
"""The number of a recipe's parameters."""


def main() -> None:
    """Write the runs in a fresh store and print what they took."""
    options = shape_parser(__doc__, trials=50).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        prepare_local_store(home)
        client = MlflowClient(home.local_tracking_uri)
        experiment = client.create_experiment("noop")
        write(client, experiment, options.epochs, options.metrics)
        begun = time.perf_counter()
        for _ in range(options.trials):
            write(client, experiment, options.epochs, options.metrics)
        print(json.dumps({"sent": time.perf_counter() - begun}))


def write(client: MlflowClient, experiment: str, epochs: int, metrics: int) -> None:
    """Write a trial's run from beginning to end."""
    now = time.time_ns() // 1_000_000
    run_id = client.create_run(experiment, tags={"trial": "noop"}).info.run_id
    points = [
        Metric(f"m{number}", epoch / (epoch + 1) + number, now, epoch)
        for epoch in range(1, epochs + 1)
        for number in range(metrics)
    ]
    params = [Param(f"p{number}", str(number)) for number in range(PARAMS)]
    client.log_batch(run_id, metrics=points, params=params, tags=[RunTag("state", "completed")])
    client.set_terminated(run_id)


if __name__ == "__main__":
    main()
