"""Sources of trials: what a lane's worker trains next, and who records its reports."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection

from typing_extensions import override

from service.coordination import Coordinator, Result, cause_of, describe_error, describe_memory_shortage
from service.errors import StaleAttemptError
from service.ledgers import Json, Trial
from trainables.nodes import Node
from trainables.trials import DIED

__all__ = ["CoordinatorSource", "TrialSource"]

log = logging.getLogger(__name__)

NODE_HERE = Node.here().name

MakeConfig = Callable[[Trial], Json]
"""Returns the config by which a worker trains the trial."""


class TrialSource(ABC):
    """Gives lanes their trials, and takes the reports. Tune's loop calls every method, one at a time.

    key: a name that no other source in this process has. binds: whether each lane is bound to a node, so that no other
    lane may have its worker.
    """

    key: str
    binds = False

    @abstractmethod
    def first_config(self, lane: str) -> Json | None:
        """Return the config of a new lane; None if no lane is to be made now."""

    @abstractmethod
    def next_config(self, lane: str) -> Json | None:
        """Return what the lane's worker does next; None if the lane is to end."""

    @abstractmethod
    def is_exhausted(self) -> bool:
        """Return whether there will never be another lane."""

    @abstractmethod
    def record(self, lane: str, trial_id: str, report: Json | None) -> bool:
        """Record a worker's report; return whether its trial has ended, or is to end here.

        report: None if the worker has given the trial up, since its driver has left.
        """

    @abstractmethod
    def crashed(self, lane: str, error_text: str) -> None:
        """Record that the lane's worker was lost or failed; error_text: Ray's words, or nothing."""

    def heard(self, lane: str, about: Json) -> None:  # noqa: B027
        """Take note of what a worker tells of its node; see `TrialWorker.about_node`."""

    def lanes_to_end(self) -> Collection[str]:
        """Return the lanes that wait for a worker in vain, so that they are to be ended; asked again and again."""
        return ()

    def removed(self, lane: str) -> None:  # noqa: B027
        """Forget a lane that ended before it had a worker."""

    @abstractmethod
    def fail(self, failure: Exception) -> None:
        """Take an error of ours inside Tune's loop, so that the run ends in order."""


class CoordinatorSource(TrialSource):
    """Gives the trials of one sweep; `failure` keeps the first error of ours.

    when_exhausted: called when a lane asks and no trial is to be started, at least now.
    """

    def __init__(
        self, coordinator: Coordinator, make_config: MakeConfig, *, when_exhausted: Callable[[], None]
    ) -> None:
        self.key = coordinator.sweep.id
        self.failure: Exception | None = None
        self._coordinator, self._make_config, self._when_exhausted = coordinator, make_config, when_exhausted
        self._training: dict[str, str] = {}
        """Id of the trial, by id of the lane."""

    def first_config(self, lane: str) -> Json | None:
        """Return the config of a new lane with its first trial."""
        return self.next_config(lane)

    def next_config(self, lane: str) -> Json | None:
        """Return the config of the lane's next trial; None if there is none, at least now."""
        return self.config_of_next_trial(lane, NODE_HERE)

    def config_of_next_trial(self, lane: str, node: str | None) -> Json | None:
        """Start an attempt of the lane's next trial and return its config; node: name of the lane's node."""
        trial = self._coordinator.next_trial(node)
        if trial is None:
            self._when_exhausted()
            return None
        self._training[lane] = trial.id
        return self._make_config(trial)

    def is_exhausted(self) -> bool:
        """Return whether no trial may be handed out later either."""
        return not self._coordinator.waiting

    @override
    def record(self, lane: str, trial_id: str, report: Json | None) -> bool:
        """Record a report in the ledger; that of an older attempt is refused, and ends the trial here."""
        if report is None:
            return True
        try:
            return self._coordinator.record(trial_id, Result.parse(report))
        except StaleAttemptError:
            return True

    def crashed(self, lane: str, error_text: str) -> None:
        """Record that the attempt failed; its cause decides if there is another."""
        self._coordinator.crashed(self._training[lane], crash_reason(error_text), error_text, cause_of(error_text))

    def fail(self, failure: Exception) -> None:
        """Keep the first error, and close the coordinator."""
        log.debug("failed inside Tune's loop", exc_info=failure)
        self.failure = self.failure or failure
        self._coordinator.close(describe_error(failure))


def crash_reason(error_text: str) -> str:
    """Return the reason of a crash in one line: a lack of memory, how the process ended, else the last error."""
    shortage = describe_memory_shortage(error_text)
    if shortage is not None:
        return shortage
    lines = [line.strip() for line in error_text.splitlines() if line.strip()]
    detail = next((line for line in lines if "Worker exit detail: " in line), None)
    if detail is not None:
        exit_detail = detail.partition("Worker exit detail: ")[2].partition(" If the process was killed")[0]
        return f"{DIED}: {exit_detail}"
    last = lines[-1] if lines else "no cause is known"
    _, died, how = last.partition(DIED)
    return f"{died}{how}" if died else f"the trial's worker failed: {last}"
