"""`meltpoint cache ls` and `meltpoint cache prune`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import typer

from search_spaces import Problem, SpecError
from search_spaces.documents import format_size, parse_duration, parse_size
from service.clocks import now_ms
from service.formats import Format, counted
from service.ledgers import Json
from service.settings import Home
from service.terminals import print_data, print_table, stderr
from service.upkeep.caches import CachedFolder, due, list_cache, remove

SECONDS_A_DAY = 86400.0


def ls(form: Format, home: Home) -> None:
    """Everything cached, and what it takes."""
    cached = list_cache(home)
    if form is not Format.TABLE:
        print_data([one.as_json() for one in cached], form)
        return
    _print(cached, "" if cached else f"nothing cached in {home.root}")
    if cached:
        stderr().print(f"{format_size(sum(one.bytes for one in cached))} in all")
        stderr().print("next: meltpoint cache prune --dry-run")


def prune(*, older_than: str | None, most: str | None, dry_run: bool, yes: bool, form: Format, home: Home) -> int:
    """Remove what is due; returns the exit code. Raises SpecError for an age or a size that is none."""
    age = None if older_than is None else _parsed("--older-than", older_than)
    most_bytes = None if most is None else _parsed("--max", most)
    cached = list_cache(home)
    chosen = due(cached, now=now_ms(), older_than=age, most_bytes=None if most_bytes is None else int(most_bytes))
    if dry_run or not chosen:
        _tell(chosen, [], form, dry_run=True)
        return 0
    if not yes and not _confirmed(chosen):
        return 2
    gone = [one for one in chosen if _removed(one)]
    _tell(gone, [one for one in chosen if one not in gone], form, dry_run=False)
    return 0 if len(gone) == len(chosen) else 1


def _parsed(option: str, text: str) -> float:
    days = re.fullmatch(r"(\d{1,6})d", text)
    try:
        if option == "--max":
            return 0.0 if text == "0" else parse_size(text)
        return int(days[1]) * SECONDS_A_DAY if days else parse_duration(text)
    except ValueError as error:
        rule = "must be an age such as 30d, 12h or 1h30m" if option == "--older-than" else str(error)
        raise SpecError([Problem(path=option, rule=rule, value=text)]) from None


def _confirmed(chosen: Sequence[CachedFolder]) -> bool:
    _print(chosen, "")
    what = f"{counted(len(chosen), 'folder')} with {format_size(sum(one.bytes for one in chosen))}"
    if not sys.stdin.isatty():
        stderr().print(f"not removed: {what}; say --yes where nobody can be asked")
        return False
    return typer.confirm(f"remove {what}?", err=True)


def _removed(one: CachedFolder) -> bool:
    try:
        if remove(one):
            return True
        reason = "in use"
    except OSError as error:
        reason = error.strerror or str(error)
    stderr().print(f"not removed: {one.name} ({one.path}): {reason}", markup=False, soft_wrap=True)
    return False


def _tell(gone: Sequence[CachedFolder], kept: Sequence[CachedFolder], form: Format, *, dry_run: bool) -> None:
    taken = sum(one.bytes for one in gone)
    if form is Format.TABLE:
        _print(gone, "")
    else:
        rows: list[Json] = [one.as_json() | {"removed": not dry_run} for one in gone]
        print_data([*rows, *(one.as_json() | {"removed": False} for one in kept)], form)
    what = "would be removed" if dry_run else "removed"
    console = stderr()
    console.print(f"{what}: {counted(len(gone), 'folder')} with {format_size(taken)}" if gone else "nothing to remove")
    if dry_run and gone:
        console.print("next: the same without --dry-run")


def _print(cached: Sequence[CachedFolder], nothing: str) -> None:
    if not cached:
        if nothing:
            stderr().print(nothing, markup=False, soft_wrap=True)
        return
    header = ["kind", "name", "what", "size", "last used", "used by"]
    print_table(header, [_row(one) for one in cached])


def _row(one: CachedFolder) -> list[str]:
    used = datetime.fromtimestamp(one.last_used / 1000, tz=UTC).isoformat(timespec="minutes")
    return [one.kind, one.name, one.about, format_size(one.bytes), used, ", ".join(one.users)]
