"""Manifests: label files that list images, and the metadata files that lie beside images."""

from trainables.datasets.manifests.columns import refuse_columns
from trainables.datasets.manifests.manifest import load_manifest
from trainables.datasets.manifests.metadata import FolderFiles, is_metadata, load_metadata
from trainables.datasets.manifests.readers import MANIFEST_SUFFIXES
from trainables.datasets.manifests.roots import Root, open_root
from trainables.datasets.manifests.writer import ManifestText, manifest_text

__all__ = [
    "MANIFEST_SUFFIXES",
    "FolderFiles",
    "ManifestText",
    "Root",
    "is_metadata",
    "load_manifest",
    "load_metadata",
    "manifest_text",
    "open_root",
    "refuse_columns",
]
