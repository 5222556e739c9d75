"""Contender (b): the careful user, who computes frozen features once by hand and loops over heads. Linear probes only.

    python benchmarks/careful_loop.py JOB.json --folder DIR

Two processes with a torch thread each decode the photos and compute the features of every view that an augmentation
needs: one view without augmentation, both outcomes of a flip, one view an epoch for all others. Then heads are trained
one after another on features in memory, and each is written to MLflow in one batch. The output is {"accuracies": [...]}
by recipe.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jobs import Job
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
from plain_parts import augmentation, backbone, new_head, normalize, optimizer, read
from torch import Tensor, nn
from torch.nn import functional

PROCESSES = 2
PHOTOS_A_PART = 64


@dataclass(frozen=True, kw_only=True)
class Part:
    """Photos that one process reads at once, and the policies whose views it computes."""

    number: int
    photos: list[tuple[str, int]]
    policies: list[str]


def views(job: Job, policies: Sequence[str], images: Tensor) -> dict[str, list[Tensor]]:
    """Draw every view of uint8 images (B, 3, H, W); by policy."""
    drawn = {}
    for policy in policies:
        if policy == "none":
            drawn[policy] = [images]
        elif policy == "flip":
            drawn[policy] = [images, images.flip(-1)]
        else:
            draw = augmentation(policy, job.image_size)
            drawn[policy] = [torch.stack([draw(image) for image in images]) for _ in range(job.epochs)]
    return drawn


@cache
def network() -> nn.Sequential:
    """Load the frozen backbone, once a process."""
    torch.set_num_threads(1)
    model = nn.Sequential(*backbone(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    return model.to(memory_format=torch.channels_last)


@torch.inference_mode()
def forward(images: Tensor) -> Tensor:
    """Compute the features (B, 1280) of uint8 images (B, 3, H, W)."""
    prepare = normalize()
    parts = [prepare(some).contiguous(memory_format=torch.channels_last) for some in images.split(32)]
    return torch.cat([network()(part) for part in parts])


def features_of(job: Job, part: Part) -> dict[str, Any]:
    """Compute the pooled features (V, B, 1280) of photos in each policy's V views, as arrays, which pickle whole."""
    torch.manual_seed(part.number)
    images = torch.stack([read(file, job.image_size) for file, _ in part.photos])
    views_by_policy = views(job, part.policies, images)
    plain = [forward(images)] if any(view is images for drawn in views_by_policy.values() for view in drawn) else []
    return {
        policy: torch.stack([plain[0] if view is images else forward(view) for view in drawn]).numpy()
        for policy, drawn in views_by_policy.items()
    }


def compute_features(job: Job) -> tuple[dict[str, Tensor], Tensor]:
    """Compute the features of train (V, N, 1280) by policy, and of val (1, N, 1280), in parts over the processes."""
    policies = sorted({recipe["augment.policy"] for recipe in job.recipes})
    parts = [
        Part(number=start, photos=job.photos[split][start : start + PHOTOS_A_PART], policies=wanted)
        for split, wanted in (("train", policies), ("val", ["none"]))
        for start in range(0, len(job.photos[split]), PHOTOS_A_PART)
    ]
    train_parts = -(-len(job.photos["train"]) // PHOTOS_A_PART)
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("fork")) as pool:
        done = list(pool.map(partial(features_of, job), parts))
    train = {policy: _joined([part[policy] for part in done[:train_parts]]) for policy in policies}
    return train, _joined([part["none"] for part in done[train_parts:]])


def _joined(parts: Sequence[Any]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts, axis=1))


def train_head(job: Job, recipe: dict[str, Any], train: Tensor, val: Tensor) -> list[dict[str, float]]:
    """Train a recipe on features (V, N, 1280). Return the metrics after each epoch."""
    torch.manual_seed(job.seed)
    head = new_head(recipe["dropout.rate"], job.classes)[2:]
    step = optimizer(recipe, list(head.parameters()))
    labels, truth = (torch.tensor([label for _, label in job.photos[split]]) for split in ("train", "val"))
    history = []
    for epoch in range(job.epochs):
        head.train()
        losses = []
        for batch in torch.randperm(len(labels)).split(recipe["batch_size"]):
            step.zero_grad()
            view = torch.randint(len(train), (len(batch),)) if len(train) == 2 else torch.tensor(epoch % len(train))
            loss = functional.cross_entropy(head(train[view, batch]), labels[batch])
            loss.backward()
            step.step()
            losses.append(loss.item())
        head.eval()
        with torch.no_grad():
            logits = head(val[0])
        history.append(
            {
                "train_loss": sum(losses) / len(losses),
                "val_loss": functional.cross_entropy(logits, truth).item(),
                "val_accuracy": (logits.argmax(1) == truth).float().mean().item(),
            }
        )
    return history


def main() -> None:
    """Compute the features, train the heads, write to MLflow, print the final accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="for the MLflow store")
    options = parser.parse_args()
    job = Job.read(options.job)
    train, val = compute_features(job)
    client = MlflowClient(tracking_uri=f"sqlite:///{options.folder / 'mlflow.db'}")
    experiment = client.create_experiment(job.name, artifact_location=(options.folder / "artifacts").as_uri())
    torch.set_num_threads(1)
    accuracies = []
    for recipe in job.recipes:
        history = train_head(job, recipe, train[recipe["augment.policy"]], val)
        accuracies.append(history[-1]["val_accuracy"])
        run = client.create_run(experiment).info.run_id
        now = time.time_ns() // 1_000_000
        points = [
            Metric(name, value, now, epoch)
            for epoch, metrics in enumerate(history, 1)
            for name, value in metrics.items()
        ]
        client.log_batch(run, metrics=points, params=[Param(name, str(value)) for name, value in recipe.items()])
        client.set_terminated(run)
    print(json.dumps({"accuracies": accuracies}))


if __name__ == "__main__":
    main()
