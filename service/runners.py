"""Runs one sweep on this machine, from the images to the registered candidate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from search_spaces import PARAMETERS, Choice, Domain, Fixed, Recipe, SweepSpec
from service.clocks import now_ms
from service.clusters import connect
from service.homes import Home
from service.interrupts import Interrupts
from service.leaderboards import Leaderboard
from service.ledgers import Ledger
from service.live_views import LiveView
from service.models import BestModel, candidate_payload
from service.records import Json, Sweep, Trial
from service.resources import Allotment, allot
from service.searchers import build_searcher
from service.senders import Sender
from service.sessions import Session
from service.states import SweepState
from service.stoppers import build_stopper
from service.tracking import Tracker
from service.tune_runs import tune_session
from trainables.devices import resolve_device
from trainables.precision import check_precision
from trainables.prepared import PreparedData, prepare
from trainables.trials import TrialPlan
from trainables.weights import check_weights

SENDING_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a sweep ended: its ledger row, its leaderboard, and what MLflow has not been told yet."""

    sweep: Sweep
    board: Leaderboard
    unsent: int
    tracking_error: str | None

    def as_json(self) -> Json:
        """The contract of `run -o json`."""
        best = self.board.best
        return {
            "sweep_id": self.sweep.id,
            "state": self.sweep.state.value,
            "counts": self.board.counts(),
            "best": best and {"trial_id": best.id, "metrics": self.board.metrics(best), "recipe": best.recipe},
            "seconds": self.sweep.seconds,
            "mlflow": self.sweep.mlflow or {"tracking_uri": None, "experiment_id": None, "run_id": None},
            "registered": self.sweep.registered,
            "error": self.sweep.error,
        }


def run_sweep(spec: SweepSpec, *, home: Home, console: Console) -> Outcome:
    """Run `spec` to its end; progress goes to `console`.

    Raises:
        MeltpointError: the data, the weights or the machine do not fit the spec; nothing was started.
    """
    with _step(console, "checking weights"):
        for backbone, weights in _weights(spec):
            check_weights(backbone, weights, image_size=spec.data.image_size)
    data = _prepare(spec, home, console)
    ledger = Ledger.at(home.ledger, clock=now_ms)
    try:
        with ExitStack() as stack:
            with _step(console, "starting Ray"):
                cluster = stack.enter_context(connect())
            allotment = allot(spec.resources, cpus=cluster.cpus, gpus=cluster.gpus, trials=spec.budget.trials)
            for precision in _precisions(spec):
                check_precision(precision, resolve_device(allotment.device))
            return _Run(spec, data, home=home, ledger=ledger, console=console).finish(allotment)
    finally:
        ledger.close()


class _Run:
    """One sweep of this process, from its row in the ledger to its outcome."""

    def __init__(self, spec: SweepSpec, data: PreparedData, *, home: Home, ledger: Ledger, console: Console) -> None:
        self.spec, self.data, self.home, self.ledger, self.console = spec, data, home, ledger, console
        self.sweep = ledger.create_sweep(
            name=spec.name,
            spec_text=spec.text,
            spec_file=spec.file,
            metric=spec.metric.name,
            goal=spec.metric.goal,
            seed=spec.seed,
            data=data.summary() | {"source": spec.data.source, "split": spec.data.split.model_dump()},
            plan=_plan(spec),
        )
        self.folder = home.sweep(self.sweep.id)
        self.folder.mkdir(parents=True, exist_ok=True)

    def finish(self, allotment: Allotment) -> Outcome:
        """Train, test and register, and tell MLflow."""
        session = self._open_session(allotment)
        sender = Sender(self.ledger, self.sweep.id, lambda: Tracker(self.ledger, self.home)).start()
        try:
            self._train(session, allotment)
        except KeyboardInterrupt:
            session.abandon("cancelled by a second Ctrl-C")
            self.sweep = self.ledger.move_sweep(self.sweep.id, SweepState.CANCELLED, error="cancelled", tell={})
        except Exception as error:
            session.abandon(str(error))
            self.ledger.move_sweep(self.sweep.id, SweepState.FAILED, error=str(error), tell={})
            raise
        with _step(self.console, "writing MLflow"):
            unsent = sender.finish(SENDING_PATIENCE_SECONDS)
        self.sweep = self.ledger.sweep(self.sweep.id)
        board = Leaderboard.read(self.ledger, self.sweep)
        return Outcome(sweep=self.sweep, board=board, unsent=unsent, tracking_error=sender.last_error)

    def _open_session(self, allotment: Allotment) -> Session:
        self.sweep = self.ledger.move_sweep(self.sweep.id, SweepState.RUNNING, tell={})
        return Session(
            spec=self.spec,
            sweep=self.sweep,
            ledger=self.ledger,
            searcher=build_searcher(self.spec),
            stopper=build_stopper(self.spec),
            clock=time.monotonic,
            gpu_share=allotment.gpu,
        )

    def _train(self, session: Session, allotment: Allotment) -> None:
        milestones = session.milestones()

        def make_plan(trial: Trial) -> TrialPlan:
            return TrialPlan(
                recipe=trial.recipe,
                seed=trial.seed,
                epochs=self.spec.budget.epochs,
                report_at=milestones,
                data=str(self.data.folder),
                split_key=self.data.split_key,
                folder=str(self.folder / trial.id),
                metric=self.sweep.metric,
                maximize=self.sweep.maximizes,
                device=allotment.device,
            )

        self.console.print(
            f"sweep [bold]{self.sweep.id}[/bold] ({self.spec.name}): {self.spec.budget.trials} trials of up to "
            f"{self.spec.budget.epochs} epochs, {allotment.slots} at once on {allotment.device}"
        )
        with Interrupts(lambda name: session.close(f"stopped by {name}")) as interrupts:
            with LiveView(session, self.console):
                tune_session(session, allotment=allotment, make_plan=make_plan, folder=self.folder)
            self._conclude(session, stopped=interrupts.count > 0)

    def _conclude(self, session: Session, *, stopped: bool) -> None:
        best = Leaderboard.read(self.ledger, self.sweep).best
        if best is not None and best.checkpoint is not None:
            self._offer(best)
        if stopped:
            self.ledger.move_sweep(self.sweep.id, SweepState.STOPPING)
            self.sweep = self.ledger.move_sweep(self.sweep.id, SweepState.STOPPED, error=session.cut_short, tell={})
        elif best is None or session.failed_too_often:
            why = session.cut_short or "no trial gave a value"
            self.sweep = self.ledger.move_sweep(self.sweep.id, SweepState.FAILED, error=why, tell={})
        else:
            self.sweep = self.ledger.move_sweep(self.sweep.id, SweepState.COMPLETED, error=session.cut_short, tell={})

    def _offer(self, best: Trial) -> None:
        """Read the best model on the test images, once, and have it registered."""
        model = BestModel(trial=best, data=self.data)
        with _step(self.console, "reading the best model on the test images"):
            test = model.test()
        if test is not None:
            self.ledger.add_reading(best.id, epoch=best.best_epoch or 0, split="test", metrics=test.metrics)
        self.ledger.note_sweep(self.sweep.id, best_trial_id=best.id)
        self.ledger.tell(self.sweep.id, "candidate", candidate_payload(model, test), trial_id=best.id)


