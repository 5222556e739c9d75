"""Manifests: label files that list images, and the metadata files that lie beside images."""

from trainables.datasets.manifests.manifest import load_manifest
from trainables.datasets.manifests.readers import MANIFEST_SUFFIXES

__all__ = ["MANIFEST_SUFFIXES", "load_manifest"]
