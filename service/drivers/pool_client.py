"""The driver's end of the pool of lanes: trains a sweep's trials there, as `run_tune` does in this process."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from service.clusters import Allotment
from service.coordination import Coordinator, Result, describe_error
from service.drivers.messages import (
    Crashed,
    Join,
    NextTrial,
    Notice,
    Offer,
    Preempt,
    Reported,
    Welcome,
)
from service.errors import ClusterError, StaleAttemptError
from service.ledgers import Json, Trial
from service.tune.worker_settings import HANG_SECONDS, LOG
from trainables.processes import Rendezvous
from trainables.trials import TrialPlan

__all__ = ["train_in_pool"]

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_LISTEN_SECONDS = 0.1
_RETRY_SECONDS = 0.3
POOL_LOST = "the pool of workers ended; the trial goes on from its newest checkpoint"


def train_in_pool(
    coordinator: Coordinator,
    *,
    address: str,
    fork_server: str,
    home: Path,
    allotment: Allotment,
    make_plan: Callable[[Trial], TrialPlan],
    folder: Path,
    poll: Callable[[], None],
    breakable: Callable[[], AbstractContextManager[None]],
) -> None:
    """Have the pool at `address` train until the coordinator has no more trials; every attempt has ended then.

    If the pool ends meanwhile, running trials are paused and go on as soon as there is a pool again.

    Raises:
        ClusterError: the pool cannot serve the sweep.
        Exception: the first error of ours while a question was answered, after all trials were paused.
    """
    rendezvous = Rendezvous(tempfile.mkdtemp(prefix="rendezvous-", dir=folder), 1)
    shared = {
        "threads": allotment.threads,
        "rendezvous": asdict(rendezvous),
        "log": str(folder / LOG),
        "fork_server": fork_server,
        "patience": HANG_SECONDS,
        "home": str(home),
    }

    def make_config(trial: Trial) -> Json:
        return shared | {"trial_id": trial.id, "trial": vars(make_plan(trial))}

    ended, failures = threading.Event(), list[Exception]()

    def watch() -> None:
        requested = False
        while not ended.wait(_POLL_SECONDS):
            try:
                poll()
            except Exception as error:
                failures.append(error)
                coordinator.close(describe_error(error))
            if coordinator.closing and not requested:
                rendezvous.request_reports()
                requested = True
            elif requested and not coordinator.closing:  # the budget has grown
                rendezvous.withdraw_request()
                requested = False

    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    desk = _Desk(coordinator, make_config, failures)
    join = Join(
        sweep_id=coordinator.sweep.id,
        cpu=allotment.cpu,
        gpu=allotment.gpu,
        accelerator=allotment.accelerator,
        wanted=coordinator.startable,
        rendezvous=rendezvous.folder,
    )
    watcher.start()
    try:
        with breakable():
            while not coordinator.end_if_done():
                _serve(address, join, desk)
    finally:
        ended.set()
        watcher.join()
        rendezvous.abandon()
        shutil.rmtree(rendezvous.folder, ignore_errors=True)
        coordinator.leave(coordinator.closing or "the sweep ended before the trial did")
    if failures:
        raise failures[0]


class _Desk:
    """Answers the pool's questions about one sweep."""

    def __init__(
        self, coordinator: Coordinator, make_config: Callable[[Trial], Json], failures: list[Exception]
    ) -> None:
        self.coordinator, self._make_config, self._failures = coordinator, make_config, failures

    def answer(self, question: Any) -> Any:
        """Return the answer; an error of ours closes the sweep."""
        try:
            return self._answer(question)
        except Exception as error:
            log.debug("failed on a question of the pool", exc_info=error)
            self._failures.append(error)
            self.coordinator.close(describe_error(error))
            return Offer(config=None, wanted=0) if isinstance(question, NextTrial) else (True, 0)

    def _answer(self, question: Any) -> Any:
        coordinator = self.coordinator
        match question:
            case NextTrial(node=node):
                trial = coordinator.next_trial(node)
                config = None if trial is None else self._make_config(trial)
                return Offer(config=config, wanted=coordinator.startable)
            case Reported(trial_id=trial_id, report=report, is_nodes_fault=is_nodes_fault):
                try:
                    has_ended = coordinator.record(trial_id, Result.parse(report, is_nodes_fault=is_nodes_fault))
                except StaleAttemptError:
                    has_ended = True
                return has_ended, coordinator.startable
            case Crashed(trial_id=trial_id, reason=reason, text=text, cause=cause):
                coordinator.crashed(trial_id, reason, text, cause)
            case Preempt(trial_id=trial_id, reason=reason, cause=cause):
                coordinator.preempt(trial_id, f"paused for a while: {reason}", cause)
            case Notice(text=text):
                coordinator.notice(text)
        return True, coordinator.startable


def _serve(address: str, join: Join, desk: _Desk) -> None:
    """Answer the pool until the sweep is done or the pool has ended.

    Raises:
        ClusterError: the pool refuses the sweep.
    """
    try:
        connection = Client(address, "AF_UNIX")
    except OSError:  # it may be starting
        time.sleep(_RETRY_SECONDS)
        return
    with connection:
        try:
            _answer_questions(connection, join, desk)
        except (EOFError, OSError):
            for trial in desk.coordinator.running:
                with suppress(StaleAttemptError):
                    desk.coordinator.preempt(trial.id, POOL_LOST)
            time.sleep(_RETRY_SECONDS)


def _answer_questions(connection: Connection, join: Join, desk: _Desk) -> None:
    connection.send(join)
    welcome: Welcome = connection.recv()
    if welcome.refusal is not None:
        raise ClusterError(welcome.refusal)
    while not desk.coordinator.is_done:
        if connection.poll(_LISTEN_SECONDS):
            connection.send(desk.answer(connection.recv()))
