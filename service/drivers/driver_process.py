"""The driver process of one sweep of a service: admits the sweep, and drives it on the pool of lanes."""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from search_spaces import MeltpointError, SweepSpec
from search_spaces.extensions import count_stages_by
from service.clocks import now_ms
from service.clusters import workers_gpus
from service.drivers.event_listener import EventListener
from service.drivers.messages import PoolStatus, ask_status, look_from_workers
from service.drivers.pool_client import train_in_pool
from service.drivers.pool_nodes import as_node
from service.drivers.tasks import DriverTasks
from service.errors import ClusterError, LeaseError, SweepNotFoundError
from service.ledgers import Ledger, Sweep, SweepState, TrialPhase
from service.plans import learned_settings
from service.runs import Phase, in_phase
from service.runs.driver import Driver
from service.runs.helpers import Helpers, TorchTasks
from service.runs.image_sets import ImageSets
from service.runs.kept_checkpoints import store_of
from service.runs.leases import LeaseKeeper, driving
from service.runs.runner import check_resumable, describe_data, measure_costs, prepare_images
from service.settings import Home
from service.warm_starts import fit_earlier
from trainables.errors import DataError
from trainables.processes import ForkedError, ForkedObject

__all__ = ["DriverProcess"]

log = logging.getLogger(__name__)

COUNT_SECONDS = 20.0
"""Time that a user's own backbone has to be built once, so that its stages can be counted."""

POOL_SECONDS = 60.0
"""Time that a driver waits for the pool of lanes to come up."""


class DriverProcess(DriverTasks):
    """Drives one sweep. pool: socket of the lanes. fork_server: address of the server of helpers and trials."""

    def __init__(self, home: Home, pool: str, fork_server: str) -> None:
        self._home, self._pool, self._fork_server = home, pool, fork_server

    def drive(self, sweep_id: str, may_start: bool) -> None:
        """Drive the sweep; see `DriverTasks`."""
        with ExitStack() as stack:
            ledger = stack.enter_context(closing(Ledger.open(self._home, clock=now_ms)))
            sweep = ledger.sweeps.get(sweep_id)
            if sweep.state not in (SweepState.VALIDATING, SweepState.QUEUED):
                return
            try:
                keeper = stack.enter_context(driving(self._home, ledger, sweep.id))
            except LeaseError:
                log.info("another process drives %s", sweep_id)
                return
            guarded = ledger.with_lease(keeper.lease)
            try:
                driver = _prepare_driver(self, guarded, keeper, sweep, may_start, stack)
            except (MeltpointError, OSError) as error:
                guarded.sweeps.move(sweep.id, sweep.failure_state, error=str(error))
                return
            if driver is not None:
                train = partial(train_in_pool, address=self._pool, fork_server=self._fork_server, home=self._home.root)
                try:
                    driver.drive(train)
                except SweepNotFoundError:  # it had ended, and was deleted before MLflow had everything
                    log.info("%s was deleted", sweep_id, exc_info=True)

    def wait_for_pool(self) -> PoolStatus:
        """Return how the pool stands as soon as it is up. Raises ClusterError after `POOL_SECONDS`."""
        deadline = time.monotonic() + POOL_SECONDS
        while True:
            try:
                return ask_status(self._pool)
            except (OSError, EOFError) as error:
                if time.monotonic() > deadline:
                    raise ClusterError("the workers of this service did not start") from error
            time.sleep(0.1)

    def look_from_workers(self, spec: SweepSpec) -> None:
        """Check that workers on other machines can read the images; nothing is checked while there is no pool.

        Raises:
            DataError: a node cannot read them.
        """
        source = spec.folder / Path(spec.data.source)
        if not source.exists():  # a URI, or a set by its name
            return
        try:
            if ask_status(self._pool).here:
                return
            unreadable = look_from_workers(self._pool, [str(source)])
        except (OSError, EOFError):
            return
        for entry in unreadable:
            raise DataError(
                f"data.source: {entry.path} cannot be read on the node {entry.node}; give data.source as a URI that "
                "every node reads, or put the same files at the same path on every node"
            )

    def count_stages(self, backbone: str, folder: Path) -> int:
        """Count the stages of a user's own backbone in a process of its own, which imports the user's module.

        Raises:
            ValueError: the backbone is broken, or is not built in `COUNT_SECONDS`.
        """
        counter = ForkedObject(
            self._fork_server,
            _StageCounter,
            {},
            role="counter",
            environment=os.environ,
            folder=str(folder),
            patience=COUNT_SECONDS,
        )
        try:
            return counter.call(_StageCounter.count, backbone, folder)
        except ForkedError as error:
            raise ValueError(f"its stages cannot be counted: {error}") from None
        finally:
            counter.close()

    @property
    def home(self) -> Home:
        """The home of the sweep."""
        return self._home

    @property
    def fork_server(self) -> str:
        """Address of the server that forks helpers and trials."""
        return self._fork_server


