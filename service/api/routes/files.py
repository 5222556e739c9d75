"""Sweep files, checked or planned without a sweep; shipped spaces; backbones."""

from __future__ import annotations

from functools import cache
from itertools import islice

from search_spaces import (
    BACKBONES,
    SHIPPED,
    SweepSpec,
    grid_size,
    parse_space,
    parse_spec,
    recipes_drawn,
    shipped_document,
    values_used,
    varying_names,
)
from search_spaces.backbones import stage_count
from search_spaces.recipes import cautions
from search_spaces.spaces import shipped_text
from service.api.routes.strict_routes import make_router
from service.api.state import Caller, Viewer
from service.schemas import (
    BackboneModel,
    CautionModel,
    Page,
    PlanModel,
    PlanRequest,
    SpaceModel,
    SpecRequest,
    ValidSpec,
)

__all__ = ["router"]

router = make_router("files")


@router.post("/validate", operation_id="validate_spec")
def validate_spec(request: SpecRequest, caller: Viewer) -> ValidSpec:
    """Check a sweep file; the answer to a wrong one has every problem with its line."""
    return ValidSpec(**_facts(_parse(request, caller)))


@router.post("/plan", operation_id="plan_spec")
def plan_spec(request: PlanRequest, caller: Viewer) -> PlanModel:
    """Draw recipes from the space of a sweep file; nothing is measured, no image is read."""
    spec = _parse(request, caller)
    for backbone in values_used(spec, "backbone"):
        stage_count(str(backbone))  # refuses own backbones, whose freeze depths only their importer can resolve
    recipes = list(islice(recipes_drawn(spec), request.recipes))
    drawn = [recipe.flat() for recipe in recipes]
    texts = dict.fromkeys(caution.text for values in drawn for caution in cautions(values))
    return PlanModel(
        **_facts(spec),
        varying=varying_names(spec),
        drawn=drawn,
        cautions=[CautionModel(text=text) for text in texts],
    )


@router.get("/spaces", operation_id="list_spaces")
def get_spaces(_caller: Viewer) -> Page[SpaceModel]:
    """List the shipped spaces."""
    return _spaces()


@router.get("/backbones", operation_id="list_backbones")
def get_backbones(_caller: Viewer) -> Page[BackboneModel]:
    """List the backbones that recipes may name."""
    return _backbones()


def _parse(request: SpecRequest, caller: Caller) -> SweepSpec:
    caller.note_reading()
    return parse_spec(request.spec, file=request.file, assign=request.assign)


def _facts(spec: SweepSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "metric": spec.metric.name,
        "algorithm": spec.search.algorithm,
        "trials": spec.budget.trials,
        "epochs": spec.budget.epochs,
        "recipes": _count_recipes(spec),
    }


def _count_recipes(spec: SweepSpec) -> int | None:
    if spec.points:
        return len(spec.points)
    return grid_size(spec.space) if spec.search.algorithm == "grid" else spec.space.size()


@cache
def _spaces() -> Page[SpaceModel]:
    models = [
        SpaceModel(name=name, about=about, recipes=parse_space(shipped_document(name)).size(), text=shipped_text(name))
        for name, about in SHIPPED.items()
    ]
    return Page(items=models)


@cache
def _backbones() -> Page[BackboneModel]:
    fields = BackboneModel.model_fields
    return Page(items=[BackboneModel(**{name: getattr(info, name) for name in fields}) for info in BACKBONES.values()])
