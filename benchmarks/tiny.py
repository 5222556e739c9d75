"""A mix reduced to seconds, to see that every contender works."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from search_spaces import SweepSpec
from trainables.datasets.sources import load_table

PHOTOS = 64


def write_tiny(spec: SweepSpec, folder: Path) -> Path:
    """Write the sweep file with its first and last recipe, one epoch and 64 of its photos into `folder`."""
    table = load_table(spec.data.source, base_dir=spec.folder)
    files = [Path(str(image)) for image in table.images[:: len(table.images) // PHOTOS][:PHOTOS]]
    labels = table.labels[:: len(table.labels) // PHOTOS][:PHOTOS]
    root = files[0].parent.parent
    with (folder / "photos.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "label"])
        writer.writerows((file.relative_to(root), label) for file, label in zip(files, labels, strict=True))
    document: dict[str, Any] = {**spec.document, "name": f"{spec.name}-tiny", "budget": {"epochs": 1}}
    document["data"] = {**spec.document["data"], "source": "photos.csv", "root": str(root), "image_size": 64}
    points = spec.document["search"]["points"]
    document["search"] = {**spec.document["search"], "points": [points[0], points[-1]]}
    target = folder / f"{spec.name}-tiny.yaml"
    with target.open("w") as stream:
        YAML(typ="safe").dump(document, stream)
    return target
