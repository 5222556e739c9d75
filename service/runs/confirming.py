"""The confirmation of a sweep, as its driver carries it out: retrainings, decision, one reading of the test images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from search_spaces import MeltpointError, SweepSpec
from service.confirmations import Confirmation, Retraining, missing_retrainings, rank_search, summarize_decision
from service.confirmations.planning import plan_confirmation, rule_of
from service.confirmations.readings import compute_decision, read_search, read_test_scores, retrainings_of
from service.coordination import Coordinator
from service.ledgers import EventKind, Json, Ledger, PackedPredictions, Sweep, SweepHistory, Trial, TrialPhase
from service.runs.helpers import TorchTasks
from service.runs.kept_checkpoints import delete_checkpoints
from service.runs.listeners import Listener, Phase, in_phase
from service.runs.readings import record_reading
from service.searchers.retrainings import RetrainingSearcher
from trainables.errors import StoreError
from trainables.processes import ObjectHandle

__all__ = ["Confirming"]

MakeCoordinator = Callable[[SweepSpec, RetrainingSearcher, SweepHistory], Coordinator]
"""Makes the coordinator of some retrainings from their spec, their searcher and their history."""


class Confirming:
    """Confirms one sweep, whose lease this process holds.

    folder: of the sweep. checkpoint_folders: of the sweep, in each of its stores. sharing: what a trial shares with
    others, as its worker was given it.
    """

    def __init__(
        self,
        spec: SweepSpec,
        sweep: Sweep,
        *,
        ledger: Ledger,
        folder: Path,
        checkpoint_folders: Sequence[str],
        torch_helper: ObjectHandle[TorchTasks],
        sharing: Callable[[Trial], Json],
        listener: Listener,
    ) -> None:
        self._spec, self._sweep, self._ledger, self._folder = spec, sweep, ledger, folder
        self._torch_helper, self._sharing, self._listener = torch_helper, sharing, listener
        self._checkpoint_folders = checkpoint_folders
        self._confirmation: Confirmation | None = None

    def begin(self) -> Confirmation:
        """Go on with the sweep's confirmation, or plan one by the rule of the sweep file; note it in the ledger.

        Raises:
            ConfirmationError: there is nothing to confirm, or a trial of the search has no predictions.
        """
        self._keep_old_predictions()
        confirmation = Confirmation.from_sweep(self._ledger.sweeps.get(self._sweep.id))
        if confirmation is None:
            confirmation = plan_confirmation(self._ledger, self._sweep, self._spec, rule_of(self._spec))
        ranked = rank_search(self._ledger.trials.list(self._sweep.id), self._sweep.goal)
        read_search(self._ledger, self._sweep, ranked, confirmation.measure)  # before anything is trained in vain
        self._note(confirmation)
        payload = {"finalists": len(confirmation.finalists), "seeds": confirmation.rule.seeds}
        self._ledger.events.add(self._sweep.id, EventKind.CONFIRMING, payload)
        return confirmation

    def coordinators(self, make: MakeCoordinator) -> Iterator[Coordinator]:
        """Yield a coordinator of the retrainings to come, then one of the spare retraining if one has failed."""
        for _ in range(2):
            begun = self._begun()
            missing = self._missing(begun)
            if not missing and all(trial.state.is_finished for trial in begun):
                return
            searcher = RetrainingSearcher(begun, missing)
            coordinator = make(
                _without_limits(self._spec, searcher.count),
                searcher,
                self._ledger.history(self._sweep.id, TrialPhase.CONFIRM),
            )
            yield coordinator
            if coordinator.closing or coordinator.cut_short:
                return

    @property
    def is_trained(self) -> bool:
        """True if every retraining has ended, so that the decision can be made."""
        begun = self._begun()
        return not self._missing(begun) and all(trial.state.is_finished for trial in begun)

    def conclude(self) -> Confirmation:
        """Make the decision, tell of it, and then read the test images with the models of the winner and the default.

        A model that cannot be made again from its checkpoint is told of, and the decision stands without test images.

        Raises:
            ConfirmationError: a trial of the search has no predictions.
        """
        assert self._confirmation is not None
        decision = compute_decision(self._ledger, self._sweep, self._confirmation)
        rows = retrainings_of(self._confirmation, self._begun())
        chosen = rows.get(decision.recipe, [])
        decided = replace(self._confirmation, decision=decision, deployed=chosen[0].id if chosen else None)
        is_new = self._confirmation.decision is None
        self._note(decided)
        if is_new:
            payload = {"outcome": decision.outcome.value, "summary": summarize_decision(decision)}
            self._ledger.events.add(self._sweep.id, EventKind.DECIDED, payload)
            self._listener.decided(decided)
        wanted = dict.fromkeys((decision.recipe, decided.default.identity))
        read = [trial for identity in wanted for trial in rows.get(identity, [])]
        try:
            self._read_test(read)
        except (MeltpointError, OSError) as error:
            self._listener.notice(f"the test images were not read: {error}")
        self._delete_other_checkpoints({trial.id for trial in read})
        finished = replace(decided, test=read_test_scores(self._ledger, self._sweep, decided))
        self._note(finished)
        return finished

    def _begun(self) -> list[Trial]:
        return self._ledger.trials.list(self._sweep.id, TrialPhase.CONFIRM)

    def _missing(self, begun: list[Trial]) -> list[Retraining]:
        assert self._confirmation is not None
        return missing_retrainings(self._confirmation.contenders, self._confirmation.seeds, begun)

    def _note(self, confirmation: Confirmation) -> None:
        self._confirmation = confirmation
        self._ledger.sweeps.note(self._sweep.id, phase=TrialPhase.CONFIRM.value, confirmation=confirmation.as_json())

    def _read_test(self, trials: list[Trial]) -> None:
        """Read the test images once with each model; those that were read before an interruption are not read again."""
        unread = [trial for trial in trials if self._ledger.predictions.get(trial.id, "test") is None]
        with in_phase(self._listener, Phase.READING_TEST):
            for done, trial in enumerate(unread):
                self._listener.phase_advanced(Phase.READING_TEST, done, len(unread))
                self._torch_helper.call(TorchTasks.load, trial, self._sharing(trial))
                reading = self._torch_helper.call(TorchTasks.predict, "test")
                if reading is None:
                    return
                record_reading(self._ledger, trial, "test", reading, read_by="decision")

    def _delete_other_checkpoints(self, kept: set[str]) -> None:
        for trial in self._begun():
            if trial.id not in kept:
                with suppress(StoreError):  # they stay until the sweep is deleted
                    delete_checkpoints(self._checkpoint_folders, trial)

    def _keep_old_predictions(self) -> None:
        """Copy predictions that an older version left in files into the ledger."""
        present = self._ledger.predictions.of_sweep(self._sweep.id, "val")
        for trial in self._ledger.trials.list(self._sweep.id):
            file = self._folder / trial.id / "predictions.npz"
            if trial.id not in present and trial.best_epoch is not None and file.exists():
                self._ledger.predictions.add(trial.id, [_read_file(file, trial.best_epoch)])


def _without_limits(spec: SweepSpec, trials: int) -> SweepSpec:
    """Return the spec of the retrainings: none is stopped early, and the limits of the search do not end them."""
    budget = spec.budget.model_copy(update={"trials": trials, "wall": None, "gpu_hours": None, "max_failed": None})
    scheduler = spec.scheduler.model_copy(update={"type": "none"})
    return spec.model_copy(update={"budget": budget, "scheduler": scheduler})


def _read_file(file: Path, epoch: int) -> PackedPredictions:
    import numpy as np

    from trainables.training.predictions import pack

    with np.load(file) as content:
        labels = content["labels"]
        packed = pack(content["probabilities"], labels)
    read_at = int(file.stat().st_mtime * 1000)
    return PackedPredictions(split="val", epoch=epoch, images=len(labels), packed=packed, read_at=read_at)
