"""The one file of this package that knows Ray: a reused Tune actor that has one recipe after another trained."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ray import tune

from trainables.processes import Rendezvous
from trainables.trials.forked_run import ForkedRun

Json = dict[str, Any]

REPORT = "report"
"""Under which Tune passes on a trial's id and its report: in a list, since it would take a dictionary apart."""


class Run(Protocol):
    """What trains: see trainables.trials.runner.TrialRun."""

    def take(self, plan: Json) -> None: ...

    def step(self) -> Json: ...

    def close(self) -> None: ...


class TrialWorker(tune.Trainable):
    """Has the recipe in its config trained, then the next, in a process forked from the node's fork server.

    `config` holds `trial_id` and `trial` (a `TrialPlan` as plain values) of the first; of the worker `threads`,
    `rendezvous` (the fields of a `Rendezvous`), `log` and `fork_server` (its address; where none listens there, on
    another node, this process trains by itself).
    """

    _failure: Exception | None = None
    """What went wrong when the trial was taken up."""

    def setup(self, config: Json) -> None:
        line = Rendezvous(**config["rendezvous"])
        self._run = self.make_run(config)
        self._take(config)
        line.wait()

    def reset_config(self, new_config: Json) -> bool:
        self._take(new_config)
        return True

    def follow(self, config: Json) -> None:
        """Take up the next trial, of which nobody waits to hear: what goes wrong is raised by the next `step`."""
        try:
            self._take(config)
        except Exception as error:
            self._failure = error

    def _take(self, config: Json) -> None:
        self._failure = None
        self._trial_id = config["trial_id"]
        self._run.take(config["trial"])

    def make_run(self, config: Json) -> Run:
        """What is to train here."""
        if Path(config["fork_server"]).exists():
            told = {name: config[name] for name in ("threads", "log", "patience")} | {"line": config["rendezvous"]}
            with suppress(OSError):
                return ForkedRun(config["fork_server"], **told)
        from trainables.trials.runner import run_from

        return run_from(config["threads"], config["rendezvous"])

    def step(self) -> Json:
        """Train up to the next report."""
        if self._failure is not None:
            raise self._failure
        return {REPORT: [self._trial_id, self._run.step()]}

    def cleanup(self) -> None:
        self._run.close()
