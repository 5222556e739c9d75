"""Sources of labelled images, and their splits."""

from trainables.datasets.files import RemoteFile, file_stamp, is_uri
from trainables.datasets.splits import SPLITS, assign_splits, check_splits
from trainables.datasets.tables import ImageSource, ImageTable, LeftOut, source_facts

__all__ = [
    "SPLITS",
    "ImageSource",
    "ImageTable",
    "LeftOut",
    "RemoteFile",
    "assign_splits",
    "check_splits",
    "file_stamp",
    "is_uri",
    "source_facts",
]
