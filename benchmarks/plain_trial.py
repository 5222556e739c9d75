"""A trial of contender (a): photos, network and training loop, written the usual way for Ray Tune."""

from __future__ import annotations

from typing import Any

import torch
from jobs import Job
from plain_parts import augmentation, backbone, new_head, normalize, optimizer, read
from ray import tune
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2


class Photos(Dataset[tuple[Tensor, int]]):
    """A set of photos, each decoded when it is read."""

    def __init__(self, photos: list[tuple[str, int]], size: int, policy: str) -> None:
        self._photos, self._size = photos, size
        self._transform = v2.Compose([augmentation(policy, size), normalize()])

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        file, label = self._photos[index]
        return self._transform(read(file, self._size)), label


class Network(nn.Module):
    """A network that keeps the first `frozen` parts of the backbone and trains the others and a new head."""

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
    """Train a recipe and report after each epoch."""
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
