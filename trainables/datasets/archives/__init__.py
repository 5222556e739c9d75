"""Archives of images, read without unpacking them: zip and tar files, folders of them, and WebDataset shards."""

from trainables.datasets.archives.folders import (
    ARCHIVE_SUFFIXES,
    ArchiveFolder,
    is_archive,
    is_inside,
    list_place,
    look_up_place,
    open_archives,
    read_place,
)
from trainables.datasets.archives.members import ArchiveMember
from trainables.datasets.archives.unpacked import CONTENT, TemporaryFiles, UnpackedFiles, content_key, no_room
from trainables.datasets.archives.web_datasets import is_web_dataset, load_web_dataset

__all__ = [
    "ARCHIVE_SUFFIXES",
    "CONTENT",
    "ArchiveFolder",
    "ArchiveMember",
    "TemporaryFiles",
    "UnpackedFiles",
    "content_key",
    "is_archive",
    "is_inside",
    "is_web_dataset",
    "list_place",
    "load_web_dataset",
    "look_up_place",
    "no_room",
    "open_archives",
    "read_place",
]
