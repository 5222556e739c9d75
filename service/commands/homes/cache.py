"""`meltpoint cache ls` and `meltpoint cache prune`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from search_spaces import Problem, SpecError
from search_spaces.documents import format_size, parse_duration, parse_size
from service.clocks import now_ms
from service.formats import Format, counted
from service.settings import Home
from service.terminals import HomeFlag, Output, print_data, print_next, print_table, stderr

if TYPE_CHECKING:
    from service.ledgers import Json
    from service.upkeep.caches import CachedFolder

SECONDS_A_DAY = 86400.0

cache = typer.Typer(no_args_is_help=True, help="Show and remove files that the home keeps only to save time.")


@cache.command("ls")
def ls(output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """List the cached folders, the longest unused first."""
    from service.upkeep.caches import list_cache

    place = Home.resolve(home)
    cached = list_cache(place)
    if output is not Format.TABLE:
        print_data([folder.as_json() for folder in cached], output)
    elif not cached:
        stderr().print(f"nothing cached in {place.root}", markup=False, soft_wrap=True)
    else:
        _print(cached)
        stderr().print(f"{format_size(sum(folder.bytes for folder in cached))} in all")
        print_next("cache", "prune", "--dry-run")


@cache.command("prune")
def prune(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Remove only folders unused for this long, such as 30d."),
    ] = None,
    most: Annotated[
        str | None,
        typer.Option("--max", metavar="SIZE", help="Remove the longest unused until the rest fits, such as 10G."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Remove cached folders: all of them, or those that the options name. Folders that a sweep uses stay."""
    from service.upkeep.caches import due, list_cache

    age = None if older_than is None else _parsed("--older-than", older_than)
    most_bytes = None if most is None else _parsed("--max", most)
    cached = list_cache(Home.resolve(home))
    chosen = due(cached, now=now_ms(), older_than=age, most_bytes=None if most_bytes is None else int(most_bytes))
    if dry_run or not chosen:
        _show_removed(chosen, [], output, dry_run=True)
        if dry_run and chosen:
            limits = [("--older-than", older_than), ("--max", most)]
            print_next("cache", "prune", *(word for name, value in limits if value for word in (name, value)))
        return
    if not yes and not _confirmed(chosen):
        sys.exit(2)
    gone = [folder for folder in chosen if _removed(folder)]
    _show_removed(gone, [folder for folder in chosen if folder not in gone], output, dry_run=False)
    sys.exit(0 if len(gone) == len(chosen) else 1)


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
    _print(chosen)
    amount = f"{counted(len(chosen), 'folder')} with {format_size(sum(folder.bytes for folder in chosen))}"
    if not sys.stdin.isatty():
        stderr().print(f"not removed: {amount}; nobody can be asked here, so confirm with --yes", soft_wrap=True)
        return False
    return typer.confirm(f"remove {amount}?", err=True)


def _removed(folder: CachedFolder) -> bool:
    from service.upkeep.caches import remove

    try:
        if remove(folder):
            return True
        reason = "in use"
    except OSError as error:
        reason = error.strerror or str(error)
    stderr().print(f"not removed: {folder.name} ({folder.path}): {reason}", markup=False, soft_wrap=True)
    return False


def _show_removed(gone: Sequence[CachedFolder], kept: Sequence[CachedFolder], form: Format, *, dry_run: bool) -> None:
    taken = sum(folder.bytes for folder in gone)
    if form is not Format.TABLE:
        rows: list[Json] = [folder.as_json() | {"removed": not dry_run} for folder in gone]
        print_data([*rows, *(folder.as_json() | {"removed": False} for folder in kept)], form)
    elif gone:
        _print(gone)
    verb = "would be removed" if dry_run else "removed"
    amount = f"{counted(len(gone), 'folder')} with {format_size(taken)}"
    stderr().print(f"{verb}: {amount}" if gone else "nothing to remove")


def _print(cached: Sequence[CachedFolder]) -> None:
    header = ["kind", "name", "what", "size", "last used", "used by"]
    print_table(header, [_row(folder) for folder in cached])


def _row(folder: CachedFolder) -> list[str]:
    used = datetime.fromtimestamp(folder.last_used / 1000, tz=UTC).isoformat(timespec="minutes")
    return [folder.kind, folder.name, folder.about, format_size(folder.bytes), used, ", ".join(folder.users)]