def _prepare(spec: SweepSpec, home: Home, console: Console) -> PreparedData:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("decoding images", total=None)
        data = prepare(
            spec.data,
            base_dir=spec.folder,
            root=home.data,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for name, reason in data.skipped:
        console.print(f"[yellow]skipped[/yellow] {name}: {reason}", soft_wrap=True)
    return data


def _weights(spec: SweepSpec) -> list[tuple[str, str]]:
    """Every pair of backbone and weights that the sweep can draw, each once."""
    recipes = spec.points or tuple(
        Recipe(backbone=backbone, weights=weights)
        for backbone in _drawn(spec, "backbone")
        for weights in _drawn(spec, "weights")
    )
    anchored = (recipe.anchored(spec.folder) for recipe in recipes)
    return list(dict.fromkeys((recipe.backbone, recipe.weights) for recipe in anchored))


def _precisions(spec: SweepSpec) -> set[str]:
    """Every number format that the sweep can draw."""
    return {recipe.precision for recipe in spec.points} if spec.points else set(_drawn(spec, "precision"))


def _drawn(spec: SweepSpec, name: str) -> list[str]:
    """What a name that is not a number can be in the space: its listed values, else the default recipe's."""
    domains = [entry.domain for entry in spec.space.entries if entry.name == name]
    listed = [str(value) for domain in domains for value in _values(domain)]
    return listed or [str(spec.space.recipe(spec.space.default()).flat()[name])]


def _values(domain: Domain) -> Sequence[object]:
    if isinstance(domain, Fixed):
        return [domain.value]
    return domain.values if isinstance(domain, Choice) else []


def drawn_names(spec: SweepSpec) -> list[str]:
    """The recipe names that may differ between two trials of the sweep, in the vocabulary's order."""
    if spec.search.algorithm == "points":
        flats = [recipe.flat() for recipe in spec.points]
        return [name for name in PARAMETERS if len({repr(flat.get(name)) for flat in flats}) > 1]
    domains: dict[str, list[Domain]] = {}
    for entry in spec.space.entries:
        if entry.name is not None:
            domains.setdefault(entry.name, []).append(entry.domain)
    return [name for name in PARAMETERS if _varies(domains.get(name, []))]


def _varies(domains: list[Domain]) -> bool:
    values = {repr(domain.value) for domain in domains if isinstance(domain, Fixed)}
    return len(values) > 1 or any(not isinstance(domain, Fixed) for domain in domains)


def _plan(spec: SweepSpec) -> Json:
    """What was asked for, flat, as the parent run shows it."""
    sections = {
        "search": spec.search.model_dump(exclude={"points"}),
        "scheduler": spec.scheduler.model_dump(),
        "budget": spec.budget.model_dump(),
        "resources": spec.resources.model_dump(),
        "metric": spec.metric.model_dump(),
    }
    flat = {f"{section}.{name}": value for section, of in sections.items() for name, value in of.items()}
    flat["space.drawn"] = drawn_names(spec)
    flat = {name: value for name, value in flat.items() if value is not None}
    return flat | {"register.model": spec.registration.model if spec.registration else spec.name}


@contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    with console.status(what):
        yield


__all__ = ["Outcome", "run_sweep"]
