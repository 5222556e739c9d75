"""Sources of labelled images, and their splits."""

from trainables.datasets.files import RemoteFile, is_uri
from trainables.datasets.splits import SPLITS, assign_splits, check_splits
from trainables.datasets.tables import ImageSource, ImageTable, LeftOut, describe_left_out

__all__ = [
    "SPLITS",
    "ImageSource",
    "ImageTable",
    "LeftOut",
    "RemoteFile",
    "assign_splits",
    "check_splits",
    "describe_left_out",
    "is_uri",
]
