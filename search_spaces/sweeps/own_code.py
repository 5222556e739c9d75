"""Own code that a sweep file names, found without importing it."""

from __future__ import annotations

from search_spaces.extensions import ExtensionKind, is_function_name
from search_spaces.sweeps.forecasts import values_used
from search_spaces.sweeps.metrics import COSTS, METRICS, Metric
from search_spaces.sweeps.spec import SweepSpec

__all__ = ["names_of_parts", "own_code_used", "own_metrics"]


def own_metrics(spec: SweepSpec) -> list[str]:
    """Return the names of the user's own metrics in a sweep, without the split; entry points are among them."""
    return [Metric(metric.name).measure for metric in spec.metrics if metric.name not in {**METRICS, **COSTS}]


def names_of_parts(spec: SweepSpec) -> list[tuple[ExtensionKind, str]]:
    """Return the names that a sweep gives for what may be own code, each with what it is for; built-in ones as well."""
    names: list[tuple[ExtensionKind, str]] = [("dataset", spec.data.source)]
    names += [("metric", name) for name in own_metrics(spec)]
    names += [("backbone", str(name)) for name in values_used(spec, "backbone")]
    names += [("augmentation", str(name)) for name in values_used(spec, "augment.policy")]
    return names


def own_code_used(spec: SweepSpec) -> list[tuple[ExtensionKind, str]]:
    """Return the functions of the user's own that a sweep names, as `module:function`, each with what it is for.

    Entry points of installed packages are not among them.
    """
    return [(kind, name) for kind, name in names_of_parts(spec) if is_function_name(name)]
