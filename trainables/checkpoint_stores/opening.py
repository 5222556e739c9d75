"""The store that a place belongs to, and a trial of whether it can be used."""

from __future__ import annotations

import secrets

from trainables.checkpoint_stores.base import CheckpointStore
from trainables.checkpoint_stores.local import LocalStore
from trainables.checkpoint_stores.places import is_remote
from trainables.errors import CheckpointError, StoreError

__all__ = ["open_store", "probe_store"]


def open_store(place: str) -> CheckpointStore:
    """Return the store of a place: of a file, or of a folder.

    Raises:
        StoreError: the driver of its protocol is not installed.
    """
    if not is_remote(place):
        return LocalStore()
    from trainables.checkpoint_stores.remote import RemoteStore  # loads fsspec

    return RemoteStore(place)


def probe_store(folder: str) -> None:
    """Write a small file into a folder, read it and delete it.

    Raises:
        StoreError: this process cannot do so; the message gives the cause.
    """
    store, token = open_store(folder), secrets.token_hex(8)
    location = store.write(folder, f"probe-{token}", token.encode())
    try:
        content = store.read(location)
    except CheckpointError:
        content = b""
    finally:
        store.delete(location)
    if content != token.encode():
        raise StoreError(f"the checkpoint store {folder} cannot be used: it does not give back what was written")
