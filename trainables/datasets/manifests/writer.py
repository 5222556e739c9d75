"""Writing of a manifest, which lists what another source holds, so that a person can edit it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import show
from trainables.datasets.files import RemoteFile
from trainables.datasets.tables import ImageTable
from trainables.errors import DataError

__all__ = ["ManifestText", "manifest_text"]


@dataclass(frozen=True, kw_only=True)
class ManifestText:
    """A manifest in CSV. root: the place in which its paths start if that is not its own folder."""

    text: str
    root: str | None


def manifest_text(table: ImageTable, source: Path | str, folder: Path) -> ManifestText:
    """Return a manifest with the columns `image`, `label` and, if the source names splits, `split`.

    Read again, it gives the same images, labels and splits in the same order. Paths start in `folder` if it holds all
    images, else where the names of the images start.

    Args:
        table: the images.
        source: path or URI of the folder in which the images' names start.
        folder: the manifest's folder.

    Raises:
        DataError: images are no files of their own, or a name or label cannot stand in a manifest.
    """
    below = _paths_below(table, folder)
    paths = table.names if below is None else below
    rows = [["image", "label", "split"][: 2 if table.split is None else 3]]
    labels = [table.classes[code] for code in table.labels]
    for text in (*paths, *table.classes):
        _check(text)
    rows += [list(row) for row in zip(paths, labels, *([] if table.split is None else [_splits(table)]), strict=True)]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    root = None if below is not None else str(source.absolute()) if isinstance(source, Path) else source
    return ManifestText(text=stream.getvalue(), root=root)


def _paths_below(table: ImageTable, folder: Path) -> Sequence[str] | None:
    """Return the images' paths below the folder; None if some lie elsewhere."""
    start = Path(os.path.abspath(folder))  # noqa: PTH100 - removes `..`, keeps links
    paths = []
    for image in table.images:
        if isinstance(image, RemoteFile):
            return None
        if not isinstance(image, Path):
            raise DataError(
                f"the images of {table.name} are no files of their own, which a manifest could list; "
                f"name the set itself in the sweep file"
            )
        place = Path(os.path.abspath(image))  # noqa: PTH100
        if not place.is_relative_to(start):
            return None
        paths.append(place.relative_to(start).as_posix())
    return paths


def _splits(table: ImageTable) -> Iterator[str]:
    """Yield the cells of the splits; those of images to be divided are empty only if `train` would mean more."""
    assert table.split is not None
    divided = "" if "val" in table.split else "train"
    return (split or divided for split in table.split.tolist())


def _check(text: str) -> None:
    if text != text.strip() or not text or text.lower() == "nan":
        raise DataError(f"{show(text)} cannot stand in a manifest, which has no outer spaces and no nan: rename it")
    if not text.isascii() and text.encode(errors="replace").decode() != text:
        raise DataError(f"{show(text)} is not UTF-8: rename the file")
