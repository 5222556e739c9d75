"""Offers of a candidate: the best model is read on the test images, and the sender is asked to register it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice

from search_spaces import MeltpointError, SweepSpec
from service.ledgers import Json, Ledger, MessageKind, Sweep, Trial
from service.reports import Leaderboard
from service.runs.helpers import TorchTasks
from service.runs.image_sets import ImageSets
from service.runs.listeners import Listener, Phase, in_phase
from service.runs.readings import record_reading
from trainables.processes import ObjectHandle

__all__ = ["Offers"]


class Offers:
    """Offers the best model of a sweep that can be used.

    sharing: what a trial shares with others, as its worker was given it. torch_helper: reads models.
    """

    def __init__(
        self,
        spec: SweepSpec,
        images: ImageSets,
        sweep: Sweep,
        *,
        ledger: Ledger,
        torch_helper: ObjectHandle[TorchTasks],
        sharing: Callable[[Trial], Json],
        listener: Listener,
    ) -> None:
        self._spec, self._images, self._sweep = spec, images, sweep
        self._ledger, self._torch_helper = ledger, torch_helper
        self._sharing, self._listener = sharing, listener

    def offer_first_usable(self, board: Leaderboard, *, tests: bool = True) -> None:
        """Offer the best model; if its checkpoint cannot be used, say so and take the next. tests: see `offer`.

        The sender is also asked to log the models of the next best trials, as many as the sweep file says.
        """
        for trial in board.ranked:
            try:
                self.offer(trial, tests=tests)
            except (MeltpointError, OSError) as error:
                self._listener.notice(f"{trial.id} cannot be registered: {error}")
                continue
            self._log_further(other for other in board.ranked if other.id != trial.id)
            return

    def offer(self, best: Trial, *, tests: bool = True) -> None:
        """Read a model on the test images, once, while MLflow is given the model, and ask to have it registered.

        tests: False if a confirmation follows, which alone reads the test images.

        Raises:
            MeltpointError, OSError: the model cannot be made again from its checkpoint, or gives no finite values.
        """
        outbox, payload = self._ledger.outbox, self._payload(best)
        if outbox.has_message(MessageKind.CANDIDATE, trial_id=best.id):
            return
        test = self._earlier_reading(best)
        if not (test and outbox.has_message(MessageKind.MODEL, trial_id=best.id)):
            with in_phase(self._listener, Phase.TESTING):
                self._torch_helper.call(TorchTasks.load, best, self._sharing(best))
                outbox.put(self._sweep.id, MessageKind.MODEL, payload, trial_id=best.id)
                reading = self._torch_helper.call(TorchTasks.predict, "test") if tests else None
            if reading is not None and test is None:
                test = dict(reading["metrics"])
                record_reading(self._ledger, best, "test", reading, read_by="candidate")
        self._ledger.sweeps.note(self._sweep.id, best_trial_id=best.id)
        finite = {name: value if math.isfinite(value) else None for name, value in (test or {}).items()}
        outbox.put(self._sweep.id, MessageKind.CANDIDATE, payload | {"test": finite}, trial_id=best.id)

    def _log_further(self, others: Iterable[Trial]) -> None:
        """Ask the sender to log the models of the best of the other trials; MLflow gets them after the candidate."""
        outbox, registration = self._ledger.outbox, self._spec.registration
        for trial in islice(others, registration.top_k - 1 if registration else 0):
            if not outbox.has_message(MessageKind.MODEL, trial_id=trial.id):
                outbox.put(self._sweep.id, MessageKind.MODEL, self._payload(trial), trial_id=trial.id)

    def _payload(self, trial: Trial) -> Json:
        """Return where the sender finds what makes a model of a trial's checkpoint."""
        images = self._images.by_backbone[trial.recipe["backbone"]]
        return {"data": images.folder, "split_key": images.split_key, "code": str(self._spec.folder)}

    def _earlier_reading(self, best: Trial) -> dict[str, float] | None:
        """Return the test reading from before the sweep was interrupted, if there is one."""
        (row,) = [row for row in self._ledger.trials.epochs(best.id) if row.epoch == best.best_epoch]
        return dict(row.readings["test"]) if "test" in row.readings else None
