"""The interface of a store: whole files by their locations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CheckpointStore", "StoredFile"]


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file in a store. location: by which the store reads it. size: in bytes."""

    location: str
    size: int


class CheckpointStore(ABC):
    """Writes and reads whole files; a location is a folder's place, a slash and a name.

    Thread safety: any thread or process may call.
    Raises (any method): StoreError if the store refuses, is full or cannot be reached.
    """

    @abstractmethod
    def write(self, folder: str, name: str, content: bytes) -> str:
        """Write a file, make its folder if need be, and return its location once all of it is there."""

    @abstractmethod
    def read(self, location: str) -> bytes:
        """Return a file's content. Raises CheckpointError if there is none, or a local file cannot be read."""

    @abstractmethod
    def exists(self, location: str) -> bool:
        """Return whether there is such a file."""

    @abstractmethod
    def delete(self, location: str) -> None:
        """Delete a file, if it is there."""

    @abstractmethod
    def files(self, folder: str) -> Iterator[StoredFile]:
        """Yield the files in a folder and below, also while others write and delete; none if there is no folder."""

    @abstractmethod
    def remove(self, folder: str) -> None:
        """Delete a folder with all that is in it, if it is there."""
