"""Stores of checkpoints: a local folder, or any file system that fsspec reaches by a URI."""

from trainables.checkpoint_stores.background import BackgroundTasks, within_seconds
from trainables.checkpoint_stores.base import CheckpointStore, StoredFile
from trainables.checkpoint_stores.markers import check_marker, write_marker
from trainables.checkpoint_stores.opening import open_store, probe_store
from trainables.checkpoint_stores.places import (
    is_remote,
    join_place,
    mask_place,
    name_of_place,
    parent_place,
    read_place,
)

__all__ = [
    "BackgroundTasks",
    "CheckpointStore",
    "StoredFile",
    "check_marker",
    "is_remote",
    "join_place",
    "mask_place",
    "name_of_place",
    "open_store",
    "parent_place",
    "probe_store",
    "read_place",
    "within_seconds",
    "write_marker",
]
