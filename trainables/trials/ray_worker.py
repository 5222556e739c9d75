"""The only file of this package that knows Ray: a reused Tune actor that has one trial after another trained."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune

from trainables.processes import Rendezvous
from trainables.trials.forked_run import ForkedRun, Run

Json = dict[str, Any]

REPORT = "report"
"""Key of a result of Tune: a list of a trial's id and its report. Tune would take a dictionary apart."""

IDLE_SECONDS = 2.0
"""Time after which a worker without a trial asks again for one."""

_LOOK_SECONDS = 0.02


class TrialWorker(tune.Trainable):
    """Has the trial in its config trained, then the next, in a process forked from the node's fork server.

    `config` holds the `trial_id` and the `trial` (fields of a `TrialPlan`) to take up, and how its sweep's trials are
    trained: `threads`, `rendezvous` (fields of a `Rendezvous`), `log`, `patience` and `fork_server`: the server's
    address. If no server listens there, as on another node, this process trains by itself. Trials of one sweep follow
    each other in one process; a trial of another sweep gets a new process.

    A config whose `trial_id` is None gives the worker nothing to train: `step` then returns at once if the file
    `bell` appears, else after `IDLE_SECONDS`, with a report of no trial.
    """

    _failure: Exception | None = None
    """The error of taking up the present trial."""

    _run: Run | None = None
    _rendezvous: Rendezvous | None = None

    def setup(self, config: Json) -> None:
        """Take up the first trial, and wait until all workers of its sweep are up."""
        self._take(config)
        if self._rendezvous is not None:
            self._rendezvous.wait()

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
        if self._trial_id is None:
            self._bell = Path(config["bell"])
            self._end_run()
            return
        rendezvous = Rendezvous(**config["rendezvous"])
        if self._run is None or rendezvous != self._rendezvous:
            self._end_run()
            self._run, self._rendezvous = self.make_run(config), rendezvous
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
        """Train up to the next report; return it with the trial's id.

        The report is None if the trial was abandoned meanwhile: nobody takes its results any longer.
        """
        if self._failure is not None:
            raise self._failure
        if self._trial_id is None:
            self._wait_for_bell()
            return {REPORT: [None, None]}
        assert self._run is not None
        try:
            return {REPORT: [self._trial_id, self._run.step(self._check_abandoned)]}
        except _AbandonedError:
            self._end_run()
            return {REPORT: [self._trial_id, None]}

    def cleanup(self) -> None:
        """End the run."""
        self._end_run()

    def _check_abandoned(self) -> None:
        if self._rendezvous is not None and self._rendezvous.is_abandoned():
            raise _AbandonedError

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.close()
        self._run = self._rendezvous = None

    def _wait_for_bell(self) -> None:
        deadline = time.monotonic() + IDLE_SECONDS
        while time.monotonic() < deadline and not self._bell.exists():
            time.sleep(_LOOK_SECONDS)
        with suppress(OSError):
            self._bell.unlink()


class _AbandonedError(Exception):
    """The trial's sweep has no driver any longer."""
