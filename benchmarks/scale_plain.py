"""Trials that do nothing on several nodes, through Ray Tune alone.

    python benchmarks/scale_plain.py --trials 100 --nodes 4 [--tuned]

By default as most people write it: a function trainable and MLflowLoggerCallback. With `--tuned` as quick as we know to
make Tune by its public settings: a class trainable, actors that are reused, no loggers, no checkpoints, no MLflow; one
report an epoch for both. All nodes are on this machine. The output is a JSON object: `sent`, the seconds from the first
report until all trials have ended, and `cpu`, this process's CPU seconds meanwhile.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from noop_options import shape_parser
from noop_plain import train
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from scale_nodes import nodes
from typing_extensions import override

TUNED_VARIABLES = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "RAY_AIR_NEW_OUTPUT": "0",
}


class FirstReport(tune.Callback):
    """The times of the first report: Ray and the workers have started by then."""

    at: float | None = None
    cpu = 0.0

    def on_trial_result(self, *_: Any, **__: Any) -> None:
        if FirstReport.at is None:
            FirstReport.at, FirstReport.cpu = time.perf_counter(), time.process_time()


class TrainNothing(tune.Trainable):
    """A class trainable that reports made-up metrics."""

    @override
    def setup(self, config: dict[str, Any]) -> None:
        self._config, self._epoch = config, 0

    @override
    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    @override
    def step(self) -> dict[str, Any]:
        self._epoch += 1
        metrics = {f"m{number}": self._epoch + number for number in range(self._config["metrics"])}
        return metrics | {"done": self._epoch >= self._config["epochs"]}


def main() -> None:
    """Run the trials in a fresh folder and print what they took."""
    parser = shape_parser(__doc__, trials=100)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--tuned", action="store_true", help="class trainable, reused actors, no loggers")
    options = parser.parse_args()
    if options.tuned:
        os.environ.update(TUNED_VARIABLES)
    with tempfile.TemporaryDirectory() as folder, nodes(options.nodes):
        results = _tuner(options, Path(folder)).fit()
        ended, cpu = time.perf_counter(), time.process_time()
    assert not results.errors, results.errors
    assert FirstReport.at is not None
    print(json.dumps({"sent": ended - FirstReport.at, "cpu": cpu - FirstReport.cpu}))


def _tuner(options: Any, folder: Path) -> tune.Tuner:
    tracking = MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", experiment_name="noop")
    return tune.Tuner(
        tune.with_resources(TrainNothing if options.tuned else train, {"cpu": 1}),
        param_space={
            "epochs": options.epochs,
            "metrics": options.metrics,
            "dropout": tune.uniform(0, 0.5),
            "lr": tune.loguniform(1e-4, 1e-1),
        },
        tune_config=tune.TuneConfig(
            num_samples=options.trials,
            reuse_actors=options.tuned,
            max_concurrent_trials=options.nodes if options.tuned else None,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            verbose=0,
            callbacks=[FirstReport()] if options.tuned else [FirstReport(), tracking],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False) if options.tuned else None,
        ),
    )


if __name__ == "__main__":
    main()