def _prepare_driver(
    process: DriverProcess, ledger: Ledger, keeper: LeaseKeeper, sweep: Sweep, may_start: bool, stack: ExitStack
) -> Driver | None:
    """Admit the sweep and prepare its images; return its driver, or None if the sweep is to wait in the queue.

    Raises:
        MeltpointError: the sweep cannot be admitted, or its images cannot be prepared.
    """
    count_stages_by(process.count_stages)
    spec = sweep.read_spec()
    learned = learned_settings(spec)
    if learned:
        count = {"budget.trials": spec.budget.trials} if sweep.started_at is None else {}
        sweep = ledger.sweeps.learn(sweep.id, learned | count)
    helpers = Helpers(process.fork_server)
    stack.callback(helpers.close)
    torch_helper = helpers.torch_helper(spec, process.home)
    admission = torch_helper.start(TorchTasks.admit, store_of(process.home, sweep))
    make_mlflow_helper = partial(helpers.mlflow_helper, process.home)
    mlflow_helper = make_mlflow_helper() if may_start else None
    admission.result()
    process.look_from_workers(spec)
    if _is_unfitted(sweep):
        fit_earlier(sweep.warm_start or {}, spec, digest=None)  # refuses the sweep before it is queued
    if sweep.state is SweepState.VALIDATING:
        sweep = ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    if mlflow_helper is None:
        return None
    listener = EventListener(ledger, sweep.id)
    pool = process.wait_for_pool()
    nodes = None if pool.here else [as_node(described) for described in pool.nodes]
    gpus = workers_gpus() if pool.gpus else ()
    allotment = torch_helper.call(TorchTasks.share_out, pool.cpus, pool.gpus, gpus, nodes)
    with in_phase(listener, Phase.CHECKING_WEIGHTS):
        cautions = torch_helper.call(TorchTasks.check, allotment.device)
    for line in cautions:
        listener.notice(line)
    images = prepare_images(torch_helper, listener)
    sweep = _with_images(ledger, sweep, spec, images)
    if _is_unfitted(sweep):
        fitted = fit_earlier(sweep.warm_start or {}, spec, digest=sweep.data["digest"])
        ledger.sweeps.note(sweep.id, warm_start=fitted)
        sweep = ledger.sweeps.get(sweep.id)
    if sweep.model_costs is None:
        ledger.sweeps.note(sweep.id, model_costs=measure_costs(spec, torch_helper, listener))
        sweep = ledger.sweeps.get(sweep.id)
    return Driver(
        spec,
        images,
        sweep,
        home=process.home,
        ledger=ledger,
        keeper=keeper,
        listener=listener,
        torch_helper=torch_helper,
        mlflow_helper=mlflow_helper,
        make_mlflow_helper=make_mlflow_helper,
        allotment=allotment,
        is_alone=pool.here,
    )


def _with_images(ledger: Ledger, sweep: Sweep, spec: SweepSpec, images: ImageSets) -> Sweep:
    """Return the sweep with what its images are.

    Raises:
        ResumeError: they have changed since it began.
        ConfirmationError: it is to be confirmed, and they or the starting weights have changed.
    """
    if sweep.data:
        check_resumable(sweep, images, confirms=sweep.phase is TrialPhase.CONFIRM)
    else:
        ledger.sweeps.note(sweep.id, data=describe_data(spec, images))
    return ledger.sweeps.get(sweep.id)


def _is_unfitted(sweep: Sweep) -> bool:
    """Return whether the sweep's earlier sweeps are named, but their recipes not placed in its space."""
    return sweep.warm_start is not None and "prior" not in sweep.warm_start


class _StageCounter:
    """Counts stages in a process that may import the user's module."""

    def count(self, backbone: str, folder: Path) -> int:
        """Return the number of stages of a user's own backbone."""
        from trainables.architectures import count_stages

        return count_stages(backbone, folder)
