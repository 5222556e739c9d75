"""Image folders: a folder for each class, or for each split with classes in it, on this machine or behind a URI."""

from __future__ import annotations

import mimetypes
import posixpath
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from search_spaces.errors import show
from search_spaces.sweeps import DataColumns, DataLayout
from trainables.datasets.archives import ARCHIVE_SUFFIXES, ArchiveFolder, ArchiveMember, is_inside
from trainables.datasets.files import RemoteFile, join_uri, list_files, name_of
from trainables.datasets.images import SUFFIXES, is_image
from trainables.datasets.layouts import Layout, find_layout
from trainables.datasets.local_folders import LocalFolder, is_hidden, list_local
from trainables.datasets.manifests import MANIFEST_SUFFIXES, FolderFiles, is_metadata, load_metadata, refuse_columns
from trainables.datasets.tables import EmbeddedImage, ImageSource, ImageTable, LeftOut, check_class_names
from trainables.errors import DataError

__all__ = ["load_folder"]

_HIDDEN = "hidden"
_NO_IMAGE = "not an image"


def load_folder(
    root: Path | str,
    layout: DataLayout | None = None,
    listed: LocalFolder | Mapping[str, RemoteFile] | None = None,
    archives: ArchiveFolder | None = None,
    *,
    columns: DataColumns | None = None,
    group: str | None = None,
) -> ImageTable:
    """List the images below `root`, with the classes and splits that metadata files or their folders name.

    Files with an unusual suffix, or none, are images if their content is. Hidden files and folders are left out.
    Images of folders for training are divided among the splits that no folder names.

    Args:
        root: a path or a URI.
        layout: how the folders are meant; None to find it from their names.
        listed: the files below the root, if they are known already.
        archives: the archives that hold the images, if `root` is an archive, or holds some.
        columns: names of the columns of metadata files.
        group: column of metadata files whose equal values keep images in one split.

    Raises:
        DataError: fewer than two classes, a class without images, folders that can be read in several ways, or two
            class names that differ only in case.
        OSError: a folder cannot be read.
    """
    listing = _list(root, listed, archives)
    name = name_of(root) if archives is None else archives.name
    where = [] if archives is None else [archives.where]
    if listing.metadata and layout is None:
        beside = [pair for pair in listing.left_out if pair[1] not in listing.metadata]
        files = FolderFiles(place=root, name=name, images=listing.images, metadata=listing.metadata, left_out=beside)
        table = load_metadata(
            files, columns=columns or DataColumns(), group=group, has_classes=_names_classes(listing.images)
        )
        if table is not None:
            return replace(table, layout=", ".join([table.layout, *where]))
    refuse_columns(str(root), columns, group)
    hint = _label_file(root, listing, archives)
    try:
        table = _read_folders(root, listing, layout, name, hint)
    except DataError as error:
        raise DataError(f"{error}; {hint}" if hint and hint not in str(error) else str(error)) from None
    return replace(table, layout=", ".join([table.layout, *where]))


def _read_folders(root: Path | str, listing: _Listing, layout: DataLayout | None, name: str, hint: str) -> ImageTable:
    try:
        reading = find_layout(listing.images, layout)
    except DataError as error:
        raise DataError(f"data.source: {root}: {error}") from None
    places = {name: reading.locate(name) for name in listing.images}
    located = sorted((place, name) for name, place in places.items() if not isinstance(place, str))
    if not located:
        raise DataError(_no_images(root, listing, hint))
    classes = _classes(root, reading, {label for (label, _), _ in located}, listing.empty)
    code = {label: position for position, label in enumerate(classes)}
    splits = ["" if split == "train" else split for (_, split), _ in located]
    without_class = ((place, name) for name, place in places.items() if isinstance(place, str))
    return ImageTable(
        name=name,
        images=[listing.images[name] for _, name in located],
        names=tuple(name for _, name in located),
        labels=np.array([code[label] for (label, _), _ in located], dtype=np.int64),
        classes=classes,
        split=np.array(splits) if any(splits) else None,
        layout=reading.describe(),
        left_out=LeftOut.group([*without_class, *listing.left_out]),
    )


@dataclass(frozen=True, kw_only=True)
class _Listing:
    """Files below a root.

    Attributes:
        images: path below the root -> file, sorted by path.
        empty: names of the root's own folders that hold no image.
        left_out: (reason, path) of the other files.
        metadata: those of the other files that are called as metadata files are.
    """

    images: dict[str, ImageSource]
    empty: Collection[str]
    left_out: list[tuple[str, str]]
    metadata: Mapping[str, Path | RemoteFile | EmbeddedImage]


