"""Small real data for every test of a trial."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from search_spaces import DataSpec
from trainables.prepared import PreparedData, prepare

TINY_CLASSES = ("zero", "one", "two")
TINY_IMAGES_PER_CLASS = 40


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The 1,797 handwritten digits at 16 px."""
    folder = tmp_path_factory.mktemp("digits")
    return prepare(DataSpec(source="digits", image_size=16), base_dir=folder, root=folder)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 digits of three classes as PNG files of 32 px in class folders. Read it, never write to it."""
    root = tmp_path_factory.mktemp("photos") / "tiny"
    bunch = load_digits()
    for code, name in enumerate(TINY_CLASSES):
        (root / name).mkdir(parents=True)
        for row, pixels in enumerate(bunch.images[bunch.target == code][:TINY_IMAGES_PER_CLASS]):
            image = Image.fromarray((pixels * (255 / 16)).astype("uint8"))
            image.resize((32, 32), Image.Resampling.BICUBIC).save(root / name / f"{row:03d}.png")
    return root


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """`tiny_folder` at 32 px with the default split."""
    root = tmp_path_factory.mktemp("prepared")
    return prepare(DataSpec(source=str(tiny_folder), image_size=32), base_dir=root, root=root)
