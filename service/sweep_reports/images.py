"""Images of a report: the worst mistakes, and training images with the augmentation of the recipe to use.

The module loads torch, so it is imported by its own name, only where images are wanted.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from search_spaces import MeltpointError, Recipe
from search_spaces.extensions import is_own
from service.ledgers import Sweep
from service.sweep_reports.facts import SweepReport
from service.sweep_reports.pages.pictures import AugmentedImage, Pictures
from trainables.augmentations import draw_views
from trainables.stores.prepared import PreparedData

__all__ = ["read_pictures"]

_VIEWS: Final = 4
_AUGMENTED_IMAGES: Final = 3
_MOST_PIXELS: Final = 128
_QUALITY: Final = 82


def read_pictures(report: SweepReport, sweep: Sweep, root: Path) -> Pictures:
    """Return the images of a report from the prepared images below `root`; without them, the reason."""
    digests = {store["digest"] for store in sweep.data.get("resized", {}).values()}
    try:
        data = next(_open_stores(root, sweep, digests), None)
        if data is None:
            return Pictures(missing="The prepared images are gone; a run of the same data prepares them again.")
        return _read(report, sweep, data)
    except (MeltpointError, OSError) as error:
        return Pictures(missing=f"The images cannot be read: {error}")


def _open_stores(root: Path, sweep: Sweep, digests: set[str]) -> Iterator[PreparedData]:
    """Yield the prepared images that the sweep's trials read, whose digest tells them from others."""
    for about in sorted(root.glob("*/about.json")):
        try:
            is_like = json.loads(about.read_text(encoding="utf-8"))["name"] == sweep.data.get("name")
        except (OSError, ValueError, KeyError):
            continue
        for split in sorted(about.parent.glob("split-*.npy")) if is_like else ():
            data = PreparedData.open(about.parent, split.stem.removeprefix("split-"))
            if data.digest in digests:
                yield data


def _read(report: SweepReport, sweep: Sweep, data: PreparedData) -> Pictures:
    positions = [mistake.position for mistake in report.mistakes.worst]
    rows = data.splits["val"]
    shown = [position for position in positions if position < len(rows)]
    images = data.images[rows[shown]] if shown else ()
    mistakes = {position: _as_uri(image) for position, image in zip(shown, images, strict=True)}
    policy, augmented = _augment(report, sweep, data)
    return Pictures(policy=policy, augmented=augmented, mistakes=mistakes)


def _augment(report: SweepReport, sweep: Sweep, data: PreparedData) -> tuple[str, tuple[AugmentedImage, ...]]:
    """Return the policy of the recipe to use, and views of the first training image of a few classes.

    An augmentation of the user's own is not run: a report runs no code of users.
    """
    if not report.headline.recipe:
        return "", ()
    policy = Recipe.from_flat(report.headline.recipe).augment.drawing
    train = data.splits["train"]
    if is_own(policy, "augmentation") or not len(train):
        return policy, ()
    labels = data.labels[train]
    rows = np.array([train[np.flatnonzero(labels == label)[0]] for label in np.unique(labels)[:_AUGMENTED_IMAGES]])
    images = torch.from_numpy(np.ascontiguousarray(data.images[rows])).permute(0, 3, 1, 2)
    views = [
        draw_views(images, data.digests[rows], seed=sweep.seed, policy=policy, view=view).permute(0, 2, 3, 1).numpy()
        for view in range(_VIEWS)
    ]
    originals = images.permute(0, 2, 3, 1).numpy()
    return policy, tuple(
        AugmentedImage(
            label=str(data.classes[data.labels[row]]),
            original=_as_uri(originals[index]),
            views=tuple(_as_uri(view[index]) for view in views),
        )
        for index, row in enumerate(rows)
    )


def _as_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """Return pixels (H, W, 3) as a small JPEG in a data URI."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
