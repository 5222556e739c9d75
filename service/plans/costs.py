"""Measurements of what the models of a sweep cost in use; loads torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

from search_spaces import SweepSpec, architectures_used
from search_spaces.sweeps import LATENCY
from service.clusters import usable_cores
from service.objectives import ModelCost, ModelCosts, Objectives
from trainables.measurements.model_costs import measure_model

__all__ = ["measure_models"]


def measure_models(spec: SweepSpec, classes: int, progress: Callable[[int, int], None]) -> ModelCosts:
    """Return the costs of every model that a trial of the sweep can have, measured in this process.

    classes: number of outputs. progress: called with models measured and in all.
    """
    architectures = architectures_used(spec)
    load = os.getloadavg()[0] / usable_cores()
    models = []
    for number, (backbone, head) in enumerate(architectures):
        progress(number, len(architectures))
        interpolation = spec.data.resized_for(backbone).interpolation
        assert interpolation != "auto", spec
        measured = measure_model(
            backbone,
            head,
            classes=classes,
            image_size=spec.data.image_size,
            interpolation=interpolation,
            with_latency=LATENCY in Objectives.from_specs(spec.metrics).costs,
        )
        models.append(
            ModelCost(
                backbone=backbone,
                pool=head.pool,
                parameters=measured.body_parameters,
                features=measured.features,
                latency_ms=measured.latency_ms,
                repeats=measured.repeats,
            )
        )
    return ModelCosts(classes=classes, processor=_processor(), threads=1, load=round(load, 2), models=tuple(models))


def _processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
