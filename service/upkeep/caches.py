"""Caches of a home: their kinds, their users, and their removal."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from service.clocks import now_ms
from service.ledgers import Json, Ledger, MessageKind, Sweep, SweepState
from service.runs.leases import mark_interrupted
from service.settings import Home
from trainables.activations import find_entries
from trainables.stores import lock_for_removal

__all__ = ["KINDS", "CacheKind", "CachedFolder", "due", "list_cache", "remove"]

_TRASH = ".removing-"
_DOWNLOADS = "torchvision"
_ARCHIVES = "archives"
_MAY_TRAIN = tuple(state for state in SweepState if not state.is_finished and state is not SweepState.INTERRUPTED)


@dataclass(frozen=True, kw_only=True)
class CachedFolder:
    """A cached folder, which can be made again. last_used: UTC milliseconds; users: ids of sweeps that need it now."""

    kind: str
    name: str
    about: str
    path: Path
    bytes: int
    last_used: int
    users: tuple[str, ...] = ()

    def as_json(self) -> Json:
        """Return the folder as `cache ls -o json` prints it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "about": self.about,
            "bytes": self.bytes,
            "last_used": self.last_used,
            "used_by": list(self.users),
            "path": str(self.path),
        }


@dataclass(frozen=True, kw_only=True)
class CacheKind:
    """A kind of cache.

    find: returns the folders of this kind in a home. describe: returns a name and a description. needs: returns whether
    a sweep that has not ended reads the folder.
    """

    name: str
    description: str
    find: Callable[[Home], Iterable[Path]]
    describe: Callable[[Path], tuple[str, str]]
    needs: Callable[[Sweep, Path], bool]


def _stores(home: Home) -> list[Path]:
    folders = (path.parent for path in home.data.glob("*/about.json"))
    return [path for path in folders if path.suffix != ".partial" and not path.name.startswith(_TRASH)]


def _describe_store(path: Path) -> tuple[str, str]:
    try:
        about = json.loads((path / "about.json").read_text(encoding="utf-8"))
        size, mode = about["size"], about["mode"]
        header = (path / "labels.npy").stat().st_size
        return about["name"], f"{(header - 128) // 8:,} images at {size} px, {mode}"
    except (OSError, ValueError, KeyError, TypeError):
        return path.name, "damaged"


def _reads_store(sweep: Sweep, path: Path) -> bool:
    """Return whether the sweep reads the store, by its folder or, in sweeps of earlier versions, by its name."""
    if "stores" in sweep.data:
        return path.name in sweep.data["stores"]
    return _describe_store(path)[0] == sweep.data.get("name")


def _downloads(home: Home) -> list[Path]:
    downloads = (home.data / _DOWNLOADS).glob("*")
    return [path for path in downloads if path.is_dir() and not path.name.startswith(_TRASH)]


def _archives(home: Home) -> list[Path]:
    folders = (path.parent for path in (home.data / _ARCHIVES).glob("*/about.json"))
    return [path for path in folders if path.suffix != ".partial" and not path.name.startswith(_TRASH)]


def _describe_archive(path: Path) -> tuple[str, str]:
    try:
        name: str = json.loads((path / "about.json").read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return path.name, "damaged"
    return name.rpartition("/")[2], f"unpacked from {name}"


def _leftovers(home: Home) -> list[Path]:
    """Return the stores that were being written, or removed, when their process ended."""
    trash = f"{_TRASH}*"
    archives = home.data / _ARCHIVES
    places = (home.data, home.data / _DOWNLOADS, archives, home.activations)
    partial = [path for place in (home.data, archives) for path in place.glob("*.partial")]
    return [*partial, *(path for place in places for path in place.glob(trash))]


def _activations(home: Home) -> list[Path]:
    return [path for path in home.activations.glob("*") if path.is_dir() and not path.name.startswith(_TRASH)]


def _describe_activations(path: Path) -> tuple[str, str]:
    boundaries = {entry.folder.name.partition("-")[0] for entry in find_entries(path.parent, path.name)}
    return path.name[:8], f"of frozen stages, at freeze_depth {', '.join(sorted(boundaries, key=int)) or 'none'}"


KINDS: Mapping[str, CacheKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            CacheKind(
                name="images",
                description="images of one set and size, decoded, or listed to be streamed",
                find=_stores,
                describe=_describe_store,
                needs=_reads_store,
            ),
            CacheKind(
                name="activations",
                description="what frozen stages computed; a sweep that needs it again computes it again",
                find=_activations,
                describe=_describe_activations,
                needs=lambda _sweep, _path: False,
            ),
            CacheKind(
                name="downloads",
                description="a torchvision data set as it was downloaded",
                find=_downloads,
                describe=lambda path: (path.name, "downloaded by torchvision"),
                needs=lambda sweep, path: bool(sweep.data.get("source") == f"torchvision:{path.name}"),
            ),
            CacheKind(
                name="archives",
                description="an archive, unpacked or copied to one file; a sweep that needs it again unpacks it again",
                find=_archives,
                describe=_describe_archive,
                needs=lambda _sweep, _path: False,
            ),
            CacheKind(
                name="leftovers",
                description="what a process left half written or half removed",
                find=_leftovers,
                describe=lambda path: (path.name, "left behind"),
                needs=lambda _sweep, _path: False,
            ),
        )
    }
)
"""The kinds of caches. Sweeps, checkpoints, the ledger and MLflow's store are no caches."""


