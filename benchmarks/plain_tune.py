"""Side (a): what a competent user writes with Ray Tune, timm, torchvision and MLflow, without Meltpoint.

    python benchmarks/plain_tune.py JOB.json --folder DIR [--seed N] [--recipes 0,3,7]

A function trainable, one core and one torch thread a trial, so that two train at once on two cores (quicker than one
trial on two threads); photos decoded by a DataLoader in the trial's own process, since no core is left for workers;
the frozen part of the network in eval mode without gradients. Prints {"accuracies": [...]}: the last of each recipe.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import torch
from jobs import Job
from plain_parts import augmentation, backbone, new_head, normalize, optimizer, read
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2


class Photos(Dataset[tuple[Tensor, int]]):
    """Decoded where they are asked for."""

    def __init__(self, photos: list[tuple[str, int]], size: int, policy: str) -> None:
        self._photos, self._size = photos, size
        self._transform = v2.Compose([augmentation(policy, size), normalize()])

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        file, label = self._photos[index]
        return self._transform(read(file, self._size)), label


class Network(nn.Module):
    """The first `frozen` parts of the backbone as they are, the others and a new head to be trained."""

    def __init__(self, recipe: dict[str, Any], classes: int) -> None:
        super().__init__()
        parts, frozen = backbone(), recipe["freeze_depth"]
        self.frozen = nn.Sequential(*parts[:frozen]).requires_grad_(False)
        self.trained = nn.Sequential(*parts[frozen:], new_head(recipe["dropout.rate"], classes))

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.frozen(images)
        logits: Tensor = self.trained(features)
        return logits


def train(config: dict[str, Any]) -> None:
    """One trial."""
    job, recipe = Job(**config["job"]), config["recipe"]
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    network = Network(recipe, job.classes)
    network.to(memory_format=torch.channels_last)
    step = optimizer(recipe, [parameter for parameter in network.parameters() if parameter.requires_grad])
    policy = recipe["augment.policy"]
    training = DataLoader(Photos(job.photos["train"], job.image_size, policy), recipe["batch_size"], shuffle=True)
    validation = DataLoader(Photos(job.photos["val"], job.image_size, "none"), recipe["batch_size"])
    for epoch in range(1, job.epochs + 1):
        network.train()
        losses = []
        for images, labels in training:
            step.zero_grad()
            loss = functional.cross_entropy(network(images.contiguous(memory_format=torch.channels_last)), labels)
            loss.backward()
            step.step()
            losses.append(loss.item())
        network.eval()
        right, total = 0, 0.0
        with torch.no_grad():
            for images, labels in validation:
                logits = network(images.contiguous(memory_format=torch.channels_last))
                right += int((logits.argmax(1) == labels).sum())
                total += functional.cross_entropy(logits, labels, reduction="sum").item()
        count = len(job.photos["val"])
        metrics = {"train_loss": sum(losses) / len(losses), "val_loss": total / count, "val_accuracy": right / count}
        tune.report({"epoch": epoch, **metrics})


def main() -> None:
    """Train the recipes and print their final accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="for results and the MLflow store")
    parser.add_argument("--seed", type=int, help="instead of the mix's own")
    parser.add_argument("--recipes", help="numbers of those to train, by default all")
    options = parser.parse_args()
    logging.getLogger("ray").setLevel(logging.WARNING)
    job = json.loads(options.job.read_text())
    if options.seed is not None:
        job["seed"] = options.seed
    numbers = [int(number) for number in options.recipes.split(",")] if options.recipes else range(len(job["recipes"]))
    recipes = [job["recipes"][number] for number in numbers]
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
    by_recipe = {json.dumps(result.config["recipe"]): result.metrics["val_accuracy"] for result in results}
    print(json.dumps({"accuracies": [by_recipe[json.dumps(recipe)] for recipe in recipes]}))


if __name__ == "__main__":
    main()
