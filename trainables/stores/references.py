"""References to prepared images by their content, which each node resolves at a place of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import DataSpec
from trainables.datasets import ImageTable
from trainables.errors import DataError, NodeError
from trainables.nodes import Node
from trainables.stores.locks import lock_for_writing
from trainables.stores.prepared import PreparedData, find_prepared, prepare_for_backbones, read_table

__all__ = ["ImagesReference", "open_images"]

_BEAT_SECONDS = 0.5

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ImagesReference:
    """The images of a trial as plain values that can be sent to any node.

    Args:
        digest: digest of the prepared images, see `PreparedData.digest`.
        parts: what the digest covers, see `PreparedData.parts`.
        data: fields of the sweep's `DataSpec`.
        base_dir: folder at which relative paths start.
        backbones: all backbones of the sweep: they decide how the images are resized, and how much room they take.
    """

    digest: str
    parts: Mapping[str, str | int]
    data: Json
    base_dir: str
    backbones: tuple[str, ...]

    @classmethod
    def describe(
        cls, prepared: PreparedData, data: DataSpec, *, base_dir: Path, backbones: Iterable[str] = ()
    ) -> ImagesReference:
        """Describe what was prepared from `data` for `backbones`."""
        return cls(
            digest=prepared.digest,
            parts=prepared.parts(),
            data=data.model_dump(mode="json", exclude_none=True, exclude={"cache"}),
            base_dir=str(base_dir),
            backbones=tuple(backbones),
        )


def open_images(
    reference: ImagesReference, *, root: Path, node: str | None = None, beat: Callable[[], None] = lambda: None
) -> PreparedData:
    """Open the images of `reference` below `root`; prepare them there if they are not.

    Images are prepared from the source that the sweep names, within the limits of this node's disk and memory: one node
    may stream what another keeps decoded. Processes of a node that need the same images wait for the one that prepares.

    Args:
        reference: the images.
        root: folder of all prepared images of this node.
        node: name of this node for errors; by default its own.
        beat: called about twice a second while images are prepared; an error that it raises ends the wait.

    Raises:
        NodeError: this node cannot prepare the images, or gets others than the sweep has.
        DataError: the prepared images are damaged.
    """
    prepared = find_prepared(root, reference.digest)
    if prepared is not None:
        return prepared
    return _beating(lambda progress: _prepare(reference, root, node or Node.here().name, progress), beat)


def _prepare(reference: ImagesReference, root: Path, node: str, progress: Callable[[int, int], None]) -> PreparedData:
    source = reference.data["source"]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with lock_for_writing(root / f"images-{reference.digest}"):
            prepared = find_prepared(root, reference.digest)
            if prepared is not None:  # another process of this node was first
                return prepared
            data = DataSpec.model_validate(reference.data)
            table = _read_table(data, reference, root, node)
            stores = prepare_for_backbones(table, data, reference.backbones, root=root, progress=progress)
    except OSError as error:
        raise NodeError(
            f"node {node}: {root} cannot be written ({error.strerror or error}); start the node with "
            "MELTPOINT_NODE_HOME set to a folder that can"
        ) from error
    except DataError as error:  # no room, or damaged images
        raise NodeError(f"node {node} cannot decode the images of {source}: {error}") from error
    for prepared in stores.values():
        if prepared.digest == reference.digest:
            return prepared
    others = next(iter(stores.values()))
    raise NodeError(
        f"node {node}: the images of {source} are not those of the sweep (digest {others.digest}, the sweep's "
        f"{reference.digest}): {_difference(others.parts(), reference.parts)}; give data.source as a URI that every "
        "node reads, or put the same files at the same path on every node"
    )


def _read_table(data: DataSpec, reference: ImagesReference, root: Path, node: str) -> ImageTable:
    try:
        return read_table(data, base_dir=Path(reference.base_dir), root=root)
    except DataError as error:
        raise NodeError(
            f"node {node} cannot prepare the images of {data.source}: {error}; give data.source as a URI that every "
            "node reads, or put the same files at the same path on every node"
        ) from error


def _difference(here: Mapping[str, str | int], wanted: Mapping[str, str | int]) -> str:
    """Return the first difference in words. here, wanted: see `PreparedData.parts`."""
    for count in ("images", "classes", "image_size"):
        if here[count] != wanted[count]:
            return f"{count.replace('_', ' ')} {here[count]} here, {wanted[count]} in the sweep"
    decoders = f"decoded by {here['decoder']} here, by {wanted['decoder']} for the sweep"
    differences = {
        "names": "the names of the classes differ",
        "labels": "labels differ",
        "pixels": f"pixels differ, or the order of the images ({decoders})",
        "splits": "the splits differ",
    }
    return next((words for part, words in differences.items() if here[part] != wanted[part]), "the resizing differs")


def _beating(prepare: Callable[[Callable[[int, int], None]], PreparedData], beat: Callable[[], None]) -> PreparedData:
    """Call `prepare` in a thread, and `beat` in this one, since a listing or a download tells of no progress."""
    future: Future[PreparedData] = Future()
    given_up = threading.Event()

    def progress(_done: int, _total: int) -> None:
        if given_up.is_set():
            raise DataError("given up")

    def work() -> None:
        try:
            future.set_result(prepare(progress))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="prepare", daemon=True).start()
    try:
        while True:
            try:
                return future.result(_BEAT_SECONDS)
            except NotYetError:
                if future.done():
                    raise
                beat()
    except BaseException:
        given_up.set()
        raise
