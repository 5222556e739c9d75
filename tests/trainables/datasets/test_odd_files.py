from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from tests.shipped_sets import odd_files
from trainables.datasets.images import decode_image


def test_odd_files_decode_to_the_same_pixels_as_a_plain_file(tmp_path: Path) -> None:
    photo = Image.fromarray(load_sample_images().images[1]).resize((64, 48))
    odd_files(tmp_path / "odd", photo)
    plain = decode_image(np.asarray(photo), 32).astype(int)
    grey = decode_image(np.asarray(photo.convert("L")), 32).astype(int)

    for file in sorted((tmp_path / "odd").iterdir()):
        expected = grey if any(word in file.name for word in ("grey", "bilevel")) else plain
        shown = decode_image(file, 32).astype(int)
        allowed = 30 if "bilevel" in file.name else 6
        assert np.abs(shown - expected).mean() < allowed, file.name
        if file.suffix in (".png", ".tiff", ".webp", ".BMP") and not file.name.startswith(("palette", "cmyk", "bi")):
            assert np.abs(shown - expected).max() <= 1, file.name
