"""Sentences on how a sweep's images were read, for people who must see what was understood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from search_spaces.errors import show
from search_spaces.sweeps import DataLayout
from service.formats import counted

__all__ = ["data_notes"]

_EXAMPLES = 2

_WAYS_OUT = {
    False: "data.split.copies: together keeps copies in one split",
    True: "the source gives these splits; take the copies out of all but one",
}
"""Ways out for copies in several splits; True: copies were kept together as far as the source gives no splits."""


def data_notes(data: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each thing that a user should know about the images of a sweep.

    Args:
        data: the sweep's `data`, or a part of it: `layout`, `left_out` and `copies` are read.
    """
    return [*_layout(data), *_left_out(data), *_copies(data.get("copies"))]


def _layout(data: Mapping[str, Any]) -> Iterator[str]:
    layout = data.get("layout")
    if layout and layout != "class":
        is_folder = layout.split()[0].rstrip(",") in get_args(DataLayout)
        yield f"folders are read as {layout}" if is_folder else f"read as {layout}"


def _left_out(data: Mapping[str, Any]) -> Iterator[str]:
    groups = data.get("left_out") or ()
    if groups:
        yield "left out: " + "; ".join(_group(group) for group in groups)


def _group(group: Mapping[str, Any]) -> str:
    more = ", ..." if group["files"] > len(group["examples"]) else ""
    return f"{group['files']:,} {group['reason']} ({', '.join(map(show, group['examples']))}{more})"


def _copies(copies: Mapping[str, Any] | None) -> Iterator[str]:
    if not copies or not copies["groups"]:
        return
    what = f"{copies['images']:,} images are copies of each other, in {counted(copies['groups'], 'group')}"
    if copies["across_splits"]:
        yield (
            f"{what}; {counted(copies['across_splits'], 'group')} in several splits, which can make scores too high: "
            f"{_examples(copies, 'across_splits')} ({_WAYS_OUT[bool(copies.get('kept_together'))]})"
        )
    else:
        yield f"{what}, each in one split"
    if copies["contradictory_labels"]:
        yield (
            f"{counted(copies['contradictory_labels'], 'group')} of copies with several labels: "
            f"{_examples(copies, 'contradictory_labels')}"
        )


def _examples(copies: Mapping[str, Any], key: str) -> str:
    names = copies[f"{key}_examples"][:_EXAMPLES]
    return "; ".join(names) + ("; ..." if copies[key] > len(names) else "")
