"""The history of aliases: which version had one before, and which a way back would give it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from service.ledgers import Promotion, PromotionAction

__all__ = ["MovedAlias", "list_aliases", "previous_version"]


@dataclass(frozen=True, kw_only=True)
class MovedAlias:
    """An alias of a registered model as the ledger knows it: its last move, and the version behind it.

    origin: the promotion that gave the version the alias; a way back keeps the evidence of the first move. None if the
    version was not promoted by this ledger.
    """

    last: Promotion
    origin: Promotion | None


def list_aliases(moves: Sequence[Promotion]) -> list[MovedAlias]:
    """Return each alias once, the last moved first; moves: newest first."""
    aliases: dict[tuple[str, str], MovedAlias] = {}
    for move in moves:
        if (move.model, move.alias) not in aliases:
            aliases[move.model, move.alias] = MovedAlias(last=move, origin=find_origin(moves, move))
    return list(aliases.values())


def find_origin(moves: Sequence[Promotion], move: Promotion) -> Promotion | None:
    """Return the promotion that gave the move's version its alias; moves: newest first."""
    if move.action is PromotionAction.PROMOTE:
        return move
    place = (move.model, move.alias, move.version)
    promotions = (other for other in moves if other.action is PromotionAction.PROMOTE)
    return next((other for other in promotions if (other.model, other.alias, other.version) == place), None)


def previous_version(moves: Sequence[Promotion], present: str | None, *, existing: Collection[str]) -> str | None:
    """Return the version to which a way back gives the alias; None if there is no earlier one.

    Promotions lie on a stack, and each way back takes one off: after versions 1, 2, 3, two ways back lead to 1. After a
    way back to 2 and a promotion of 4, the next leads to 2.

    moves: of one alias, newest first. present: the version that has the alias now, also if it was moved by hand.
    existing: versions that the registry still has; others are passed over.
    """
    stack: list[str] = []
    for move in reversed(moves):
        if move.action is PromotionAction.PROMOTE:
            _push(stack, move.previous)
            _push(stack, move.version)
        else:
            _push(stack, move.previous)
            while stack and stack[-1] != move.version:
                stack.pop()
            _push(stack, move.version)
    _push(stack, present)
    return next((version for version in reversed(stack[:-1]) if version in existing and version != present), None)


def _push(stack: list[str], version: str | None) -> None:
    if version is not None and (not stack or stack[-1] != version):
        stack.append(version)
