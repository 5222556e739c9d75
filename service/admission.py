"""What must hold before a sweep is made, asked alike by `run` and by `plan`."""

from __future__ import annotations

from search_spaces import SweepSpec, values_used
from trainables.devices import resolve_device
from trainables.export import check_own_export
from trainables.own_code import importable_from, load_own
from trainables.own_metrics import own_metrics
from trainables.precision import check_precision
from trainables.views import find_policy

__all__ = ["check_own_code", "check_precisions"]


def check_own_code(spec: SweepSpec) -> None:
    """Backbones can be built and served, augmentations and the metric found, by every trial that may need them.

    Raises OwnCodeError.
    """
    importable_from(spec.folder)
    for name in own_metrics(spec.metric.name):
        load_own(name, "metric")
    for policy in values_used(spec, "augment.policy"):
        find_policy(str(policy))
    for backbone in values_used(spec, "backbone"):
        check_own_export(str(backbone), spec.data.image_size)


def check_precisions(spec: SweepSpec, device: str) -> None:
    """Every precision that a trial may draw works on `device`. Raises DeviceError."""
    for precision in values_used(spec, "precision"):
        check_precision(str(precision), resolve_device(device))
