"""Run one sweep on this machine, from the images to the registered candidate."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from search_spaces import SweepSpec
from service.clocks import now_ms
from service.clusters import Prestarted, workers_gpus
from service.clusters.cluster_nodes import read_nodes
from service.clusters.connections import connect, forking
from service.confirmations import Confirmation
from service.coordination import new_sweep
from service.errors import ConfirmationError, ResumeError
from service.ledgers import Json, Ledger, Revision, Sweep, TrialPhase
from service.objectives import ModelCosts, Objectives, check_limits
from service.plans import flat_settings, revisable_settings
from service.reports import data_notes
from service.runs.driver import Driver
from service.runs.helpers import Helpers, TorchTasks
from service.runs.image_sets import ImageSets
from service.runs.kept_checkpoints import store_of
from service.runs.leases import driving, mark_interrupted
from service.runs.listeners import Listener, Phase, SilentListener, in_phase
from service.runs.outcomes import Outcome
from service.settings import Home
from service.tune import run_tune
from service.warm_starts import fit_earlier, read_earlier
from trainables.processes import ObjectHandle

__all__ = ["Outcome", "confirm_sweep", "describe_data", "measure_costs", "prepare_images", "resume_sweep", "run_sweep"]


def run_sweep(
    spec: SweepSpec,
    *,
    home: Home,
    listener: Listener | None = None,
    prestarted: Prestarted | None = None,
    apart: bool | None = None,
) -> Outcome:
    """Run `spec` to its end, as a new sweep.

    listener: hears how the sweep goes.
    prestarted: Ray and a fork server, if they run already.
    apart: run the torch and MLflow parts in helper processes; by default if this process has not loaded torch.

    Raises:
        MeltpointError: own code, the data, the weights or the machine do not fit the spec; no sweep was made.
    """

    def create(images: ImageSets, ledger: Ledger, torch_helper: ObjectHandle[TorchTasks]) -> Sweep:
        return new_sweep(
            spec,
            ledger,
            data=describe_data(spec, images),
            settings=flat_settings(spec),
            warm_start=warm_start(spec, ledger, images),
            model_costs=measure_costs(spec, torch_helper, listener or SilentListener()),
        )

    return _run(spec, create, store=home.store, home=home, listener=listener, prestarted=prestarted, apart=apart)


def resume_sweep(
    sweep: Sweep,
    spec: SweepSpec,
    *,
    home: Home,
    listener: Listener | None = None,
    prestarted: Prestarted | None = None,
    apart: bool | None = None,
) -> Outcome:
    """Resume a sweep that was interrupted or paused; spec: its own, perhaps with more budget. See `run_sweep`.

    Raises:
        ConflictError: its file was changed just now.
        ResumeError: its images have changed, or its search no longer draws what it drew.
        ConfirmationError: it was being confirmed, and its images or the starting weights have changed.
    """

    def get_sweep(images: ImageSets, ledger: Ledger, _helper: ObjectHandle[TorchTasks]) -> Sweep:
        check_resumable(sweep, images, confirms=sweep.phase is TrialPhase.CONFIRM and spec.text == sweep.spec_text)
        if spec.text == sweep.spec_text:
            return sweep
        revision = Revision(old_text=sweep.spec_text, text=spec.text, settings=revisable_settings(spec))
        return ledger.sweeps.revise(sweep.id, revision)

    return _run(
        spec, get_sweep, store=store_of(home, sweep), home=home, listener=listener, prestarted=prestarted, apart=apart
    )


def confirm_sweep(
    sweep: Sweep,
    spec: SweepSpec,
    confirmation: Confirmation,
    *,
    home: Home,
    listener: Listener | None = None,
    prestarted: Prestarted | None = None,
    apart: bool | None = None,
) -> Outcome:
    """Confirm a sweep whose search has ended; see `run_sweep`. The retrainings that there are already are not repeated.

    Raises:
        ConfirmationError: its images or the starting weights have changed.
        LeaseError: another process drives the sweep.
    """

    def get_sweep(images: ImageSets, _ledger: Ledger, _helper: ObjectHandle[TorchTasks]) -> Sweep:
        check_unchanged(sweep, images)
        return sweep

    begin = partial(_begin_confirmation, sweep.id, confirmation)
    store = store_of(home, sweep)
    return _run(spec, get_sweep, begin, store=store, home=home, listener=listener, prestarted=prestarted, apart=apart)


def _begin_confirmation(sweep_id: str, asked: Confirmation, ledger: Ledger) -> Sweep:
    """Write the confirmation that was asked for, unless there is one like it by now; the ledger has the lease."""
    present = Confirmation.from_sweep(ledger.sweeps.get(sweep_id))
    noted = present if present is not None and present.is_like(asked) else asked
    ledger.sweeps.note(sweep_id, phase=TrialPhase.CONFIRM.value, confirmation=noted.as_json())
    return ledger.sweeps.get(sweep_id)


def check_resumable(sweep: Sweep, images: ImageSets, *, confirms: bool) -> None:
    """Check that a sweep can go on with these images; confirms: whether it goes on with its confirmation.

    Raises:
        ResumeError: they have changed since it began.
        ConfirmationError: it is to be confirmed, and they or the starting weights have changed.
    """
    if confirms:
        check_unchanged(sweep, images)
    elif images.summary["digest"] != sweep.data["digest"]:
        raise ResumeError(f"{sweep.id} cannot be resumed: its images or their splits have changed since it began")


def check_unchanged(sweep: Sweep, images: ImageSets) -> None:
    """Check that a sweep's images, splits and starting weights are those that its search had.

    Raises:
        ConfirmationError: they have changed.
    """
    if images.summary["digest"] != sweep.data["digest"]:
        raise ConfirmationError(
            f"{sweep.id} cannot be confirmed: its images or their splits have changed since its search "
            f"(digest {sweep.data['digest']}, now {images.summary['digest']}); restore them, or start "
            f"another sweep with: {sweep.start_command}"
        )
    for row in images.summary.get("weights", ()):
        known = sweep.weights_digest(row["backbone"], row["weights"])
        if known is not None and known != row["digest"]:
            raise ConfirmationError(
                f"{sweep.id} cannot be confirmed: the weights {row['weights']} of {row['backbone']} have changed since "
                f"its search (digest {known}, now {row['digest']}); restore them, or start another sweep with: "
                f"{sweep.start_command}"
            )


def _run(
    spec: SweepSpec,
    get_sweep: Callable[[ImageSets, Ledger, ObjectHandle[TorchTasks]], Sweep],
    begin: Callable[[Ledger], Sweep] | None = None,
    *,
    store: str | None,
    home: Home,
    listener: Listener | None,
    prestarted: Prestarted | None,
    apart: bool | None,
) -> Outcome:
    """Drive a sweep.

    begin: is called with the ledger as soon as this process has the lease; returns the sweep. store: place of its
    checkpoints, if they do not lie in the home.
    """
    listener = listener or SilentListener()
    with ExitStack() as stack:
        fork_server = stack.enter_context(forking(prestarted))
        helpers = Helpers(fork_server if apart or (apart is None and "torch" not in sys.modules) else None)
        stack.callback(helpers.close)
        torch_helper = helpers.torch_helper(spec, home)
        admission = torch_helper.start(
            TorchTasks.admit, store
        )  # its errors are reported before anything else takes time
        make_mlflow_helper = partial(helpers.mlflow_helper, home)
        mlflow_helper = make_mlflow_helper()  # the helper loads MLflow meanwhile
        ray = stack.enter_context(ExitStack())
        with in_phase(listener, Phase.STARTING_RAY):
            cluster = ray.enter_context(connect(prestarted))
        with in_phase(listener, Phase.LOADING_TORCH):
            admission.result()
        ledger = Ledger.open(home, clock=now_ms)
        stack.callback(ledger.close)
        mark_interrupted(ledger, home)
        gpus = workers_gpus() if cluster.gpus else ()
        allotment = torch_helper.call(TorchTasks.share_out, cluster.cpus, cluster.gpus, gpus, cluster.nodes)
        with in_phase(listener, Phase.CHECKING_WEIGHTS):
            cautions = torch_helper.call(TorchTasks.check, allotment.device)
        for line in cautions:
            listener.notice(line)
        images = prepare_images(torch_helper, listener)
        sweep = get_sweep(images, ledger, torch_helper)
        keeper = stack.enter_context(driving(home, ledger, sweep.id))
        guarded = ledger.with_lease(keeper.lease)
        if begin is not None:
            sweep = begin(guarded)
        driver = Driver(
            spec,
            images,
            sweep,
            home=home,
            ledger=guarded,
            keeper=keeper,
            listener=listener,
            torch_helper=torch_helper,
            mlflow_helper=mlflow_helper,
            make_mlflow_helper=make_mlflow_helper,
            allotment=allotment,
            is_alone=cluster.here,
        )
        train = partial(run_tune, home=home.root)
        train = partial(train, fork_server=fork_server) if cluster.here else partial(train, nodes=read_nodes)
        return driver.drive(train, ray)


def prepare_images(torch_helper: ObjectHandle[TorchTasks], listener: Listener) -> ImageSets:
    """Have the admitted images decoded, or found decoded; the listener hears of the progress."""
    with in_phase(listener, Phase.DECODING_IMAGES):
        images = torch_helper.call(TorchTasks.prepare, progress=partial(listener.phase_advanced, Phase.DECODING_IMAGES))
    for name, reason in images.skipped:
        listener.image_skipped(name, reason)
    for line in data_notes(images.summary):
        listener.notice(line)
    return images


def measure_costs(spec: SweepSpec, torch_helper: ObjectHandle[TorchTasks], listener: Listener) -> Json | None:
    """Return the costs of a sweep's models as plain data; None if no metric of the sweep needs them.

    The listener hears of models that break a limit.

    Raises:
        MeltpointError: every model breaks a limit, or a model cannot be built.
    """
    objectives = Objectives.from_specs(spec.metrics)
    if not objectives.costs:
        return None
    with in_phase(listener, Phase.MEASURING_MODELS):
        progress = partial(listener.phase_advanced, Phase.MEASURING_MODELS)
        measured = torch_helper.call(TorchTasks.measure_models, progress=progress)
    for line in check_limits(objectives, ModelCosts.from_json(measured)):
        listener.notice(line)
    return measured


def warm_start(spec: SweepSpec, ledger: Ledger, images: ImageSets) -> Json | None:
    """Return what a new sweep knows from earlier sweeps of the home; None if it names none.

    Raises:
        SpecError: a sweep does not exist, or has no results.
        MeltpointError: no earlier recipe lies in the space.
    """
    earlier = read_earlier(ledger, spec)
    return earlier and fit_earlier(earlier, spec, digest=images.summary["digest"])


def describe_data(spec: SweepSpec, images: ImageSets) -> Json:
    """Return what a sweep's row says of its images."""
    source = {"source": spec.data.source, "split": spec.data.split.model_dump(), "stores": images.stores}
    return images.summary | source
