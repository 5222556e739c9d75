"""The prepared images of a sweep, by their folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.ledgers import Json

__all__ = ["ImageSet", "ImageSets"]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """A folder of decoded images, and the key of their split.

    reference: fields of an `ImagesReference`, by which other nodes have the same images.
    """

    folder: str
    split_key: str
    reference: Json


@dataclass(frozen=True, kw_only=True)
class ImageSets:
    """The images of a sweep, for each backbone at the size and with the resizing that it needs.

    summary: JSON-able, see `summarize_data`, with digests of all starting weights and versions of the packages.
    skipped: (name, reason) of the images that could not be read. labels: of the splits' images, packed.
    own_code: digest of each module with own code, by its name.
    """

    by_backbone: dict[str, ImageSet]
    summary: Json
    skipped: tuple[tuple[str, str], ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    own_code: Mapping[str, str] = field(default_factory=dict)

    @property
    def stores(self) -> list[str]:
        """Return the names of the images' folders, sorted."""
        return sorted({Path(images.folder).name for images in self.by_backbone.values()})

    def weights_digest(self, backbone: str, weights: str) -> str | None:
        """Return the digest of a backbone's starting weights; None for random ones."""
        rows = self.summary.get("weights", ())
        digests = (row["digest"] for row in rows if (row["backbone"], row["weights"]) == (backbone, weights))
        return next(digests, None)
