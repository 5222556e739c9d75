"""The training of one trial by several processes, each on a GPU of its own."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed

from search_spaces import MeltpointError
from trainables.activations.features import Features
from trainables.devices.tensors import NestedTensors
from trainables.nodes import Node
from trainables.processes import ForkedError, ForkedObject, ForkServer, Pending, died
from trainables.training import Evaluation
from trainables.training.teams import Team
from trainables.training.trainer import EpochResult, Trainer
from trainables.trials.forked_run import PRELOAD
from trainables.trials.plans import TrialPlan

__all__ = ["MakeTrainer", "TeamTrainer"]

T = TypeVar("T")

Beat = Callable[[], None]

MakeTrainer = Callable[[TrialPlan, Team, Beat], Trainer]
"""Makes a member's trainer; a function of a module, since each member's process calls it."""

_PATIENCE = timedelta(minutes=4)
"""Time for which a member waits for the others, less than that after which a trial counts as hung."""

_CAUSE_SECONDS = 2.0
"""Time in which the others notice that a member has failed."""

_ROLE = "member"


class TeamTrainer:
    """Trains as `Trainer` does, with `plan.members` processes, of which this is the first.

    The others are forked from the node's fork server, or from one of this object's own; they end with it.

    beat: called now and then while the images are prepared.

    Raises:
        ForkedError: a member cannot be started.
        MeltpointError: as a trainer's members raise it.
    """

    def __init__(self, plan: TrialPlan, make_trainer: MakeTrainer, beat: Beat = lambda: None) -> None:
        self._stack = ExitStack()
        try:
            self._members = self._start_members(plan, make_trainer)
            starting = [member.start(_Member.join) for member in self._members]
            self._trainer = self._with_members(starting, lambda: _join(plan, self._meeting, 0, make_trainer, beat))
        except BaseException:
            self._stack.close()
            raise

    def _start_members(self, plan: TrialPlan, make_trainer: MakeTrainer) -> list[ForkedObject[_Member]]:
        server = Node.here().fork_server
        if server is None or not Path(server).exists():
            server = self._stack.enter_context(closing(ForkServer(preload=PRELOAD))).address
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="meltpoint-team-"))
        self._meeting = str(Path(folder) / "meeting")
        self._stack.callback(_leave)
        return [
            self._stack.enter_context(
                closing(
                    ForkedObject(
                        server,
                        _Member,
                        {"plan": asdict(plan), "meeting": self._meeting, "rank": rank, "make_trainer": make_trainer},
                        role=_ROLE,
                        environment=os.environ,
                    )
                )
            )
            for rank in range(1, plan.members)
        ]

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self._trainer.epoch

    @property
    def features(self) -> Features:
        """The first member's features."""
        return self._trainer.features

    @property
    def beat(self) -> Beat:
        """Called at every batch; see `Trainer`."""
        return self._trainer.beat

    @beat.setter
    def beat(self, beat: Beat) -> None:
        self._trainer.beat = beat

    def run_epoch(self) -> EpochResult:
        """Train an epoch, each member its part of every batch."""
        return self._with_members(
            [member.start(_Member.run_epoch) for member in self._members], self._trainer.run_epoch
        )

    def evaluate(self, split: str) -> Evaluation:
        """Score the model on a split, each member its part."""
        pending = [member.start(_Member.evaluate, split) for member in self._members]
        return self._with_members(pending, lambda: self._trainer.evaluate(split))

    def state_dict(self) -> NestedTensors:
        """Return the state, which is the same in every member."""
        return self._trainer.state_dict()

    def load_state_dict(self, state: NestedTensors) -> None:
        """Resume every member from `state`."""
        pending = [member.start(_Member.load, state) for member in self._members]
        self._with_members(pending, lambda: self._trainer.load_state_dict(state))

    def close(self) -> None:
        """Let the other members end."""
        self._stack.close()

    def _with_members(self, pending: list[Pending[None]], work: Callable[[], T]) -> T:
        """Return the result of this member's work once all have done theirs.

        If a member fails, the others lose their connection to it: the first failure says more.
        """
        try:
            result = work()
        except MeltpointError:
            raise
        except RuntimeError as error:
            raise _cause(pending) or error from error
        for waiting in pending:
            waiting.result()
        return result


class _Member:
    """A member beside the first, in a process of its own."""

    def __init__(self, plan: dict[str, Any], meeting: str, rank: int, make_trainer: MakeTrainer) -> None:
        self._plan, self._meeting, self._rank, self._make_trainer = TrialPlan(**plan), meeting, rank, make_trainer

    def join(self) -> None:
        """Meet the other members."""
        torch.set_num_threads(1)
        self._trainer = _join(self._plan, self._meeting, self._rank, self._make_trainer, lambda: None)

    def run_epoch(self) -> None:
        """Train this member's part of an epoch."""
        self._trainer.run_epoch()

    def evaluate(self, split: str) -> None:
        """Score the model on this member's part of a split."""
        self._trainer.evaluate(split)

    def load(self, state: NestedTensors) -> None:
        """Resume from `state`."""
        self._trainer.load_state_dict(state)


def _join(plan: TrialPlan, meeting: str, rank: int, make_trainer: MakeTrainer, beat: Beat) -> Trainer:
    """Meet the other members at the file `meeting`, and make this member's trainer."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all members are on one machine, whose name may not resolve
    on_gpu = plan.device != "cpu"
    if on_gpu:
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=plan.members,
        timeout=_PATIENCE,
    )
    return make_trainer(plan, Team(rank=rank, size=plan.members), beat)


def _cause(pending: list[Pending[None]]) -> Exception | None:
    """Return the error of a member that died or failed by itself, else any member's; None if none failed."""
    failures: list[Exception] = []

    def wait(waiting: Pending[None]) -> None:
        try:
            waiting.result()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=wait, args=(waiting,), daemon=True) for waiting in pending]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _CAUSE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    own = [error for error in failures if not isinstance(error, ForkedError) or died(_ROLE) in str(error)]
    return next(iter([*own, *failures]), None)


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