def _names_classes(images: Iterable[str]) -> bool:
    """Return if the folders of images name several classes."""
    try:
        layout = find_layout(images)
    except DataError:
        return False
    places = [layout.locate(name) for name in images]
    return len({place[0] for place in places if not isinstance(place, str)}) > 1


def _list(
    root: Path | str, listed: LocalFolder | Mapping[str, RemoteFile] | None, archives: ArchiveFolder | None
) -> _Listing:
    if archives is not None:
        listing = _list_files(archives.files)
        return replace(listing, left_out=[*listing.left_out, *archives.left_out])
    if isinstance(root, Path):
        return _list_local(listed if isinstance(listed, LocalFolder) else list_local(root))
    return _list_files(list_files(root) if listed is None or isinstance(listed, LocalFolder) else listed)


def _classes(root: Path | str, layout: Layout, named: set[str], empty: Collection[str]) -> tuple[str, ...]:
    hollow = sorted(empty) if layout.kind == "class" and not layout.base else []
    if len({*named, *hollow}) < 2:
        raise DataError(f"data.source: {root} must hold at least two class folders (only {show(*named)})")
    if hollow:
        raise DataError(f"data.source: class folders of {root} must hold images (none in {', '.join(hollow)})")
    classes = tuple(sorted(named))
    check_class_names(classes, f"data.source: {root}")
    return classes


def _label_file(root: Path | str, listing: _Listing, archives: ArchiveFolder | None) -> str:
    """Return a way out if the folder has a file that may list its images; "" if it has none."""
    lists = [name for _, name in listing.left_out if name.lower().endswith(MANIFEST_SUFFIXES)]
    if not lists or (archives is not None and len(archives.archives) > 1):
        return ""
    if archives is not None and not (isinstance(root, str) and is_inside(root)):
        protocol = "zip" if str(root).lower().endswith(".zip") else "tar"
        place = f"{protocol}://{lists[0]}::{root}"
    else:
        place = join_uri(root, lists[0]) if isinstance(root, str) else str(root / lists[0])
    return f"if {lists[0]} in it has their labels, name that: {place}"


def _no_images(root: Path | str, listing: _Listing, hint: str) -> str:
    packed = [name for _, name in listing.left_out if name.lower().endswith(ARCHIVE_SUFFIXES)]
    inside = f"; archives inside archives are not read: unpack {packed[0]}" if packed else ""
    manifest = hint or "for images in other places, name a manifest: a .csv file with the columns image and label"
    if listing.images:
        return f"data.source: images without classes: {root} must hold one folder per class{inside}; {manifest}"
    return (
        f"data.source: no images: {root} must hold one folder per class with {', '.join(sorted(SUFFIXES))} files"
        f"{inside}; {manifest}"
    )


def _list_local(folder: LocalFolder) -> _Listing:
    images: dict[str, ImageSource] = {}
    left_out = [(_HIDDEN, name) for name in folder.hidden]
    for name, file in folder.files.items():
        if _has_image_suffix(name) or is_image(file):
            images[name] = file
        else:
            left_out.append((_NO_IMAGE, name))
    filled = {name.partition("/")[0] for name in images}
    metadata = {name: folder.files[name] for reason, name in left_out if reason == _NO_IMAGE and is_metadata(name)}
    return _Listing(images=images, empty={*folder.folders} - filled, left_out=left_out, metadata=metadata)


def _list_files(files: Mapping[str, RemoteFile | ArchiveMember]) -> _Listing:
    """Sort files behind a URI, or in archives.

    Empty folders may be missing. Of the files with an unknown suffix, only those that may be images are read.
    """
    images: dict[str, ImageSource] = {}
    left_out: list[tuple[str, str]] = []
    folders: set[str] = set()
    for name, file in files.items():
        parts = PurePosixPath(name).parts
        folders.update(parts[:-1][:1])
        if any(map(is_hidden, parts)):
            left_out.append((_HIDDEN, name))
        elif _has_image_suffix(name) or (_may_be_image(name) and is_image(file.read())):
            images[name] = file
        else:
            left_out.append((_NO_IMAGE, name))
    filled = {name.partition("/")[0] for name in images}
    visible = {name for name in folders if not is_hidden(name)}
    metadata = {name: files[name] for reason, name in left_out if reason == _NO_IMAGE and is_metadata(name)}
    return _Listing(images=images, empty=visible - filled, left_out=left_out, metadata=metadata)


def _has_image_suffix(name: str) -> bool:
    return posixpath.splitext(name)[1].lower() in SUFFIXES


def _may_be_image(name: str) -> bool:
    """Return False for suffixes that belong to another type, such as .txt and .mp4."""
    kind, _ = mimetypes.guess_type(name)
    return kind is None or kind.startswith("image/")
