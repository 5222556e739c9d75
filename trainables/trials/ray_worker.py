"""The only file of this package that knows Ray: a reused Tune actor that has one trial after another trained."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import ActorUnavailableError, RayActorError

from trainables.nodes import Node
from trainables.processes import ABANDONED, Rendezvous
from trainables.trials.forked_run import ForkedRun, Run
from trainables.trials.places import adapt_to_node

Json = dict[str, Any]

REPORT = "report"
"""Key of a result of Tune: a list of a trial's id, its report, and the worker's node (`about_node`).

Tune would take a dictionary apart.
"""

IDLE_SECONDS = 2.0
"""Time after which a worker without a trial asks again for one."""

_LOOK_SECONDS = 0.02
_READ_SECONDS = 60.0


class TrialWorker(tune.Trainable):
    """Has the trial in its config trained, then the next, in a process forked from the node's fork server.

    `config` holds the `trial_id` and the `trial` (fields of a `TrialPlan`) to take up, and how its sweep's trials are
    trained: `threads`, `rendezvous` (fields of a `Rendezvous`), `log`, `patience`, `home` (the driver's home) and
    `fork_server`: the server's address, unless the node has one of its own. If no server listens, this process trains
    by itself. Trials of one sweep follow each other in one process; a trial of another sweep gets a new process.

    `bulletin` names an actor with the driver's notices, see `Board`; a node that does not see the rendezvous has one of
    its own, which follows them.

    A config whose `trial_id` is None gives the worker nothing to train: `step` then returns at once if the file
    `bell` appears, or the bulletin has another notice about it, else after `IDLE_SECONDS`, with a report of no trial. A
    `bell` of None lets `step` return at once.

    If the node is about to leave, the trial reports after its present epoch, so that it can go on elsewhere.
    """

    _failure: Exception | None = None
    """The error of taking up the present trial."""

    _run: Run | None = None
    _rendezvous: Rendezvous | None = None
    _given: Json | None = None
    """The driver's rendezvous."""

    _news: _News | None = None
    """News about a rendezvous or a bell that this node does not see."""

    _node_id: str = ""

    def setup(self, config: Json) -> None:
        """Take up the first trial, and wait until all workers of its sweep are up."""
        self._node_id = str(ray.get_runtime_context().get_node_id())
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
            self._bell = Path(config["bell"]) if config["bell"] is not None else None
            self._end_run()
            self._hear_of(config, str(self._bell), seen=self._bell is None or self._bell.parent.is_dir())
            return
        given = config["rendezvous"]
        folder = str(given["folder"])
        if self._run is None or given != self._given:
            self._end_run()
            self._hear_of(config, folder, seen=Path(folder).is_dir())
            elsewhere = self._news is not None
            self._given = given
            self._rendezvous = (
                Rendezvous(tempfile.mkdtemp(prefix="rendezvous-"), 1) if elsewhere else Rendezvous(**given)
            )
            self._run = self.make_run(self._adapted(config), self._rendezvous)
        self._run.take(self._adapted(config)["trial"])

    def _adapted(self, config: Json) -> Json:
        return adapt_to_node(config, Node.here(), elsewhere=self._news is not None)

    def _hear_of(self, config: Json, topic: str, *, seen: bool) -> None:
        """Hear of the topic from the bulletin if there is one and this node does not see the driver's file."""
        bulletin = config.get("bulletin")
        if seen or bulletin is None:
            self._news = None
        elif self._news is None or self._news.topic != topic:
            self._news = _News(bulletin, topic)

    def make_run(self, config: Json, rendezvous: Rendezvous) -> Run:
        """Return what trains: a run in a forked process, or in this one. config: with this node's places."""
        address = Node.here().fork_server or config["fork_server"]
        if address and Path(address).exists():
            options = {name: config[name] for name in ("threads", "patience")}
            with suppress(OSError):
                Path(config["log"]).parent.mkdir(parents=True, exist_ok=True)
                return ForkedRun(address, rendezvous=rendezvous, log=config["log"], **options)
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
            return {REPORT: [None, None, self.about_node()]}
        assert self._run is not None
        try:
            self._look_around()
            report = self._run.step(self._look_around)
        except _AbandonedError:
            self._end_run()
            report = None
        return {REPORT: [self._trial_id, report, self.about_node()]}

    def about_node(self) -> Json:
        """Return what a lane's owner needs to know of the worker's node: Ray's id, its name, and if it is leaving."""
        node = Node.here()
        return {"id": self._node_id, "name": node.name, "leaving": node.is_leaving()}

    def cleanup(self) -> None:
        """End the run."""
        self._end_run()

    def _look_around(self) -> None:
        assert self._rendezvous is not None
        if self._news is not None:
            self._rendezvous.follow(self._news.read())
        if self._rendezvous.is_abandoned():
            raise _AbandonedError
        if Node.here().is_leaving():
            self._rendezvous.request_reports()

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.close()
            if self._rendezvous is not None and self._news is not None:
                shutil.rmtree(self._rendezvous.folder, ignore_errors=True)
        self._run = self._rendezvous = self._given = None

    def _wait_for_bell(self) -> None:
        if self._bell is None:
            return
        if self._news is not None:
            self._news.read(IDLE_SECONDS)
            return
        deadline = time.monotonic() + IDLE_SECONDS
        while time.monotonic() < deadline and not self._bell.exists():
            time.sleep(_LOOK_SECONDS)
        with suppress(OSError):
            self._bell.unlink()


class _News:
    """The newest notice about one topic. One question waits at the bulletin, which answers at the next change."""

    def __init__(self, bulletin: str, topic: str) -> None:
        self.topic = topic
        self._bulletin, self._known = bulletin, ""
        self._answer: ray.ObjectRef[str] | None = None

    def read(self, seconds: float = 0.0) -> str:
        """Return the notice as soon as it changes, at the latest after some seconds.

        That of a bulletin that is gone is `ABANDONED`: the driver is gone too.
        """
        try:
            if self._answer is None:
                actor = ray.get_actor(self._bulletin)
                self._answer = actor.read.remote(self.topic, self._known, _READ_SECONDS)
            ready, _ = ray.wait([self._answer], timeout=seconds)
            if ready:
                answer, self._answer = self._answer, None
                self._known = ray.get(answer)
        except ActorUnavailableError:  # a link is cut: ask again
            time.sleep(min(seconds, _LOOK_SECONDS))
        except (RayActorError, ValueError):
            self._known = ABANDONED
        return self._known


class _AbandonedError(Exception):
    """The trial's sweep has no driver any longer."""
