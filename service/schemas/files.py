"""Sweep files that were checked or planned, shipped spaces, and backbones, as a service sends them."""

from __future__ import annotations

from pydantic import Field

from service.schemas.base import Answer, JsonObject
from service.schemas.requests import SpecRequest

__all__ = ["BackboneModel", "CautionModel", "PlanModel", "PlanRequest", "SpaceModel", "ValidSpec"]


class ValidSpec(Answer):
    """A sweep file without problems."""

    name: str
    metric: str
    algorithm: str
    """Search algorithm."""
    trials: int
    """Most trials."""
    epochs: int
    """Most epochs of a trial."""
    recipes: int | None = None
    """Number of recipes to choose from; null if a continuous range makes it infinite."""


class PlanRequest(SpecRequest):
    """A sweep file to plan."""

    recipes: int = Field(default=5, ge=1, le=100)
    """Most recipes to draw."""


class CautionModel(Answer):
    """A caution about values that some recipes have together."""

    text: str


class PlanModel(ValidSpec):
    """A sweep file with recipes drawn from its space. Nothing is measured: a service's own machine need not train."""

    varying: list[str]
    """Names of the hyperparameters that may differ between trials."""
    drawn: list[JsonObject]
    """Recipes: the default first."""
    cautions: list[CautionModel]


class SpaceModel(Answer):
    """A shipped space."""

    name: str
    about: str
    recipes: int | None = None
    """Number of recipes; null if a continuous range makes it infinite."""
    text: str
    """The space as YAML."""


class BackboneModel(Answer):
    """A backbone that recipes may name."""

    name: str
    family: str
    stages: int
    parameters: int
    multiply_adds: int
    """Multiply-adds of one image."""
    input_size: int
    """Image size in pixels."""
    paper: str | None = None
