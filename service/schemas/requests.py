"""Bodies of requests about sweeps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from service.schemas.base import Request
from service.schemas.patterns import NO_NUL, PRINTABLE

__all__ = ["ConfirmRequest", "ResumeRequest", "SpecRequest", "SubmitRequest", "SweepChange"]

_SpecText = Annotated[str, StringConstraints(min_length=1, pattern=NO_NUL)]
"""Its reader limits its length, so that a file that is too large gets the same message everywhere."""
_FileName = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=PRINTABLE)]
_Assignment = Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=NO_NUL)]
_Priority = Annotated[int, Field(ge=-1000, le=1000)]
_SlotCap = Annotated[int, Field(ge=1, le=1_000_000)]


class SpecRequest(Request):
    """A sweep file to validate or to plan."""

    spec: _SpecText
    """Text of the sweep file."""
    file: _FileName = "sweep.yaml"
    """Name of the file, which messages give."""
    assign: list[_Assignment] = Field(default_factory=list, max_length=200)
    """Changes of the sweep file as `KEY=VALUE`."""


class SubmitRequest(SpecRequest):
    """A sweep to submit."""

    priority: _Priority = 0
    """A sweep with a higher priority goes first."""
    slot_cap: _SlotCap | None = None
    """Most trials at once; null for no limit."""


class ResumeRequest(Request):
    """A sweep to queue again."""

    assign: list[_Assignment] = Field(default_factory=list, max_length=200)
    """Changes of budget, resources and register as `KEY=VALUE`."""


class ConfirmRequest(Request):
    """A confirmation; what is missing is as in the sweep's confirmation, or in its file if it has none."""

    top_k: int | None = Field(None, ge=1, le=20)
    """Most finalists, the best of the search except the default."""
    seeds: int | None = Field(None, ge=2, le=64)
    """Trainings of each recipe; one does not show how much the seed changes."""
    gate: float | None = Field(None, ge=0.5, lt=1)
    """Probability of being better than the default that a winner needs."""
    tolerance: float | None = Field(None, ge=0, le=1)
    """Expected loss of score, 0 to 1, for which a cheaper recipe is taken."""

    def changes(self) -> dict[str, float]:
        """Return what is not missing."""
        return self.model_dump(exclude_none=True)


class SweepChange(Request):
    """Changes of a sweep: only the fields that are sent."""

    priority: _Priority | None = None
    slot_cap: _SlotCap | None = None
    """Most trials at once; null removes the cap."""
    assign: list[_Assignment] = Field(default_factory=list, max_length=200)
    """Changes of the budget as `KEY=VALUE`, such as `budget.trials=64`."""

    @model_validator(mode="after")
    def _check_that_something_changes(self) -> SweepChange:
        if not self.model_fields_set:
            raise ValueError("must have one of priority, slot_cap, assign")
        if "priority" in self.model_fields_set and self.priority is None:
            raise ValueError("priority must be an integer")
        return self
