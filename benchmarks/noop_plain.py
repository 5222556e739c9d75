"""Trials that do nothing, as a Ray Tune function trainable with default settings and MLflowLoggerCallback.

    python benchmarks/noop_plain.py --trials 50 --epochs 20 --metrics 12

The output is a JSON object: `sent`, the seconds from the first report until all trials have ended and MLflow has them.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

from noop_options import shape_parser
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback


def train(config: dict[str, Any]) -> None:
    """Report made-up metrics once an epoch."""
    for epoch in range(1, config["epochs"] + 1):
        tune.report({f"m{i}": epoch / (epoch + 1) + i for i in range(config["metrics"])})


class FirstReport(tune.Callback):
    """The time of the first report: Ray and the workers have started by then."""

    at: float | None = None

    def on_trial_result(self, *_: Any, **__: Any) -> None:
        FirstReport.at = FirstReport.at or time.perf_counter()


def main() -> None:
    """Run the trials in a fresh folder and print what they took."""
    options = shape_parser(__doc__, trials=50).parse_args()
    logging.getLogger("ray").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        tracking = MLflowLoggerCallback(tracking_uri=f"sqlite:///{Path(folder) / 'mlflow.db'}", experiment_name="noop")
        tuner = tune.Tuner(
            train,
            param_space={
                "epochs": options.epochs,
                "metrics": options.metrics,
                "dropout": tune.uniform(0, 0.5),
                "lr": tune.loguniform(1e-4, 1e-1),
            },
            tune_config=tune.TuneConfig(num_samples=options.trials),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[FirstReport(), tracking]),
        )
        results = tuner.fit()
        ended = time.perf_counter()
    assert not results.errors, results.errors
    assert FirstReport.at is not None
    print(json.dumps({"sent": ended - FirstReport.at}))


if __name__ == "__main__":
    main()
