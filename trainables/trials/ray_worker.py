"""The only file of this package that knows Ray: a reused Tune actor that has one trial after another trained."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune

from trainables.processes import Rendezvous
from trainables.trials.forked_run import ForkedRun, Run

Json = dict[str, Any]

REPORT = "report"
"""Key of a result of Tune: a list of a trial's id and its report. Tune would take a dictionary apart."""


class TrialWorker(tune.Trainable):
    """Has the trial in its config trained, then the next, in a process forked from the node's fork server.

    `config` holds the first trial's `trial_id` and `trial` (fields of a `TrialPlan`), and the worker's `threads`,
    `rendezvous` (fields of a `Rendezvous`), `log`, `patience` and `fork_server`: the server's address. If no server
    listens there, as on another node, this process trains by itself.
    """

    _failure: Exception | None = None
    """The error of taking up the present trial."""

    def setup(self, config: Json) -> None:
        """Take up the first trial, and wait until all workers are up."""
        self._run = self.make_run(config)
        self._take(config)
        Rendezvous(**config["rendezvous"]).wait()

    def reset_config(self, new_config: Json) -> bool:
        """Take up the first trial of another lane; True: the actor is reused."""
        self._take(new_config)
        return True

    def follow(self, config: Json) -> None:
        """Take up the next trial of the lane. Nobody waits for this call: the next `step` raises its error."""
        try:
            self._take(config)
        except Exception as error:
            self._failure = error

    def _take(self, config: Json) -> None:
        self._failure = None
        self._trial_id = config["trial_id"]
        self._run.take(config["trial"])

    def make_run(self, config: Json) -> Run:
        """Return what trains: a run in a forked process, or in this one."""
        rendezvous = Rendezvous(**config["rendezvous"])
        if Path(config["fork_server"]).exists():
            options = {name: config[name] for name in ("threads", "log", "patience")}
            with suppress(OSError):
                return ForkedRun(config["fork_server"], rendezvous=rendezvous, **options)
        from trainables.trials.runner import TrialRun

        return TrialRun(threads=config["threads"], reports_requested=rendezvous.reports_requested)

    def step(self) -> Json:
        """Train up to the next report; return it with the trial's id."""
        if self._failure is not None:
            raise self._failure
        return {REPORT: [self._trial_id, self._run.step()]}

    def cleanup(self) -> None:
        """End the run."""
        self._run.close()
