"""The pool of lanes: one loop of Ray Tune, kept alive, whose workers train the trials of every sweep under way."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Listener
from pathlib import Path

import ray
from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.experiment import Trial as TuneTrial
from typing_extensions import override

from search_spaces.errors import first_line
from service.clusters import use_prestarted_workers
from service.clusters.bulletins import Bulletin
from service.clusters.cluster_nodes import make_group, read_nodes
from service.clusters.placements import ClusterNode, LaneShape
from service.clusters.resources import await_resources
from service.drivers.looks import find_unreadable
from service.drivers.messages import (
    Crashed,
    Join,
    LookQuestion,
    NextTrial,
    Notice,
    Offer,
    PoolStatus,
    Preempt,
    Reported,
    StatusQuestion,
    Welcome,
)
from service.drivers.pool_drivers import Patience, PoolDriver, SweepFacts
from service.drivers.pool_nodes import Lacks, describe_nodes
from service.errors import ClusterError
from service.ledgers import Cause, Json
from service.queues import Candidate, Shares
from service.tune.lanes import TuneBridge
from service.tune.node_lanes import LEAVING, NodeLanes
from service.tune.sources import TrialSource
from service.tune.tune_runs import MOST_LANES
from trainables.processes import Rendezvous
from trainables.trials.ray_worker import TrialWorker

__all__ = ["LanePool", "SweepFacts"]

log = logging.getLogger(__name__)

_DRY_SECONDS = 0.5
"""Time after which a driver that had no trial to start is asked again."""

_FACTS_SECONDS = 0.5
GREETING_SECONDS = 2.0
"""Time in which a process that connects must send its first message."""

_LOOK_SECONDS = 0.5
"""Time after which a cluster without room for another lane is looked at again."""

KEEP_SECONDS = 300.0
"""Time for which lanes of a cluster stay ready after the last trial that wanted one; then their nodes are free."""

STAY_SECONDS = 3.0
"""Time for which a lane stays with its sweep while others take turns."""


@dataclass
class _Lane:
    """A worker. driver, trial_id: of the trial that it trains. charged_at: monotonic time up to which it is charged.

    promised: sweep for which its last trial was paused. last: sweep of its last trial, which its process serves;
    serves_since: the monotonic time since when.
    """

    shape: LaneShape
    driver: PoolDriver | None = None
    trial_id: str | None = None
    charged_at: float = 0.0
    serves_since: float = 0.0
    last: str | None = None
    promised: str | None = None
    is_up: bool = False


class LanePool(TrialSource):
    """Serves drivers at a Unix socket with the lanes of one Ray cluster, by fair share, until `close`.

    A lane asks for its next trial when one ends. At a report of a trial, the trial may be paused in favour of another
    sweep; see `Shares`. Lanes wait for trials with their processes ready; lanes of another shape are made if a sweep
    asks for one.

    Thread safety: Tune's loop calls the methods of `TrialSource`; drivers come and go in a thread of their own.

    Args:
        address: path of the Unix socket.
        default: shape of the lanes that wait.
        read_facts: returns the facts of the sweeps with these ids that are still there; called about twice a second.
        here: whether Ray runs on this machine alone, for this pool.
        read_nodes: returns the nodes that live; called about twice a second.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        address: str,
        *,
        default: Callable[[float, float], LaneShape],
        read_facts: Callable[[Iterable[str]], dict[str, SweepFacts]],
        here: bool = True,
        read_nodes: Callable[[], Iterable[ClusterNode]] = read_nodes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = f"pool-{address}"
        self.failure: Exception | None = None
        self._address, self._read_facts, self._default = address, read_facts, default
        self._read_nodes, self._clock = read_nodes, clock
        self.binds = not here
        self._nodes = NodeLanes(binds=not here, clock=clock)
        self._looks_again_at, self._wanted_at = 0.0, clock()
        self._lacks = Lacks(clock)
        self._bells = tempfile.mkdtemp(prefix="bells-", dir=Path(address).parent)
        self._lanes: dict[str, _Lane] = {}
        self._drivers: dict[str, PoolDriver] = {}
        self._patience: dict[str, Patience] = {}
        """Patience with the driver of each sweep; it stays when the driver leaves and joins again."""
        self._shares = Shares()
        self._wanted_shape: LaneShape | None = None
        self._here = here
        self._bulletin: Bulletin | None = None
        self._closed = threading.Event()
        self._lock = threading.RLock()

    def serve(self, join_ray: Callable[[], None]) -> None:
        """Join Ray and serve until `close`.

        Raises:
            ClusterError: Ray cannot be joined.
            Exception: the first error of ours inside Tune's loop.
        """
        with ExitStack() as stack:
            join_ray()
            stack.callback(ray.shutdown)
            if self._here:
                use_prestarted_workers()
            else:
                self._bulletin = Bulletin()
            stack.enter_context(self.open())
            with TuneBridge(self) as bridge:
                self._tuner(bridge).fit()
        if self.failure is not None:
            raise self.failure

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let drivers come and go while entered."""
        self._nodes.follow(self._read_nodes())
        with Listener(self._address, "AF_UNIX", backlog=64) as listener:
            threading.Thread(target=self._accept, args=(listener,), name="accept", daemon=True).start()
            threading.Thread(target=self._watch, name="watch", daemon=True).start()
            yield

    def close(self) -> None:
        """Let every lane end."""
        self._closed.set()
        self._ring()

    # What Tune's loop asks.

    @override
    def first_config(self, lane: str) -> Json | None:
        """Make a lane if there is room for one of the wanted shape; it begins without a trial.

        On a cluster one lane may wait for a node, if a sweep wants more than there are.
        """
        with self._lock:
            if self._closed.is_set() or self._clock() < self._looks_again_at:
                return None
            shape, is_wanted = self._next_shape()
            placed = None if shape is None else self._nodes.place(lane, shape, may_wait=is_wanted)
            if shape is None or placed is None:
                if self.binds:
                    self._looks_again_at, self._wanted_shape = self._clock() + _LOOK_SECONDS, None
                return None
            self._wanted_shape = None
            self._lanes[lane] = _Lane(shape)
            config = self._idle_config(lane) | placed
            return config | {"bell": None} if self.binds else config

    @override
    def next_config(self, lane: str) -> Json | None:
        """Return the trial that the lane trains next, or nothing to do; None if the lane makes room for others."""
        with self._lock:
            mine = self._lanes[lane]
            mine.driver = mine.trial_id = None
            mine.is_up = True
            if self._nodes.problem(lane) is not None or self._is_idle_for_long():
                self.removed(lane)
                return None
            for sweep_id in [] if self._closed.is_set() else self._ranked_for(mine):
                driver = self._drivers[sweep_id]
                if driver.shape != mine.shape:
                    if self._makes_room(lane, driver.shape):
                        self.removed(lane)
                        return None
                    continue
                config = self._ask_for_trial(lane, driver)
                if config is not None:
                    return config
            if self._closed.is_set():
                self.removed(lane)
                return None
            return self._idle_config(lane)

    @override
    def heard(self, lane: str, about: Json) -> None:
        """Take note of what a worker tells of its node."""
        with self._lock:
            self._nodes.heard(lane, about)

    @override
    def lanes_to_end(self) -> Collection[str]:
        """Return the lanes that wait for a worker in vain."""
        with self._lock:
            if self._closed.is_set():
                return self._nodes.starting
            return self._nodes.overdue(self._is_wanted)

    @override
    def removed(self, lane: str) -> None:
        """Forget a lane."""
        with self._lock:
            self._lanes.pop(lane, None)
            self._nodes.ended(lane)
            self._looks_again_at = 0.0

    @override
    def is_exhausted(self) -> bool:
        """Return whether the pool is closed."""
        return self._closed.is_set()

    @override
    def record(self, lane: str, trial_id: str, report: Json | None) -> bool:
        """Pass a report on to its driver; pause its trial there if another sweep is to have the lane."""
        with self._lock:
            mine = self._lanes[lane]
            driver = mine.driver
            self._charge(mine)
            if driver is None or report is None:
                return True
            is_nodes_fault = self._nodes.is_nodes_fault(lane, report)
            try:
                reported = Reported(trial_id=trial_id, report=report, is_nodes_fault=is_nodes_fault)
                has_ended, driver.wanted = driver.ask(reported)
                if not has_ended and self._nodes.is_leaving(lane):
                    reason = LEAVING.format(self._nodes.name(lane))
                    _, driver.wanted = driver.ask(Preempt(trial_id=trial_id, reason=reason, cause=Cause.PREEMPTED))
                    driver.dry_until = 0.0
                    has_ended = True
                if not has_ended:
                    preemption = self._shares.should_yield(driver.join.sweep_id, self._candidates())
                    if preemption is not None:
                        _, driver.wanted = driver.ask(Preempt(trial_id=trial_id, reason=preemption.reason))
                        driver.dry_until = 0.0
                        mine.promised = preemption.to
                        has_ended = True
            except (EOFError, OSError):
                self._drop(driver)
                return True
            return bool(has_ended)

    @override
    def crashed(self, lane: str, error_text: str) -> None:
        """Tell the driver that the lane's worker is lost; another lane is made in its place."""
        with self._lock:
            mine = self._lanes.get(lane)
            trains = mine is not None and mine.driver is not None and mine.trial_id is not None
            cause, reason = self._nodes.lost(lane, error_text, trains=trains)
            self.removed(lane)
            if mine is None or mine.driver is None or mine.trial_id is None:
                return
            self._charge(mine)
            try:
                mine.driver.dry_until = 0.0
                _, mine.driver.wanted = mine.driver.ask(
                    Crashed(trial_id=mine.trial_id, reason=reason, text=error_text, cause=cause)
                )
            except (EOFError, OSError):
                self._drop(mine.driver)

    @override
    def fail(self, failure: Exception) -> None:
        """Keep the first error, and close the pool."""
        log.warning("the pool of lanes failed", exc_info=failure)
        self.failure = self.failure or failure
        self.close()

    def _ask_for_trial(self, name: str, driver: PoolDriver) -> Json | None:
        lane = self._lanes[name]
        try:
            offer: Offer = driver.ask(NextTrial(node=self._nodes.name(name)))
        except (EOFError, OSError):
            self._drop(driver)
            return None
        driver.wanted = offer.wanted
        if offer.config is None:
            driver.wanted = 0
            driver.dry_until = self._clock() + _DRY_SECONDS
            return None
        lane.driver, lane.trial_id = driver, str(offer.config["trial_id"])
        lane.charged_at = self._clock()
        if lane.last != driver.join.sweep_id:
            lane.last, lane.serves_since = driver.join.sweep_id, lane.charged_at
        return self._with_bulletin(offer.config)

    def _ranked_for(self, lane: _Lane) -> list[str]:
        """Return the sweeps that may have the lane, first the one that should.

        The sweep for which the lane's trial paused comes first, unless one of higher priority has come since.
        Otherwise the lane stays with its sweep for a while if the first in turn has another lane already: a change of
        sweeps costs a new process, which is more than a short trial.
        """
        candidates = {candidate.sweep_id: candidate for candidate in self._candidates(asking=True)}
        ranked = self._shares.rank(list(candidates.values()))
        promised, lane.promised = lane.promised, None
        if promised in ranked and candidates[promised].priority >= candidates[ranked[0]].priority:
            ranked.remove(promised)
            return [promised, *ranked]
        if lane.last in ranked and self._clock() - lane.serves_since < STAY_SECONDS:
            first, stays = candidates[ranked[0]], candidates[lane.last]
            owner_runs = any(other.owner == first.owner and other.running for other in candidates.values())
            if first.priority == stays.priority and (owner_runs or first.owner == stays.owner):
                ranked.remove(lane.last)
                ranked.insert(0, lane.last)
        return ranked

    def _candidates(self, *, asking: bool = False) -> list[Candidate]:
        """Return the sweeps under way. asking: a driver that had no trial is asked again from time to time."""
        now = self._clock()
        running = [lane.driver.join.sweep_id for lane in self._lanes.values() if lane.driver is not None]
        return [
            Candidate(
                sweep_id=sweep_id,
                running=running.count(sweep_id),
                wanted=0 if driver.patience.is_used_up else max(driver.wanted, int(asking and driver.dry_until <= now)),
                **vars(driver.facts),
            )
            for sweep_id, driver in self._drivers.items()
        ]

    def _charge(self, lane: _Lane) -> None:
        now = self._clock()
        if lane.driver is not None:
            self._shares.charge(lane.driver.join.sweep_id, now - lane.charged_at)
        lane.charged_at = now

    def _next_shape(self) -> tuple[LaneShape | None, bool]:
        """Return the shape of the next lane, None for no lane, and whether a sweep wants it now."""
        default = self._wanted_shape or self._default(*self._size())
        if not self.binds:
            return default, False
        ranked = self._shares.rank(self._candidates(asking=True))
        if not ranked:
            return (None if self._is_idle_for_long() else default), False
        self._wanted_at = self._clock()
        if self._wanted_shape is not None:
            return self._wanted_shape, True
        shapes = [self._drivers[sweep_id].shape for sweep_id in ranked]
        fitting = [shape for shape in shapes if self._nodes.placements.has_room(shape)]
        if fitting:
            return fitting[0], False
        lacking = [shape for shape in shapes if self._lacks_lanes(shape, ranked)]
        return (lacking[0], True) if lacking else (shapes[0], False)

    def _lacks_lanes(self, shape: LaneShape, ranked: Collection[str]) -> bool:
        """Return whether sweeps want more lanes of a shape than are free or start already on a node."""
        wanted = sum(self._drivers[sweep_id].wanted for sweep_id in ranked if self._drivers[sweep_id].shape == shape)
        node_of = self._nodes.placements.node_of
        free = [name for name, lane in self._lanes.items() if lane.driver is None and lane.shape == shape]
        return wanted > sum(node_of(name) is not None for name in free)

    def _is_wanted(self) -> bool:
        """Return whether the lane that waits for a node is still wanted."""
        ranked = self._shares.rank(self._candidates(asking=True))
        waiting = {self._lanes[name].shape for name in self._nodes.placements.waiting if name in self._lanes}
        return any(self._lacks_lanes(shape, ranked) for shape in waiting)

    def _is_idle_for_long(self) -> bool:
        """Return whether no sweep has wanted a lane of the cluster for so long that its nodes may be given back."""
        if self.binds and self._drivers:
            self._wanted_at = self._clock()
        return self.binds and self._clock() - self._wanted_at > KEEP_SECONDS

    def _size(self) -> tuple[float, float]:
        nodes = self._nodes.placements.nodes
        return sum(node.cores for node in nodes), sum(node.gpus for node in nodes)

    def _makes_room(self, lane: str, shape: LaneShape) -> bool:
        """Return whether the lane ends so that one of another shape fits; one shape is made room for at a time."""
        placements = self._nodes.placements
        others = {name: other for name, other in self._lanes.items() if name != lane and other.driver is None}
        if any(other.shape == shape for name, other in others.items() if placements.node_of(name) is not None):
            return False  # a lane of that shape is free
        if self._wanted_shape not in (None, shape) or not placements.makes_room(lane, shape):
            return False
        self._wanted_shape, self._looks_again_at = shape, 0.0
        return not placements.has_room(shape)

    def _idle_config(self, lane: str) -> Json:
        return self._with_bulletin({"trial_id": None, "bell": self._bell(lane)})

    def _bell(self, lane: str) -> str:
        return str(Path(self._bells) / lane)

    def _with_bulletin(self, config: Json) -> Json:
        return config if self._bulletin is None else config | {"bulletin": self._bulletin.name}

    # Drivers that come and go.

    def _accept(self, listener: Listener) -> None:
        while not self._closed.is_set():
            with suppress(OSError, EOFError):
                self._welcome(listener.accept())

    def _welcome(self, connection: Connection) -> None:
        if not connection.poll(GREETING_SECONDS):
            connection.close()  # it would keep all others from the pool
            return
        first = connection.recv()
        if isinstance(first, StatusQuestion):
            with connection:
                connection.send(self._status())
            return
        if isinstance(first, LookQuestion):
            threading.Thread(target=self._look, args=(connection, first), name="look", daemon=True).start()
            return
        refusal = self._refusal(first)
        facts = self._read_facts([first.sweep_id]).get(first.sweep_id)
        connection.send(Welcome(refusal=refusal))
        if refusal is not None or facts is None:
            connection.close()
            return
        with self._lock:
            patience = self._patience.setdefault(first.sweep_id, Patience())
            if self._bulletin is not None:
                self._bulletin.follow(first.rendezvous)
            self._drivers[first.sweep_id] = PoolDriver(first, connection, facts, first.wanted, patience)
        self._ring()

    def _look(self, connection: Connection, question: LookQuestion) -> None:
        with connection:
            try:
                unreadable = [] if self._here else find_unreadable(question.paths)
            except Exception:  # Ray raises whatever keeps it from an answer
                log.warning("no look from the workers", exc_info=True)
                unreadable = []
            with suppress(OSError):
                connection.send(unreadable)

    def _refusal(self, join: Join) -> str | None:
        cpus, gpus = self._size()
        if not self.binds and (join.cpu > cpus or join.gpu > gpus):
            return f"a trial asks for {join.cpu:g} cores and {join.gpu:g} GPUs; the cluster has {cpus:g} and {gpus:g}"
        return None

    def _drop(self, driver: PoolDriver) -> None:
        """Forget a driver; workers give up its trials within about a second."""
        log.info("the driver of %s left the pool", driver.join.sweep_id)
        with self._lock:
            if self._drivers.get(driver.join.sweep_id) is driver:
                del self._drivers[driver.join.sweep_id]
            for lane in self._lanes.values():
                if lane.driver is driver:
                    self._charge(lane)
                    lane.driver = None
        Rendezvous(driver.join.rendezvous, 1).abandon()
        driver.connection.close()

    def _watch(self) -> None:
        """Notice drivers that leave, changes of sweeps and users, and of the cluster."""
        while not self._closed.wait(_FACTS_SECONDS):
            try:
                for driver in list(self._drivers.values()):
                    if driver.has_left():
                        self._drop(driver)
                if self._bulletin is not None:
                    self._bulletin.mirror()
                facts = self._read_facts(list(self._drivers))
                with self._lock:
                    for sweep_id, driver in self._drivers.items():
                        driver.facts = facts.get(sweep_id, driver.facts)
                    for lane in self._lanes.values():
                        self._charge(lane)
                    self._patience = {
                        sweep_id: patience
                        for sweep_id, patience in self._patience.items()
                        if sweep_id in self._drivers or not patience.is_whole
                    }
                self._look_at_nodes()
                if any(driver.dry_until < self._clock() for driver in list(self._drivers.values())):
                    self._ring()
            except Exception:  # the ledger may be away for a while
                log.warning("the pool could not look around", exc_info=True)

    def _look_at_nodes(self) -> None:
        """Go on with the nodes that live now; tell users what becomes of them."""
        nodes = list(self._read_nodes())
        with self._lock:
            self._nodes.follow(nodes)
            notices = self._nodes.take_notices()
            drivers = list(self._drivers.values())
            lacks = self._lacks.find(drivers, self._nodes.placements) if self.binds else {}
        for text in notices:
            log.warning("%s", text)
        for driver in drivers:
            for text in [*notices, *lacks.get(driver.join.sweep_id, ())]:
                with suppress(EOFError, OSError):  # a driver that leaves is noticed at the next look
                    driver.ask(Notice(text=text))

    def _ring(self) -> None:
        """Wake the workers that wait."""
        with self._lock:
            bells = [self._bell(name) for name, lane in self._lanes.items() if lane.driver is None]
        for bell in bells:
            with suppress(OSError):
                Path(bell).touch()
        if self._bulletin is not None:
            self._bulletin.ring(bells)

    def _status(self) -> PoolStatus:
        """Return how the pool stands, without its lock, which is held while a driver is asked."""
        lanes = list(self._lanes.values())
        cpus, gpus = self._size()
        return PoolStatus(
            cpus=cpus,
            gpus=gpus,
            lanes=len(lanes),
            ready=sum(lane.is_up for lane in lanes),
            busy=sum(lane.driver is not None for lane in lanes),
            here=self._here,
            nodes=tuple(describe_nodes(self._nodes.placements.states())),
        )

    def _tuner(self, bridge: TuneBridge) -> Tuner:
        folder = tempfile.mkdtemp(prefix="tune-", dir=Path(self._address).parent)
        return Tuner(
            tune.with_resources(TrialWorker, make_group),
            tune_config=TuneConfig(
                search_alg=bridge.searcher,
                scheduler=bridge.scheduler,
                num_samples=-1,
                max_concurrent_trials=MOST_LANES,
                reuse_actors=self._here,
                trial_name_creator=_lane_name,
                trial_dirname_creator=_lane_name,
            ),
            run_config=RunConfig(
                name="tune",
                storage_path=folder,
                verbose=0,
                failure_config=FailureConfig(max_failures=0),
                checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        )


def join_ray(address: str) -> None:
    """Join the Ray cluster at `address`, and wait a moment until it knows of its cores.

    Raises:
        ClusterError: it cannot be joined.
    """
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises whatever stopped it
        raise ClusterError(f"the Ray cluster at {address} cannot be joined: {first_line(error)}") from error
    await_resources()


def _lane_name(trial: TuneTrial) -> str:
    return f"lane-{trial.trial_id}"
