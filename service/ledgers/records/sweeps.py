"""Sweeps, the actions that may be requested of them, and the leases of their drivers, as frozen records."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from search_spaces import Goal, SweepSpec, parse_spec
from search_spaces.documents import written_assignments
from service.ledgers.records.json_data import Json
from service.ledgers.records.states import SweepState, TrialPhase

__all__ = [
    "CHECKPOINT_STORES",
    "LOG_SCALED",
    "OWN_STAGES",
    "REVISABLE_SECTIONS",
    "Lease",
    "Revision",
    "Sweep",
    "SweepAction",
]

REVISABLE_SECTIONS: Final = ("budget", "resources", "confirm", "register")
"""Sections of a sweep file that may change after the sweep has begun."""

OWN_STAGES: Final = "space.own_stages"
"""Setting with the number of stages of each own backbone, by its name."""

LOG_SCALED: Final = "space.log"
"""Setting with the names that the space draws on a logarithmic scale."""

CHECKPOINT_STORES: Final = "checkpoint_stores"
"""Key of a sweep's data with the places of the stores that have had its checkpoints."""

_FIRST: Final = "first."


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep. Times are UTC milliseconds since 1970.

    settings: sections of the sweep file, flat, such as `budget.trials`; if a value changes after the sweep has begun,
    its first value is kept as `first.budget.trials`. data: name, digest and splits of the images, digests of the
    starting weights, versions of the packages, stores of its checkpoints.
    owner: the user who submitted it; None if `meltpoint run` made it. priority: a higher one goes first. slot_cap: most
    trials at once; None for no limit. idempotency_key, request_digest: by which a repeated submission is recognized.
    queued_at: when it last joined the queue. restarts: how often its driver was replaced. waiting_for: why it waits.
    phase: what its driver does, or did last. confirmation: rule, recipes, seeds and decision, once one began.
    model_costs: costs of its models (`service.objectives.ModelCosts`); None if no metric needs them. warm_start: what
    it knows from earlier sweeps (`service.warm_starts.WarmStart`); None without earlier sweeps.
    """

    id: str
    name: str
    state: SweepState
    spec_text: str
    spec_file: str
    metric: str
    goal: Goal
    seed: int
    data: Json
    settings: Json
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    best_trial_id: str | None = None
    error: str | None = None
    mlflow: Json | None = None
    registered: Json | None = None
    owner: str | None = None
    priority: int = 0
    slot_cap: int | None = None
    idempotency_key: str | None = None
    request_digest: str | None = None
    queued_at: int | None = None
    restarts: int = 0
    waiting_for: str | None = None
    phase: TrialPhase = TrialPhase.SEARCH
    confirmation: Json | None = None
    model_costs: Json | None = None
    warm_start: Json | None = None

    def read_spec(self) -> SweepSpec:
        """Return what its file describes, see `with_first_defaults`.

        Raises:
            SpecError: this version does not understand the file.
        """
        return self.with_first_defaults(parse_spec(self.spec_text, file=self.spec_file))

    def with_first_defaults(self, spec: SweepSpec) -> SweepSpec:
        """Return a spec of this sweep with the images split as they were when it began.

        Versions before `data.split.copies` placed each image by itself; a file without the key must not be read
        otherwise now.
        """
        began = self.data.get("split")
        if began is None or "copies" in spec.data.split.model_fields_set:
            return spec
        split = spec.data.split.model_copy(update={"copies": began.get("copies", "ignore")})
        return spec.model_copy(update={"data": spec.data.model_copy(update={"split": split})})

    @property
    def drawn(self) -> list[str]:
        """Names of the hyperparameters that may differ between its trials."""
        return list(self.settings.get("space.drawn", ()))

    @property
    def log_scaled(self) -> list[str]:
        """Names of the hyperparameters that are drawn on a logarithmic scale; sweeps of old versions know of `lr`."""
        return list(self.settings.get(LOG_SCALED, ("optimizer.lr",)))

    def own_stages(self, backbone: object) -> int | None:
        """Return the number of stages of an own backbone; None if no program has counted them."""
        stages = self.settings.get(OWN_STAGES, {}).get(backbone)
        return None if stages is None else int(stages)

    def count_images(self, split: str) -> int:
        """Return the number of images in a split; 0 before a driver has read the images."""
        return sum(int(counts.get(split, 0)) for counts in self.data.get("classes", {}).values())

    def weights_digest(self, backbone: object, weights: object) -> str | None:
        """Return the digest of starting weights; None for random ones, and if no driver has recorded it."""
        rows = self.data.get("weights", ())
        return next((row["digest"] for row in rows if (row["backbone"], row["weights"]) == (backbone, weights)), None)

    @property
    def checkpoint_stores(self) -> list[str]:
        """Places of stores that have had its checkpoints, the present one last; none if the home alone has them."""
        return list(self.data.get(CHECKPOINT_STORES, ()))

    @property
    def start_command(self) -> str:
        """The command that starts another sweep as this one was started: see `start_command_with`."""
        return self.start_command_with()

    def start_command_with(self, *assign: str) -> str:
        """Return the command that starts another sweep of the same file, here or on a service, as this one was started.

        It has the `--set` values with which this sweep was started or resumed, its priority and its slots.

        assign: further values as `KEY=VALUE`; such a value replaces an earlier one of the same key.
        """
        keys = {text.partition("=")[0] for text in assign}
        earlier = (text for text in written_assignments(self.spec_text) if text.partition("=")[0] not in keys)
        words = ["meltpoint", "run" if self.owner is None else "submit", self.spec_file]
        for text in (*earlier, *assign):
            words += ["--set", text]
        if self.owner is not None and self.priority:
            words += ["--priority", str(self.priority)]
        if self.owner is not None and self.slot_cap is not None:
            words += ["--slots", str(self.slot_cap)]
        return shlex.join(words)

    @property
    def failure_state(self) -> SweepState:
        """The state in which it ends if it cannot go on: `failed`, or `completed` if only its confirmation cannot."""
        return SweepState.COMPLETED if self.phase is TrialPhase.CONFIRM else SweepState.FAILED

    @property
    def first_settings(self) -> Json:
        """The settings with which the sweep began."""
        present = {name: value for name, value in self.settings.items() if not name.startswith(_FIRST)}
        first = {name[len(_FIRST) :]: value for name, value in self.settings.items() if name.startswith(_FIRST)}
        return {name: value for name, value in (present | first).items() if value is not None}

    @property
    def present_settings(self) -> Json:
        """The settings as they are now."""
        return {name: value for name, value in self.settings.items() if not name.startswith(_FIRST)}

    def revised_settings(self, revisable: Json) -> Json:
        """Return the settings with others in the sections that may change. revisable: those sections, flat."""
        kept = {name: value for name, value in self.settings.items() if not _is_revisable(name)}
        if self.started_at is not None:
            first = {f"{_FIRST}{name}": old for name, (old, _) in self.changes(revisable).items()}
            kept = first | kept  # a value that changes again keeps its first value
        return kept | revisable

    def changes(self, revisable: Json) -> dict[str, tuple[object, object]]:
        """Return the present and the new value of each setting that differs; None stands for a missing one."""
        present = {name: value for name, value in self.settings.items() if _is_revisable(name)}
        pairs = {name: (present.get(name), revisable.get(name)) for name in present | revisable}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def changes_to(self, other: Sweep) -> Json:
        """Return the old and the new value of what a request changed between this record and a later one."""
        settings = {name: value for name, value in other.settings.items() if _is_revisable(name)}
        columns = {name: (getattr(self, name), getattr(other, name)) for name in ("priority", "slot_cap")}
        pairs = {name: pair for name, pair in columns.items() if pair[0] != pair[1]} | self.changes(settings)
        return {name: list(pair) for name, pair in pairs.items()}

    @property
    def seconds(self) -> float | None:
        """Wall time from start to end; None until the sweep has ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at) / 1000


def _is_revisable(name: str) -> bool:
    return name.partition(".")[0] in REVISABLE_SECTIONS


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A change of a sweep's file. old_text, text: the file before and after. settings: its revisable sections, flat."""

    old_text: str
    text: str
    settings: Json


class SweepAction(StrEnum):
    """An action that any process may request from the one that drives a sweep.

    PAUSE: end running trials at their next report; they can be resumed. STOP: start no further trial, and let the
    running ones finish. CANCEL: end running trials at once, for good; of a sweep that is being confirmed, only the
    confirmation.
    """

    PAUSE = "pause"
    STOP = "stop"
    CANCEL = "cancel"

    @property
    def reason(self) -> str:
        """The reason that the sweep's row gives for its end."""
        return f"{_DONE[self]} by `meltpoint {self}`"


_DONE = {SweepAction.PAUSE: "paused", SweepAction.STOP: "stopped", SweepAction.CANCEL: "cancelled"}


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to drive a sweep for `seconds` after each renewal.

    holder: the random id of a process. attempt: the number of this driver among the sweep's drivers, from 1.
    """

    sweep_id: str
    holder: str
    attempt: int
    seconds: float
