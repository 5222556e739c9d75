"""Sources of labelled images, and their splits."""

from trainables.datasets.files import RemoteFile, is_uri
from trainables.datasets.splits import SPLITS, assign_splits, check_splits
from trainables.datasets.tables import ImageSource, ImageTable

__all__ = ["SPLITS", "ImageSource", "ImageTable", "RemoteFile", "assign_splits", "check_splits", "is_uri"]
