"""`meltpoint token create`, `token ls` and `token revoke`."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from service.commands.surroundings import open_service
from service.formats import Format
from service.ledgers import Role
from service.terminals import ContextFlag, HomeFlag, Output, print_data, print_table, stderr

_TEXT: Final = re.compile(r"mp_([0-9a-f]{16})_[0-9a-f]+")
"""The text of a token, with its id."""

token = typer.Typer(no_args_is_help=True, help="Create, list and revoke tokens of a service.")


@token.command("create")
def create(
    label: Annotated[str, typer.Option("--label", help="The purpose, for people.")] = "token",
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Days until it expires.")] = 90,
    role: Annotated[
        Role | None, typer.Option("--role", help="The highest role that it gives; by default yours.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Another user to create it for; admins only.")
    ] = None,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Create a token and print it on stdout; it is never shown again."""
    with open_service(context, home) as connection:
        from service.clients.accounts import Accounts

        issued = Accounts(connection).create_token(label, days=days, role=role, user=user)
    if output is not Format.TABLE:
        print_data(issued.model_dump(mode="json"), output)
        return
    sys.stdout.write(issued.token + "\n")
    stderr().print(f"token {issued.id} of {issued.user}, for {days} days; keep it: it is not shown again", markup=False)


@token.command("ls")
def ls(output: Output = Format.TABLE, context: ContextFlag = None, home: HomeFlag = None) -> None:
    """List your tokens, without their texts; an admin sees everybody's."""
    with open_service(context, home) as connection:
        from service.clients.accounts import Accounts

        tokens = Accounts(connection).tokens()
    if output is not Format.TABLE:
        print_data([entry.model_dump(mode="json") for entry in tokens], output)
        return
    rows = [
        [
            *(entry.id, entry.user, entry.label, entry.role.value, _day(entry.expires_at)),
            *(_day(entry.last_used_at), "revoked" if entry.revoked_at else ""),
        ]
        for entry in tokens
    ]
    print_table(["token", "user", "label", "role", "expires", "last used", ""], rows)


@token.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id, from `meltpoint token ls`.")],
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Revoke a token at once, and the browser sessions made with it."""
    if whole := _TEXT.fullmatch(token_id):  # the text of a token must not travel in an address, which logs keep
        token_id = whole[1]
    with open_service(context, home) as connection:
        from service.clients.accounts import Accounts

        Accounts(connection).revoke_token(token_id)
    stderr().print(f"revoked {token_id}", markup=False)


def _day(milliseconds: int | None) -> str:
    return "" if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, tz=UTC).date().isoformat()
