"""`meltpoint spaces`: list the shipped spaces, and show a space entry by entry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from search_spaces import SHIPPED, Space, SweepSpec, did_you_mean, load_spec, parse_space, shipped_document
from search_spaces.spaces import (
    Entry,
    conditions,
    default_in,
    domain_as_written,
    domain_in_words,
    is_shown,
    shipped_text,
)
from search_spaces.sweeps import varying_names
from service.errors import UsageError
from service.formats import Format, counted
from service.terminals import Assign, Output, completions, print_data, print_next, print_table, stderr


def spaces(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|SPEC", help="A shipped space, or a sweep file.", autocompletion=completions.spaces
        ),
    ] = None,
    assign: Assign = None,
    output: Output = Format.TABLE,
) -> None:
    """List the shipped spaces, or show a space entry by entry."""
    if name is None:
        _list(output)
    elif name in SHIPPED and not assign:
        _shipped(name, output)
    elif name in SHIPPED:
        raise UsageError(f"--set changes a sweep file, {name} is a shipped space")
    elif Path(name).suffix in (".yaml", ".yml") or Path(name).exists():
        _show_file(load_spec(Path(name), assign or ()), output, assign or ())
    else:
        raise UsageError(f"neither a shipped space nor a sweep file: {name}{did_you_mean(name, SHIPPED)}")


def _list(form: Format) -> None:
    sizes = {name: parse_space(shipped_document(name)).size() for name in SHIPPED}
    if form is not Format.TABLE:
        print_data([{"name": name, "about": about, "size": sizes[name]} for name, about in SHIPPED.items()], form)
        return
    rows = [[name, _many(sizes[name]), about] for name, about in SHIPPED.items()]
    print_table(["space", "recipes", "what it is for"], rows)
    _hint("next: meltpoint spaces NAME, or meltpoint spaces SPEC for a sweep file's own")


def _shipped(name: str, form: Format) -> None:
    if form is Format.YAML:
        sys.stdout.write(shipped_text(name))
        return
    space = parse_space(shipped_document(name))
    _print(space, form, origin=None)
    if form is Format.TABLE:
        _hint(f"to use it: space: {{extends: {name}}}; as YAML: meltpoint spaces {name} -o yaml")


def _show_file(spec: SweepSpec, form: Format, assign: Sequence[str]) -> None:
    if spec.points:
        _points(spec, form)
        return
    extended = spec.document["space"].get("extends")
    _print(spec.space, form, origin=extended or "")
    if form is Format.TABLE:
        print_next("run", spec.file, *(word for text in assign for word in ("--set", text)))


def _points(spec: SweepSpec, form: Format) -> None:
    """Show an explicit list in place of a space: the values in which its recipes differ."""
    names = varying_names(spec)
    flats = [recipe.flat() for recipe in spec.points]
    if form is not Format.TABLE:
        print_data([{"number": number, **flat} for number, flat in enumerate(flats)], form)
        return
    rows = [[str(number), *(str(flat.get(name, "")) for name in names)] for number, flat in enumerate(flats)]
    print_table(["recipe", *names], rows)
    _hint(f"an explicit list of {counted(len(flats), 'recipe')}; names not shown are the same in all")


def _print(space: Space, form: Format, *, origin: str | None) -> None:
    """Print a space; origin: the space that a sweep file extends, empty if it extends none, None without a file."""
    if form is not Format.TABLE:
        print_data([_plain(space, entry, origin) for entry in space.entries], form)
        return
    rows = [_row(space, entry, origin) for entry in space.entries if not _is_label(entry)]
    header = ["name", "domain", "default", "when", "values"] + ([] if origin is None else ["from"])
    print_table(header, rows)
    _hint(f"{_many(space.size())} recipes; names not listed keep their defaults: meltpoint explain NAME")


def _row(space: Space, entry: Entry, origin: str | None) -> list[str]:
    required = {key: values for key, values in conditions(entry).items() if is_shown(entry, key)}
    when = " and ".join(f"{key} is {' or '.join(map(str, values))}" for key, values in required.items())
    domain = domain_in_words(entry.domain)
    default = default_in(space, entry)
    return [
        entry.key,
        f"one of {domain}" if entry.name is None else domain,
        "" if default is None else str(default),
        when,
        "any" if entry.domain.size is None else str(entry.domain.size),
        *([] if origin is None else [_from(entry, origin)]),
    ]


def _is_label(entry: Entry) -> bool:
    """Return if the entry only repeats its branch's label, as `optimizer[adamw].name`."""
    return entry.key.endswith("].name") and entry.domain.size == 1


def _from(entry: Entry, origin: str) -> str:
    return origin if entry.inherited else "file"


def _plain(space: Space, entry: Entry, origin: str | None) -> dict[str, Any]:
    default = default_in(space, entry)
    return {
        "key": entry.key,
        "name": entry.name,
        "domain": domain_as_written(entry.domain),
        "default": list(default) if isinstance(default, tuple) else default,
        "when": conditions(entry),
        "size": entry.domain.size,
        **({} if origin is None else {"from": _from(entry, origin)}),
    }


def _hint(line: str) -> None:
    stderr().print(line, markup=False, soft_wrap=True)


def _many(size: int | None) -> str:
    return "infinitely many" if size is None else f"{size:,}"
