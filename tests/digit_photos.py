"""Folders of small images that tests train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def write_digits(root: Path, classes: Sequence[str], per_class: int) -> None:
    """Write PNG files of 32 px of scikit-learn's digits, a folder a class; the first class has the zeros, and so on."""
    from PIL import Image
    from sklearn.datasets import load_digits

    bunch = load_digits()
    for code, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for row, pixels in enumerate(bunch.images[bunch.target == code][:per_class]):
            image = Image.fromarray((pixels * (255 / 16)).astype("uint8"))
            image.resize((32, 32), Image.Resampling.BICUBIC).save(root / name / f"{row:03d}.png")
