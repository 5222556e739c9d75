"""The image sets and the recipes from which `selection.py` collects learning curves."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from search_spaces import Space, SweepSpec, load_spec

HEADS: Final[Mapping[str, Any]] = {
    "freeze_depth": {"value": "all"},
    "augment.policy": {"value": "none"},
    "optimizer": {
        "one_of": [
            {"name": "nesterov", "lr": {"values": [3e-3, 1e-2, 3e-2, 1e-1]}},
            {"name": "adam", "lr": {"values": [3e-4, 1e-3, 3e-3, 1e-2]}},
            {"name": "adamw", "lr": {"values": [3e-4, 1e-3, 3e-3, 1e-2]}, "weight_decay": {"value": 0.1}},
        ]
    },
    "dropout.rate": {"min": 0.0, "max": 0.6, "step": 0.6},
    "head.hidden": {"values": [0, 16]},
    "batch_size": {"values": [32, 128]},
    "mix.label_smoothing": {"values": [0.0, 0.1]},
}
"""192 heads on frozen features. Their default is the shipped one as far as this space holds it: AdamW 1e-3."""

THAWED: Final[Mapping[str, Any]] = {
    "freeze_depth": {"values": [-1, -2]},
    "augment.policy": {"value": "none"},
    "optimizer": {
        "one_of": [
            {"name": "nesterov", "lr": {"values": [3e-3, 1e-2, 3e-2]}},
            {"name": "adamw", "lr": {"values": [3e-4, 1e-3, 3e-3]}},
        ]
    },
    "batch_size": {"value": 32},
    "mix.label_smoothing": {"values": [0.0, 0.1]},
}
"""24 recipes that thaw one stage or two."""


@dataclass(frozen=True, kw_only=True)
class CurveSet:
    """Recipes of a space on an image set; `split` leaves the images that are not in it for training."""

    name: str
    source: str
    image_size: int
    split: Mapping[str, float]
    space: Mapping[str, Any]
    epochs: int
    seeds: int

    def load(self, folder: Path) -> SweepSpec:
        """Write the sweep file into `folder` and read it."""
        document = {
            "name": f"selection-{self.name}",
            "data": {"source": self.source, "image_size": self.image_size, "split": {**self.split, "seed": 0}},
            "metric": {"name": "val/accuracy", "goal": "maximize"},
            "space": dict(self.space),
            "search": {"algorithm": "random", "seed": 0},
            "scheduler": {"type": "asha", "grace_epochs": 1, "reduction_factor": 3},
            "budget": {"trials": 12, "epochs": self.epochs},
        }
        path = folder / f"{self.name}.yaml"
        YAML().dump(document, path)
        return load_spec(path)

    def read_space(self, folder: Path) -> Space:
        """Return the space of the recipes."""
        return self.load(folder).space


SETS: Final[tuple[CurveSet, ...]] = (
    CurveSet(
        name="elpv",
        source="elpv",
        image_size=128,
        split={"val": 0.6, "confirm": 0.0, "test": 0.25},
        space=HEADS,
        epochs=5,
        seeds=30,
    ),
    CurveSet(
        name="digits",
        source="digits",
        image_size=64,
        split={"val": 0.6, "confirm": 0.0, "test": 0.2},
        space=HEADS,
        epochs=5,
        seeds=30,
    ),
    CurveSet(
        name="emoji",
        source="./emoji",
        image_size=64,
        split={"val": 0.6, "confirm": 0.0, "test": 0.2},
        space=HEADS,
        epochs=5,
        seeds=30,
    ),
    CurveSet(
        name="elpv-thawed",
        source="elpv",
        image_size=64,
        split={"val": 0.5, "confirm": 0.0, "test": 0.2},
        space=THAWED,
        epochs=3,
        seeds=10,
    ),
)


def write_emoji(archive: Path, folder: Path) -> None:
    """Write the images of the npm package `emoji-datasource-google` into one folder for each of their categories.

    Variants of skin colour and the components of other emoji are left out.
    """
    with tarfile.open(archive) as tar:
        listing = tar.extractfile("package/emoji.json")
        assert listing is not None
        for emoji in json.load(listing):
            if emoji["category"] == "Component" or not emoji["has_img_google"]:
                continue
            image = tar.extractfile(f"package/img/google/64/{emoji['image']}")
            assert image is not None
            target = folder / emoji["category"].replace(" & ", "-").replace(" ", "-").lower()
            target.mkdir(parents=True, exist_ok=True)
            (target / emoji["image"]).write_bytes(image.read())
