"""Fields of a trial's plan for images that a test has prepared."""

from __future__ import annotations

from typing import Any

from search_spaces import DataSpec
from trainables.stores.prepared import PreparedData
from trainables.stores.references import ImagesReference

__all__ = ["images_of"]


def images_of(prepared: PreparedData) -> dict[str, Any]:
    """Return the fields of a `TrialPlan` by which its worker opens `prepared`."""
    reference = ImagesReference.describe(prepared, DataSpec(source=prepared.name), base_dir=prepared.folder)
    return {"images": vars(reference), "images_root": str(prepared.folder.parent)}
