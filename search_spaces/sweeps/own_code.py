"""Own code that a sweep file names, found without importing it."""

from __future__ import annotations

from search_spaces.extensions import ExtensionKind, is_function_name
from search_spaces.sweeps.forecasts import values_used
from search_spaces.sweeps.metrics import METRICS, Metric
from search_spaces.sweeps.spec import SweepSpec

__all__ = ["own_code_used"]


def own_code_used(spec: SweepSpec) -> list[tuple[ExtensionKind, str]]:
    """Return the functions of the user's own that a sweep names, as `module:function`, each with what it is for.

    Entry points of installed packages are not among them.
    """
    metric = spec.metric.name
    names: list[tuple[ExtensionKind, str]] = [("dataset", spec.data.source)]
    if metric not in METRICS:
        names.append(("metric", Metric(metric).measure))
    names += [("backbone", str(name)) for name in values_used(spec, "backbone")]
    names += [("augmentation", str(name)) for name in values_used(spec, "augment.policy")]
    return [(kind, name) for kind, name in names if is_function_name(name)]
