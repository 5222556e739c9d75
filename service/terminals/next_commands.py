"""The command that a user may want after a look at a sweep."""

from __future__ import annotations

from service.ledgers import Sweep
from service.reports import Leaderboard
from service.sweeps import is_confirmable

__all__ = ["next_command"]


def next_command(sweep: Sweep, board: Leaderboard, *, is_remote: bool, otherwise: str, is_decided: bool = False) -> str:
    """Return the command: `resume`, `export` or `confirm` if it works now, else `otherwise`.

    is_remote: if a service has the sweep. is_decided: if its confirmation has a decision, which a service's row does
    not show.
    """
    if sweep.state.rests:
        return "resume"
    if not sweep.state.is_finished:
        return otherwise
    if is_decided or (sweep.confirmation or {}).get("decision") is not None:
        return "export"
    return "confirm" if is_confirmable(board, is_remote=is_remote) else otherwise
