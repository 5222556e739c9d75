"""`meltpoint backbones`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from search_spaces.backbones import BACKBONES, BackboneInfo
from search_spaces.errors import did_you_mean
from service.errors import UsageError
from service.formats import Format, counted
from service.terminals import Output, completions, print_data, print_table, stderr

_GLOB: Final = "*?["
_HEADER: Final = ("name", "family", "stages", "parameters", "multiply-adds", "image", "at hand", "weights")


def backbones(
    pattern: Annotated[
        str | None,
        typer.Argument(metavar="PATTERN", help="Part of a name, or a glob.", autocompletion=completions.backbones),
    ] = None,
    family: Annotated[str | None, typer.Option("--family", help="Show only backbones of this family.")] = None,
    at_hand: Annotated[
        bool, typer.Option("--at-hand", help="Show only backbones whose weights need no download.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """List the backbones: stages, cost, image sizes, and if their weights are at hand."""
    from trainables.weights import has_local_weights

    infos = [info for info in BACKBONES.values() if pattern is None or _fits(info.name, pattern)]
    if not infos:
        names = [*BACKBONES, *{name.partition("/")[2] for name in BACKBONES}]
        raise UsageError(f"no backbone's name fits {pattern}{did_you_mean(str(pattern), names)}")
    families = sorted({info.family for info in BACKBONES.values()})
    if family is not None and family not in families:
        raise UsageError(f"--family {family}: no such family of backbones{did_you_mean(family, families)}")
    infos = sorted((info for info in infos if family in (None, info.family)), key=_order)
    shown = [(info, has_local_weights(info.name)) for info in infos]
    shown = [(info, here) for info, here in shown if here or not at_hand]
    if output is Format.TABLE:
        print_table(_HEADER, [_row(info, here) for info, here in shown])
        _print_count(shown)
    else:
        print_data([_plain(info, here) for info, here in shown], output)


def _fits(name: str, pattern: str) -> bool:
    """Return if the name fits: a glob the whole name or the part behind the library, other text any part of it."""
    if not any(sign in pattern for sign in _GLOB):
        return pattern.lower() in name.lower()
    return any(fnmatchcase(text.lower(), pattern.lower()) for text in (name, name.partition("/")[2]))


def _order(info: BackboneInfo) -> tuple[str, str, int, str]:
    return info.name.partition("/")[0], info.family, info.multiply_adds, info.name


def _row(info: BackboneInfo, at_hand: bool) -> list[str]:
    return [
        info.name,
        info.family,
        str(info.stages),
        f"{info.parameters / 1e6:.1f} M",
        f"{info.multiply_adds / 1e9:.2f} G",
        f"{info.input_size} px, {info.sizing}",
        "yes" if at_hand else "no",
        _source(info.weights_source),
    ]


def _source(source: str) -> str:
    """Return the origin of weights in short: a package, a model on Hugging Face's hub, or the host of an address."""
    kind, _, place = source.partition(":")
    if kind == "url":
        return str(urlsplit(place).hostname)
    words = {"package": f"package {place}", "hub": f"Hugging Face {place}"}
    return words.get(kind, "none known")


def _plain(info: BackboneInfo, at_hand: bool) -> dict[str, Any]:
    return {name: list(cell) if isinstance(cell, tuple) else cell for name, cell in asdict(info).items()} | {
        "weights_at_hand": at_hand,
        "paper": info.paper,
    }


def _print_count(shown: Iterable[tuple[BackboneInfo, bool]]) -> None:
    here = [at_hand for _, at_hand in shown]
    console = stderr()
    console.print(f"{counted(len(here), 'backbone')}, {sum(here)} with weights at hand; multiply-adds of one image")
    console.print("next: meltpoint explain NAME")
