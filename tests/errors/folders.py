"""The folder of a case, with methods that write photos, manifests and sweep files into it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

CLASSES = ("cat", "dog")
PHOTOS_PER_CLASS = 5


@dataclass(frozen=True)
class Folder:
    """An empty folder, and a home that cases may share. `during` closes when the case has run."""

    path: Path
    home: Path
    during: ExitStack = field(default_factory=ExitStack)

    @property
    def config(self) -> Path:
        """The user's config folder, with settings and contexts."""
        return self.path / "config"

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file, and make its folders."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def photos(self, folder: str = "photos", classes: Sequence[str] = CLASSES) -> Path:
        """Write `folder`/CLASS/0.png to 4.png, 8 px, each with another brightness."""
        for code, name in enumerate(classes):
            for number in range(PHOTOS_PER_CLASS):
                self.photo(f"{folder}/{name}/{number}.png", 40 * number + code)
        return self.path / folder

    def photo(self, name: str, brightness: int = 0) -> Path:
        """Write a grey image of 8 px."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), brightness, np.uint8)).save(file)
        return file

    def parquet(self, name: str, columns: Mapping[str, Sequence[object]]) -> Path:
        """Write a Parquet file with these columns."""
        pyarrow.parquet.write_table(pyarrow.table(dict(columns)), self.path / name)
        return self.path / name

    def sweep(self, source: str, *lines: str) -> Sequence[str]:
        """Write a small sweep file over `source`; return arguments that run it. `lines` replace those of their key."""
        base = [
            f"data: {{source: {source}, image_size: 32}}",
            "space: {backbone: torchvision/resnet18, weights: random, freeze_depth: 0, batch_size: 4}",
            "budget: {trials: 1, epochs: 1}",
            "resources: {gpu: 0}",
        ]
        keys = {line.partition(":")[0] for line in lines}
        kept = [line for line in base if line.partition(":")[0] not in keys]
        self.write("sweep.yaml", "\n".join(["name: cells", *kept, *lines]) + "\n")
        return ["run", "sweep.yaml", "--home", str(self.home)]


def sha256(file: Path) -> str:
    """Return the file's SHA-256 in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
