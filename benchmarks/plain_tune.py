"""Contender (a): the code of a competent user of Ray Tune, timm, torchvision and MLflow, without Meltpoint.

    python benchmarks/plain_tune.py JOB.json --folder DIR

A function trainable has one core and one torch thread a trial, so that two train at once on two cores (quicker than one
trial on two threads). A DataLoader decodes the photos in the trial's own process, since no core is left for workers.
The frozen part of the network is in eval mode without gradients. The output is {"accuracies": [...]}, the last ones.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from plain_trial import train
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback


def main() -> None:
    """Train the recipes and print their final accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="for results and the MLflow store")
    options = parser.parse_args()
    logging.getLogger("ray").setLevel(logging.WARNING)
    job = json.loads(options.job.read_text())
    recipes = job["recipes"]
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"recipe": tune.grid_search(recipes), "job": job | {"recipes": []}},
        run_config=tune.RunConfig(
            storage_path=str(options.folder / "tune"),
            verbose=0,
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri=f"sqlite:///{options.folder / 'mlflow.db'}", experiment_name=job["name"]
                )
            ],
        ),
    )
    results = tuner.fit()
    assert not results.errors, results.errors
    ended = [(result.config or {}, result.metrics or {}) for result in map(results.__getitem__, range(len(results)))]
    by_recipe = {json.dumps(config["recipe"]): metrics["val_accuracy"] for config, metrics in ended}
    print(json.dumps({"accuracies": [by_recipe[json.dumps(recipe)] for recipe in recipes]}))


if __name__ == "__main__":
    main()
