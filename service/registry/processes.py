"""Requests to MLflow's registry in a process of their own, so that the API's process loads neither torch nor MLflow.

`python -m service.registry HOME send SWEEP` sends what MLflow has not taken of a sweep.
`python -m service.registry HOME rollback MODEL ALIAS USER` prints the move or the refusal as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from search_spaces import MeltpointError
from service.clocks import now_ms
from service.errors import NotFoundError, TrackingError, UsageError
from service.ledgers import Promotion, PromotionAction
from service.promotions import PromotionOutcome, PromotionRequest, PromotionStatus
from service.registry.promotions import (
    find_outcome,
    promotion_as_json,
    roll_back_here,
    send_messages,
    waiting_outcome,
)
from service.settings import Home, prepare_environment

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["RegistryProcesses", "main", "roll_back_apart"]

ANSWER_SECONDS: Final = 40.0
"""Time for which a request waits for the outcome of a promotion; clients ask again."""

ROLLBACK_SECONDS: Final = 120.0
_MODULE: Final = "service.registry"
_LOOK_SECONDS: Final = 0.2
_ERRORS: Final[dict[str, type[MeltpointError]]] = {"not_found": NotFoundError, "usage": UsageError}


class RegistryProcesses:
    """Starts at most one process a sweep that sends its messages to MLflow. Thread safety: any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def carry_out(
        self,
        ledger: Ledger,
        home: Home,
        sweep_id: str,
        request: PromotionRequest,
        *,
        after: int,
        seconds: float = ANSWER_SECONDS,
        start: Callable[[Home, str], subprocess.Popen[bytes]] | None = None,
    ) -> PromotionOutcome:
        """Have a request carried out, and return its outcome, or after some seconds that it is being carried out.

        after: id of an event before the outcome. start: starts the process.
        """
        start = start or _start_sending
        process, is_new = self._join_or_start(home, sweep_id, start)
        deadline = time.monotonic() + seconds
        while True:
            ended = process.poll() is not None
            outcome = find_outcome(ledger, sweep_id, request.key, after=after)
            if outcome is not None:
                return outcome
            if ended and is_new:
                return waiting_outcome(request, ledger.outbox.last_error(sweep_id))
            if ended:  # it may have read the outbox before this request was there
                process, is_new = self._join_or_start(home, sweep_id, start)
            elif time.monotonic() > deadline:
                return _running_outcome(request)
            time.sleep(_LOOK_SECONDS)

    def _join_or_start(
        self, home: Home, sweep_id: str, start: Callable[[Home, str], subprocess.Popen[bytes]]
    ) -> tuple[subprocess.Popen[bytes], bool]:
        """Return the sweep's process, and whether it was started just now."""
        with self._lock:
            process = self._running.get(sweep_id)
            if process is not None and process.poll() is None:
                return process, False
            process = self._running[sweep_id] = start(home, sweep_id)
            return process, True


def roll_back_apart(home: Home, *, model: str, alias: str, user: str | None) -> Promotion:
    """Give an alias back in a process of its own; raises as `roll_back`."""
    command = [*_command(home), "rollback", model, alias, user or ""]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ROLLBACK_SECONDS, check=False)
        result: dict[str, Any] = json.loads(answer.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise TrackingError(
            f"MLflow at {home.tracking_uri} did not answer; see if the alias was moved with: meltpoint models {model}"
        ) from error
    if "error" in result:
        raise _ERRORS.get(result["kind"], TrackingError)(result["error"])
    return Promotion(**result | {"action": PromotionAction(result["action"])})


def _running_outcome(request: PromotionRequest) -> PromotionOutcome:
    return PromotionOutcome(
        key=request.key,
        status=PromotionStatus.RUNNING,
        model=request.model,
        alias=request.alias,
        trial_id=request.trial_id,
        sentences=("the promotion is being carried out",),
    )


def _command(home: Home) -> list[str]:
    return [sys.executable, "-m", _MODULE, str(home.root)]


def _start_sending(home: Home, sweep_id: str) -> subprocess.Popen[bytes]:
    with home.promotions_log.open("ab") as log:
        return subprocess.Popen(
            [*_command(home), "send", sweep_id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def main(arguments: list[str]) -> None:
    """Carry out one request in this process."""
    home = Home(Path(arguments[0])).create()
    prepare_environment(home)
    from service.ledgers import Ledger

    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        if arguments[1] == "send":
            send_messages(ledger, home, arguments[2])
            return
        _action, model, alias, user = arguments[1:]
        try:
            move = roll_back_here(ledger, home, model=model, alias=alias, user=user or None)
            answer = promotion_as_json(move)
        except MeltpointError as error:
            kind = next((name for name, known in _ERRORS.items() if isinstance(error, known)), "tracking")
            answer = {"error": str(error), "kind": kind}
    sys.stdout.write(json.dumps(answer))
