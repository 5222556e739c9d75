"""Four grey photos of two classes, for tests of label files."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

NAMES = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")


def write_photos(root: Path) -> Path:
    """Write the photos below `root`, each of another grey, and return it."""
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 50 * number).save(root / name)
    return root
