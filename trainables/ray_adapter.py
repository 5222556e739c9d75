"""The one file of this package that knows Ray: a reused Tune actor that has one recipe after another trained."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ray import tune

from trainables.fork_servers import ForkedRun
from trainables.start_lines import StartLine

Json = dict[str, Any]

REPORT = "report"
"""Under which Tune passes on a worker's report: in a list, since it would take a dictionary apart."""


class Run(Protocol):
    """What trains: see trainables.trial_runs.TrialRun."""

    def take(self, plan: Json) -> None: ...

    def step(self) -> Json: ...

    def close(self) -> None: ...


class TrialWorker(tune.Trainable):
    """Has the recipe in its config trained, then the next, in a process forked from the node's fork server.

    `config` holds `trial` (a `TrialPlan` as plain values), `threads`, `start_line` (the fields of a `StartLine`), `log`
    and `fork_server` (its address; where none listens there, on another node, this process trains by itself).
    """

    def setup(self, config: Json) -> None:
        line = StartLine(**config["start_line"])
        self._run = self.make_run(config)
        self._run.take(config["trial"])
        line.wait()

    def reset_config(self, new_config: Json) -> bool:
        self._run.take(new_config["trial"])
        return True

    def make_run(self, config: Json) -> Run:
        """What is to train here."""
        if Path(config["fork_server"]).exists():
            told = {name: config[name] for name in ("threads", "log", "patience")} | {"line": config["start_line"]}
            with suppress(OSError):
                return ForkedRun(config["fork_server"], **told)
        from trainables.trial_runs import run_from

        return run_from(config["threads"], config["start_line"])

    def step(self) -> Json:
        """Train up to the next report."""
        return {REPORT: [self._run.step()]}

    def cleanup(self) -> None:
        self._run.close()
