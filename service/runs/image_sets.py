"""The prepared images of a sweep, by where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.ledgers import Json

__all__ = ["ImageSet", "ImageSets"]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """The folder of decoded images, and the key of their split."""

    folder: str
    split_key: str


@dataclass(frozen=True, kw_only=True)
class ImageSets:
    """For each backbone of a sweep, the images as it wants them.

    summary: JSON-able, see `summarize`; skipped: (name, reason) of the images that could not be read.
    """

    of: dict[str, ImageSet]
    summary: Json
    skipped: tuple[tuple[str, str], ...]

    @property
    def stores(self) -> list[str]:
        """The names of their folders, sorted."""
        return sorted({Path(each.folder).name for each in self.of.values()})
