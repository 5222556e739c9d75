"""Manifests: files that list images and labels, and optionally splits and groups."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from search_spaces.sweeps import DataColumns
from trainables.datasets.files import name_of, parent_uri
from trainables.datasets.manifests.columns import choose_columns
from trainables.datasets.manifests.missing import find_way_out
from trainables.datasets.manifests.readers import read_sheet
from trainables.datasets.manifests.roots import open_root
from trainables.datasets.manifests.rows import make_table, read_rows
from trainables.datasets.tables import ImageTable

__all__ = ["load_manifest"]


def load_manifest(
    place: Path | str,
    *,
    group: str | None,
    root: Path | str | None = None,
    columns: DataColumns | None = None,
    base_dir: Path | None = None,
) -> ImageTable:
    """List the images of a manifest, with labels and, if it names them, splits and groups.

    Rows keep the file's order; classes are sorted. Rows whose split is empty are divided as `data.split` says; so are
    training images, if no row is a validation image.

    Args:
        place: path or URI of the manifest.
        group: name of the column whose equal values keep images in one split.
        root: path or URI at which image paths start, and below which they must stay; by default the manifest's folder.
        columns: names of columns; those that are None are found, see `choose_columns`.
        base_dir: folder in which relative paths of the sweep file start, for the advice in messages.

    Raises:
        DataError: the message gives file, line and column of the first mistake of each kind, and how many there are.
    """
    sheet = read_sheet(place)
    chosen = choose_columns(sheet, columns or DataColumns(), group=group)
    images = open_root(root if root is not None else place.parent if isinstance(place, Path) else parent_uri(place))
    rows = read_rows(sheet, chosen, images, partial(find_way_out, images, base_dir))
    return make_table(
        place,
        rows,
        name=Path(name_of(place)).stem,
        column=chosen.label or chosen.classes[0],
        has_groups=group is not None,
        layout=f"a manifest: {chosen.describe()}",
    )
