"""The coordinator of a running sweep, which picks trials, records results, and decides when to stop, without Ray."""

from __future__ import annotations

import math
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from search_spaces import Recipe, SweepSpec
from service.coordination.affinity import LOOKAHEAD, Affinity
from service.coordination.gpu_time import GpuBudget, GpuTime
from service.coordination.replays import replay
from service.coordination.results import Progress, Result
from service.coordination.retries import RETRIES
from service.errors import StaleAttemptError
from service.ledgers import (
    FIRST_RETRAINING,
    Cause,
    Ending,
    EpochRow,
    Json,
    Ledger,
    Sweep,
    SweepHistory,
    Trial,
    TrialPhase,
    TrialState,
)
from service.objectives import Limits
from service.schedulers import Report, Reports, Scheduler
from service.searchers import Searcher


def new_sweep(
    spec: SweepSpec,
    ledger: Ledger,
    *,
    data: Json,
    settings: Json,
    model_costs: Json | None = None,
    warm_start: Json | None = None,
) -> Sweep:
    """Create a sweep of `spec` in the ledger, in state `validating`."""
    return ledger.sweeps.create(
        name=spec.name,
        spec_text=spec.text,
        spec_file=str(Path(spec.file).absolute()),  # a resume may start in another working folder
        metric=spec.metric.name,
        goal=spec.metric.goal,
        seed=spec.seed,
        data=data,
        settings=settings,
        model_costs=model_costs,
        warm_start=warm_start,
    )