def list_cache(home: Home) -> list[CachedFolder]:
    """Return all cached folders, the longest unused first. Raises LedgerError if the ledger cannot be read."""
    sweeps, promised = _in_need(home)
    cached = []
    for kind in KINDS.values():
        for path in kind.find(home):
            name, about = kind.describe(path)
            users = {sweep.id for sweep in sweeps if kind.needs(sweep, path)} | promised.get(path.name, set())
            cached.append(
                CachedFolder(
                    kind=kind.name,
                    name=name,
                    about=about,
                    path=path,
                    bytes=_size(path),
                    last_used=_last_used(path),
                    users=tuple(sorted(users)),
                )
            )
    return sorted(cached, key=lambda folder: (folder.last_used, str(folder.path)))


def due(
    cached: Sequence[CachedFolder], *, now: int, older_than: float | None = None, most_bytes: int | None = None
) -> list[CachedFolder]:
    """Return the folders to remove; never one that a sweep needs.

    First those that were not used for `older_than` seconds, then the longest unused until the rest takes at most
    `most_bytes`; all if neither is given.
    """
    free = [folder for folder in cached if not folder.users]
    if older_than is None and most_bytes is None:
        return free
    chosen = [] if older_than is None else [folder for folder in free if now - folder.last_used > older_than * 1000]
    if most_bytes is not None:
        left = sum(folder.bytes for folder in cached) - sum(folder.bytes for folder in chosen)
        for folder in (folder for folder in free if folder not in chosen):
            if left <= most_bytes:
                break
            chosen.append(folder)
            left -= folder.bytes
    return chosen


def remove(cached: CachedFolder) -> bool:
    """Remove the folder and return True; do nothing and return False if a process has it open or writes it.

    The folder is moved aside before its files are deleted, so that nobody opens half of it. Raises OSError if the
    system refuses.
    """
    path = cached.path
    if not path.name.startswith(_TRASH):
        with lock_for_removal(_guarded(path)) as ours:
            if not ours:
                return False
            aside = path.with_name(f"{_TRASH}{path.name}-{os.getpid()}")
            path.rename(aside)
            path = aside
    shutil.rmtree(path)
    return True


def _guarded(path: Path) -> Path:
    """Return the folder that is locked while `path` is written: a partly written store has the lock of the whole."""
    return path.with_suffix("") if path.suffix == ".partial" else path


def _in_need(home: Home) -> tuple[list[Sweep], dict[str, set[str]]]:
    """Return the sweeps that may train, and by folder the sweeps whose model is still to be registered from it."""
    if not home.has_ledger:
        return [], {}
    promised: dict[str, set[str]] = {}
    with contextlib.closing(Ledger.open(home, clock=now_ms)) as ledger:
        mark_interrupted(ledger, home)
        for sweep_id in ledger.outbox.sweeps_with_unsent({state.value for state in SweepState}):
            for message in ledger.outbox.unsent(sweep_id):
                if message.kind == MessageKind.CANDIDATE:
                    promised.setdefault(Path(message.payload["data"]).name, set()).add(sweep_id)
        return ledger.sweeps.list(states=_MAY_TRAIN), promised


def _last_used(path: Path) -> int:
    """Return the time of the file that is touched at each use, else of the folder, in UTC milliseconds."""
    marks = [mark for mark in (path / "about.json", path) if mark.exists()]
    return int(marks[0].stat().st_mtime * 1000) if marks else 0


def _size(path: Path) -> int:
    """Return the bytes of the files in a folder."""

    def sizes(folder: Path) -> Iterator[int]:
        for here, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):
                    yield (Path(here) / name).lstat().st_size

    return sum(sizes(path))
