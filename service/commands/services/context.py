"""`meltpoint context`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.errors import UsageError
from service.formats import Format
from service.settings import ContextBook, choose_context, describe_overruling
from service.terminals import Output, completions, print_data, print_next, print_table, stderr


def context(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME | rm NAME]",
            help="The context that commands act on from now on; rm: forget a context and its token.",
            autocompletion=completions.contexts,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the contexts.")] = False,
    none: Annotated[bool, typer.Option("--none", help="Let commands act on the home again.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show or choose the service that commands act on."""
    book = ContextBook.load()
    match words or []:
        case [] if none:
            book.with_current(None).save()
            stderr().print(
                f"commands act on the home from now on{describe_overruling(None)}", markup=False, soft_wrap=True
            )
        case [] if show:
            _list(book, output)
        case []:
            _show(output)
        case [name] if not (none or show):
            book.with_current(name).save()
            chosen = book.get(name)
            stderr().print(
                f"commands act on {chosen} from now on{describe_overruling(chosen)}", markup=False, soft_wrap=True
            )
        case ["rm", name] if not (none or show):
            book.without(name).save()
            stderr().print(
                f"forgot {book.get(name)}; its token stays valid until it is revoked", markup=False, soft_wrap=True
            )
        case _:
            raise UsageError("context takes a name, or rm and a name, or --list, or --none")


def _show(output: Format) -> None:
    chosen = choose_context()
    if output is not Format.TABLE:
        facts = {"name": None, "url": None, "origin": None}
        print_data(facts if chosen is None else {name: getattr(chosen, name) for name in facts}, output)
    elif chosen is None:
        stderr().print("no context: commands act on the home")
        print_next("login", "URL")
    else:
        print_table(["context", "service", "chosen by"], [[chosen.name, chosen.url, chosen.origin]])


def _list(book: ContextBook, output: Format) -> None:
    contexts = [context for _, context in sorted(book.contexts.items())]
    if output is not Format.TABLE:
        rows = [{"name": entry.name, "url": entry.url, "current": entry.name == book.current} for entry in contexts]
        print_data(rows, output)
    elif not contexts:
        stderr().print("no contexts yet")
        print_next("login", "URL")
    else:
        cells = [["*" if entry.name == book.current else "", entry.name, entry.url] for entry in contexts]
        print_table(["", "context", "service"], cells)
