"""The input of a contender: the recipes of a mix, and the photos of its data, split by Meltpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search_spaces import SweepSpec
from search_spaces.backbones import BACKBONES


@dataclass(frozen=True, kw_only=True)
class Job:
    """A mix as plain values, so that the contenders without Meltpoint import nothing of Meltpoint.

    stages: the backbone's; recipes: dotted names and values; photos: split -> (file, class number) of each photo.
    """

    name: str
    image_size: int
    classes: int
    stages: int
    epochs: int
    seed: int
    recipes: list[dict[str, Any]]
    photos: dict[str, list[tuple[str, int]]]

    @classmethod
    def from_spec(cls, spec: SweepSpec, *, scratch: Path) -> Job:
        """Return the job of a sweep file whose algorithm is `points` and whose images are files."""
        from trainables.datasets.sources import load_table
        from trainables.stores.prepared import prepare_data

        table = load_table(spec.data.source, base_dir=spec.folder, root=spec.data.root)
        data = prepare_data(spec.data, base_dir=spec.folder, root=scratch)
        assert not data.skipped, data.skipped
        return cls(
            name=spec.name,
            image_size=spec.data.image_size,
            classes=len(data.classes),
            stages=BACKBONES[spec.points[0].backbone].stages,
            epochs=spec.budget.epochs,
            seed=spec.seed,
            recipes=[recipe.flat() for recipe in spec.points],
            photos={
                split: [(str(table.images[row]), int(data.labels[row])) for row in data.splits[split]]
                for split in ("train", "val")
            },
        )

    @classmethod
    def read(cls, file: Path) -> Job:
        return cls(**json.loads(file.read_text()))

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)))
