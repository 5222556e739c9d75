"""`meltpoint login`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from service.errors import UsageError
from service.settings import Context, ContextBook, check_url, describe_overruling, is_name
from service.terminals import print_next, stderr

_ANOTHER = "ask an admin of the service for another one, who types: meltpoint token create --user NAME"


def login(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The service's address, as its `meltpoint serve` prints it.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The name of the context; by default the host's.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", metavar="FILE", help="A file with the token, or - for stdin; else it is asked for."
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Send the token to another machine without encryption.")
    ] = False,
) -> None:
    """Sign in to a service with a token, and let commands act on that service from now on."""
    address = check_url(url)
    chosen = name or _default_name(address)
    if not is_name(chosen):
        raise UsageError(f"--name must begin with a letter or digit and have only letters, digits, . _ - ({chosen})")
    context = Context(name=chosen, url=address, token="")
    if not (context.is_encrypted or context.is_loopback or insecure):
        raise UsageError(
            f"{address} is not encrypted: others on the network could read the token; use https://, or --insecure"
        )
    book = ContextBook.load()
    context = Context(name=chosen, url=address, token=_read_token(token_file), renewal=_ANOTHER)
    from service.clients import Connection
    from service.clients.accounts import Accounts

    console = stderr()

    def notice(text: str) -> None:
        console.print(text, style="yellow", markup=False, soft_wrap=True)

    with Connection(context, notice=notice) as connection:
        accounts = Accounts(connection)
        accounts.whoami()  # an address of something else than a service is noticed here
        identity = accounts.log_in()
    book.with_context(context).save()
    console.print(
        f"signed in to {context} as {identity.user} ({identity.role}); commands act on it from now on"
        f"{describe_overruling(context)}",
        markup=False,
        soft_wrap=True,
    )
    print_next("submit", "SPEC")


def _default_name(address: str) -> str:
    from urllib.parse import urlsplit

    host = urlsplit(address).hostname or ""
    return host.replace(":", "-").strip("-.") or "service"


def _read_token(file: Path | None) -> str:
    """Return the token from a file, from stdin, or from a prompt that shows nothing."""
    if file is not None and str(file) != "-":
        token = file.read_text().strip()
    elif file is not None or not sys.stdin.isatty():
        token = sys.stdin.readline().strip()
    else:
        token = typer.prompt("token", hide_input=True, err=True).strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("the token must be one word, such as mp_1a2b3c_..., as `meltpoint token create` prints it")
    return token