class Coordinator:
    """Asks the searcher, records results in the ledger, asks the scheduler, keeps the budget.

    `cut_short` says why trials were left out or ended before their time, if any were; `milestones` are the epochs
    after which a trial must report at once. `notice` is called with what a user should know meanwhile, `ended` with
    every trial that has come to its end. history: how far the sweep had come; what was under way then goes on first.
    gpu_budget: gives trials their GPU time, if the sweep's owner pays for it. phase: of the trials; those of the
    confirmation are numbered from `FIRST_RETRAINING` on, and `history` holds the trials of this phase alone.

    Ownership: borrows the ledger. Thread safety: one lock; Ray's event loop and the live view may both call.
    """

    def __init__(
        self,
        *,
        spec: SweepSpec,
        sweep: Sweep,
        ledger: Ledger,
        searcher: Searcher,
        scheduler: Scheduler,
        clock: Callable[[], float],
        gpu_share: float = 0.0,
        notice: Callable[[str], None] = lambda _: None,
        ended: Callable[[Trial], None] = lambda _: None,
        history: SweepHistory | None = None,
        gpu_budget: GpuBudget | None = None,
        phase: TrialPhase = TrialPhase.SEARCH,
    ) -> None:
        self.spec, self.sweep, self.ledger = spec, sweep, ledger
        self._searcher, self._scheduler = searcher, scheduler
        self._clock = clock
        self._gpu_share, self._gpu_time = gpu_share, GpuTime(clock, gpu_budget)
        self._notice, self._noticed = notice, set[str]()
        self._tell_ended = ended
        self._started = clock()
        self.milestones = scheduler.milestones
        self._reports, self._limits = Reports(), Limits.from_sweep(sweep)
        self._attempts: dict[str, Trial] = {}
        self._values: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self.phase = phase
        self._affinity = Affinity()
        self._asked: set[int] = set()
        self._left = self._find_left()
        self._closing: str | None = None
        self._spent: str | None = None
        self._draining: str | None = None
        self.paused = False
        self.cut_short: str | None = None
        self._exhausted = self._search_ended = False
        self._lock = threading.RLock()
        self.progress = Progress()
        self._under_way: deque[Trial] = deque()
        self._preempted: deque[Trial] = deque()
        self._retrying: list[tuple[float, Trial]] = []
        if history is not None:
            self._go_on(history)

    def _go_on(self, history: SweepHistory) -> None:
        """Restore the searcher, the reports and the counters from the history. Raises ResumeError as `replay`."""
        metric = self.sweep.metric
        self._reports = replay(history, self._searcher, metric=metric, milestones=frozenset(self.milestones))
        self._asked = {trial.number for trial in history.trials}
        self._left = self._find_left()
        for trial in history.trials:
            rows = history.epochs.get(trial.id, ())
            if trial.node is not None:
                self._affinity.begin(trial.node, Recipe.from_flat(trial.recipe))
            self.progress.epochs += len(rows)
            self.progress.worker_seconds += sum(row.seconds for row in rows)
            self._note_best(trial)
            if trial.state.is_finished:
                self.progress.states[trial.state] += 1
            else:
                self._under_way.append(trial)
                self._values[trial.id] = {row.epoch: self._value(row) for row in rows}

    @property
    def closing(self) -> str | None:
        """The reason why no further trial starts and running ones end at their next report; None if there is none."""
        if self._closing is not None:
            return self._closing
        if self._spent is None:
            self._spent = self._budget_spent()
        return self._spent

    def close(self, reason: str) -> None:
        """Start no further trial; end the running ones at their next report."""
        self._closing = self._closing or self._spent or reason

    def pause(self, reason: str) -> None:
        """Close the sweep, and let running trials be resumed later."""
        self.paused = True
        self.close(reason)

    def drain(self, reason: str) -> None:
        """Start no further trial; let the running ones finish."""
        self._draining = self._draining or reason

    def change_budget(self, spec: SweepSpec) -> None:
        """Go on with another budget; spec: the sweep's, changed. A sweep whose budget was spent may go on.

        If there are more trials than the budget has now, no further trial starts.
        """
        with self._lock:
            if self.cut_short == self._spent:
                self.cut_short = None
            self.spec, self._spent, self._exhausted = spec, None, self._search_ended
            self._left = self._find_left()

    def _find_left(self) -> deque[int]:
        """Return the numbers of the trials that are still to be drawn, in order."""
        first = 0 if self.phase is TrialPhase.SEARCH else FIRST_RETRAINING
        ordered = self._searcher.ordered(range(first, first + self.spec.budget.trials))
        return deque(number for number in ordered if number not in self._asked)

    @property
    def failed_too_often(self) -> bool:
        """True if more trials have failed than `budget.max_failed` allows."""
        limit = self.spec.budget.max_failed
        return limit is not None and self.progress.states[TrialState.FAILED] > limit

    @property
    def running(self) -> list[Trial]:
        """The trials that run now, in their present attempts."""
        with self._lock:
            return list(self._attempts.values())

    @property
    def planned(self) -> int:
        """The number of trials that the sweep may have in the end."""
        asked = len(self._asked)
        return asked if self._exhausted else max(asked, self.spec.budget.trials)

    @property
    def elapsed(self) -> float:
        """Seconds since the coordinator began."""
        return self._clock() - self._started

    def next_trial(self, node: str | None = None) -> Trial | None:
        """Start the next attempt of a trial and return the trial; None if there is none to start, at least now.

        node: name of the node on which the attempt runs, if it is known.
        """
        with self._lock:
            why = self.closing or self._draining
            if self._preempted and not self.closing:
                return self._again(self._preempted, node)
            self._under_way.extend(self._preempted)
            self._preempted.clear()
            self._under_way.extend(self._due(self.closing is not None))
            if self._under_way and not why:
                return self._again(self._under_way, node)
            if not self.paused:
                self._give_up_those_under_way(why)
            if self._exhausted or not self._left:
                self._exhausted = True
                return None
            if why:
                self.cut_short, self._exhausted = why, True
                return None
            position = self._choose(node, (self._searcher.foresee(number) for number in self._left))
            number = self._left[position]
            if not self._may_start(Trial.make_id(self.sweep.id, number)):
                return None
            del self._left[position]
            proposal = self._searcher.propose(number)
            if proposal is None:
                self._gpu_time.end(Trial.make_id(self.sweep.id, number))
                self._exhausted = self._search_ended = True
                self.cut_short = self._searcher.exhausted
                return None
            recipe = proposal.recipe.anchored(self.spec.folder)
            trial = self.ledger.trials.create(
                self.sweep.id,
                number=number,
                point=dict(proposal.point),
                recipe=recipe.flat(),
                identity=recipe.identity,
                seed=self.spec.seed if proposal.seed is None else proposal.seed,
                started=True,
                phase=self.phase,
                retrains=proposal.retrains,
                node=node,
            )
            self._asked.add(number)
            if node is not None:
                self._affinity.begin(node, proposal.recipe)
            self._attempts[trial.id] = trial
            self.progress.states[TrialState.RUNNING] += 1
            return trial

    def _choose(self, node: str | None, recipes: Iterable[Recipe | None]) -> int:
        """Return the position of the trial that starts on a node; the first one unless there are several nodes."""
        if node is None:
            return 0
        self._affinity.add_node(node)
        return self._affinity.choose(node, list(islice(recipes, LOOKAHEAD))) if self._affinity.is_of_use else 0

    def _give_up_those_under_way(self, why: str | None) -> None:
        while self._under_way:
            trial = self._under_way.popleft()
            self.ledger.trials.finish(
                trial.id, attempt=trial.attempt, ending=Ending(state=TrialState.CANCELLED, error=why)
            )
            self.progress.states[TrialState.CANCELLED] += 1

    def _due(self, all_of_them: bool) -> list[Trial]:
        """Return the trials whose pause before another attempt is over."""
        due = [trial for at, trial in self._retrying if all_of_them or at <= self._clock()]
        self._retrying = [(at, trial) for at, trial in self._retrying if trial not in due]
        self.progress.states[TrialState.RETRYING] -= len(due)
        return due

    def _may_start(self, trial_id: str) -> bool:
        """Return whether there is GPU time for a trial. Pause the sweep if there is none and nothing runs."""
        if self._gpu_time.start(trial_id):
            return True
        self._pause_without_gpu_time()
        return False

    def _pause_without_gpu_time(self) -> None:
        """Pause the sweep if no trial got GPU time and none runs; end it if it was to end anyway."""
        refusal = self._gpu_time.refusal
        if refusal is None or self._attempts:
            return
        if self._draining:
            self.cut_short = refusal
            self.close(refusal)
        else:
            self.pause(refusal)

    def _again(self, trials: deque[Trial], node: str | None) -> Trial | None:
        """Start the next attempt of the first of `trials`; None if there is no GPU time for it."""
        position = self._choose(node, (Recipe.from_flat(trial.recipe) for trial in trials))
        if not self._may_start(trials[position].id):
            return None
        begun = self.ledger.trials.start_attempt(trials[position].id, node=node)
        del trials[position]
        if node is not None:
            self._affinity.begin(node, Recipe.from_flat(begun.recipe))
        self._attempts[begun.id] = begun
        self.progress.states[TrialState.RUNNING] += 1
        return begun

    def record(self, trial_id: str, result: Result) -> bool:
        """Record a worker's report; return whether the trial has to end here, or has ended.

        Epochs that were recorded already, from an earlier attempt, decide nothing again.
        """
        with self._lock:
            trial = self._attempts.get(trial_id)
            if trial is None:
                return True
            self._note_trouble(result)
            result = replace(result, rows=tuple(row for row in result.rows if row.epoch > trial.epochs))
            self._gpu_time.note_report(trial_id)
            self.progress.epochs += len(result.rows)
            self.progress.worker_seconds += sum(row.seconds for row in result.rows)
            pruned, cause = self._is_pruned(trial, result), result.passing_cause
            ending = None if cause else self._ending(result, pruned=pruned)
            self._values[trial_id] |= {row.epoch: self._value(row) for row in result.rows}
            trial = self.ledger.trials.record_epochs(
                trial.id,
                attempt=trial.attempt,
                rows=result.rows,
                metric=self.sweep.metric,
                goal=self.sweep.goal,
                checkpoint=result.checkpoint,
                latest=result.latest,
                sharing=result.sharing and result.sharing | {"gpus": self._gpu_share},
                ending=ending,
                predictions=[replace(packed, read_by=self.phase.value) for packed in result.predictions],
                extra_readings=result.extra_readings,
                breaks=partial(self._limits.broken_by, trial.recipe),
            )
            self._attempts[trial.id] = trial
            self._note_best(trial)
            if cause and result.error is not None:
                self.crashed(trial_id, result.error, result.trace, cause)
                return True
            if ending is not None:
                self._ended(trial)
                return True
            return not self._goes_on(trial)

    def _goes_on(self, trial: Trial) -> bool:
        """Return whether there is GPU time after a report; pause the trial at this report if there is none."""
        if self._gpu_time.settle(trial.id):
            return True
        self.preempt(trial.id, self._gpu_time.refusal or "")
        self._pause_without_gpu_time()
        return False

    def crashed(self, trial_id: str, reason: str, trace: str | None = None, cause: Cause = Cause.DIED) -> None:
        """End the attempt, which failed without a report; try the trial again as often as `cause` allows.

        While the sweep is pausing, a trial that lost its machine stays `paused`: no retry is used up, and the trial
        goes on with `resume`. An error of the trial's own code fails the trial also then.
        """
        with self._lock:
            trial = self._attempts.get(trial_id)
            if trial is None:
                return
            tried, retries = self.ledger.trials.count_failures(trial_id, cause), RETRIES[cause]
            if self.paused and retries.most:
                self.cut_short = self.closing
                self._finish(trial, Ending(state=TrialState.PAUSED, error=reason))
                return
            if tried >= retries.most or self.closing:
                self._finish(trial, Ending(state=TrialState.FAILED, error=reason, trace=trace))
                return
            waiting = self.ledger.trials.retry(trial_id, attempt=trial.attempt, cause=cause, error=reason)
            self._stop_running(trial)
            self.progress.states[TrialState.RETRYING] += 1
            self._retrying.append((self._clock() + retries.pause_before(tried), waiting))
            if cause is Cause.BAD_NODE:
                self._notice(f"{trial_id}: {reason}; it is tried again, if possible on another node")
            else:
                self._notice(f"{trial_id}: {reason}; retry {tried + 1} of {retries.most}")

    def notice(self, text: str) -> None:
        """Tell a user what the sweep's nodes do."""
        self._notice(text)

    def preempt(self, trial_id: str, reason: str, cause: Cause | None = None) -> None:
        """Pause one trial, and go on with it as soon as another may start; nothing that it has reported is lost.

        cause: noted for the attempt; none counts as a failure.
        """
        with self._lock:
            trial = self._attempts.get(trial_id)
            if trial is None:
                return
            ending = Ending(state=TrialState.PAUSED, error=reason, cause=cause)
            paused = self.ledger.trials.finish(trial.id, attempt=trial.attempt, ending=ending)
            self._stop_running(trial)
            self._preempted.append(paused)

    @property
    def is_done(self) -> bool:
        """True if no trial runs and none will, so that nobody needs to ask for trials again."""
        with self._lock:
            if self._attempts:
                return False
            if self.closing is not None:
                return True
            under_way = self._preempted or ((self._under_way or self._retrying) and not self._draining)
            return not under_way and bool(self._exhausted or self._draining or not self._left)

    def end_if_done(self) -> bool:
        """Give up what is left if no trial runs and none will; return whether that is so."""
        with self._lock:
            if not self.is_done:
                return False
            trial = self.next_trial()
            assert trial is None, f"{trial} was handed out after the end"
            return True

    @property
    def startable(self) -> int:
        """The number of trials that could start now if there were workers; those still to be drawn are an estimate."""
        with self._lock:
            if self.closing or self._gpu_time.refusal is not None:
                return 0
            under_way = len(self._preempted) + (0 if self._draining else len(self._under_way))
            return under_way + (0 if self._exhausted or self._draining else len(self._left))

    @property
    def waiting(self) -> bool:
        """True if a trial may be handed out later although none is now: a running trial may have to be tried again."""
        return bool(self._retrying or self._preempted or (self._attempts and not self.closing))

    def leave(self, reason: str) -> None:
        """Pause every running trial so that it can be resumed.

        A trial is left as it is in the ledger if another driver has taken the sweep over.
        """
        with self._lock:
            saved = self._affinity.describe()
            if saved is not None:
                self._notice(saved)
            for trial in list(self._attempts.values()):
                with suppress(StaleAttemptError):
                    self._finish(trial, Ending(state=TrialState.PAUSED, error=reason))

    def _ending(self, result: Result, *, pruned: bool) -> Ending | None:
        """Return how the report ends its trial; None if the trial goes on."""
        if result.error is not None:
            return Ending(state=TrialState.FAILED, error=result.error, trace=result.trace)
        if result.done:
            return Ending(state=TrialState.COMPLETED)
        if pruned:
            return Ending(state=TrialState.PRUNED)
        if self.closing:
            self.cut_short = self.closing
            return Ending(state=TrialState.PAUSED if self.paused else TrialState.CANCELLED, error=self.closing)
        return None

    def _note_trouble(self, result: Result) -> None:
        """Notify once of each trouble that slows workers without failing them."""
        trouble = (result.sharing or {}).get("trouble")
        if trouble and trouble not in self._noticed:
            self._noticed.add(trouble)
            self._notice(trouble)

    def _is_pruned(self, trial: Trial, result: Result) -> bool:
        """Return whether early stopping ends the trial, decided epoch by epoch as if each had been reported by itself.

        Every milestone is kept for the decisions about other trials, however this trial ends.
        """
        pruned = False
        for row in result.rows:
            if row.epoch in self.milestones:
                report = Report(number=trial.number, epoch=row.epoch, value=self._value(row))
                pruned = pruned or self._scheduler.stops(self._reports, report)
                self._reports.add(report)
        return pruned

    def _value(self, row: EpochRow) -> float:
        return row.metrics().get(self.sweep.metric, math.nan)

    def _note_best(self, trial: Trial) -> None:
        if trial.best_value is None or trial.breaks is not None:
            return
        best = self.progress.best
        if self.sweep.goal.is_better(trial.best_value, None if best is None else best.best_value):
            self.progress.best = trial

    def _finish(self, trial: Trial, ending: Ending) -> None:
        self._ended(self.ledger.trials.finish(trial.id, attempt=trial.attempt, ending=ending))

    def _ended(self, trial: Trial) -> None:
        """Tell the searcher about a trial that has finished; it hears about a paused trial later."""
        self._stop_running(trial)
        self.progress.states[trial.state] += 1
        if not trial.state.is_finished:
            return
        values = [value for value in self._values.pop(trial.id, {}).values() if math.isfinite(value)]
        self._searcher.tell(trial.number, values=values, state=trial.state, keeps_limits=trial.breaks is None)
        self._tell_ended(trial)

    def _stop_running(self, trial: Trial) -> None:
        del self._attempts[trial.id]
        self.progress.states[TrialState.RUNNING] -= 1
        self._gpu_time.end(trial.id)

    def _budget_spent(self) -> str | None:
        budget, elapsed = self.spec.budget, self.elapsed
        if budget.wall is not None and elapsed >= budget.wall:
            return f"budget.wall of {budget.wall:g} s is spent"
        seconds = self.progress.worker_seconds + self._gpu_time.running_seconds
        if budget.gpu_hours is not None and seconds * self._gpu_share >= budget.gpu_hours * 3600:
            return f"budget.gpu_hours of {budget.gpu_hours:g} is spent"
        if self.failed_too_often:
            return f"{self.progress.states[TrialState.FAILED]} trials failed, budget.max_failed is {budget.max_failed}"
        return None
