"""Admission of a sweep: checks before it is created, the same for `run` and `plan`."""

from __future__ import annotations

from search_spaces import SweepSpec, own_code_used, own_metrics, recipes_drawn, values_used
from trainables.augmentations import find_policy
from trainables.classifiers import check_drop_path, check_own_export, check_pool
from trainables.devices.devices import resolve_device
from trainables.devices.precision import check_precision, describe_bf16, has_bf16_instructions
from trainables.own_code import load_own, make_importable

__all__ = ["check_own_code", "check_parts", "check_precisions"]


def check_own_code(spec: SweepSpec) -> None:
    """Check that every trial can build and serve its own backbone, and find its augmentation and metrics.

    Raises OwnCodeError.
    """
    if own_code_used(spec):
        make_importable(spec.folder)
    for name in own_metrics(spec):
        load_own(name, "metric")
    for policy in values_used(spec, "augment.policy"):
        find_policy(str(policy))
    for backbone in values_used(spec, "backbone"):
        check_own_export(str(backbone), spec.data.image_size)


def check_parts(spec: SweepSpec) -> None:
    """Check that backbones have the residual blocks and feature maps that trials may need.

    A space is checked by 256 draws; a trial that needs more fails later.

    Raises:
        MeltpointError: a backbone lacks them.
    """
    recipes = recipes_drawn(spec)
    for backbone in dict.fromkeys(recipe.backbone for recipe in recipes if recipe.dropout.drop_path):
        check_drop_path(backbone)
    for backbone, head in {
        recipe.backbone: recipe.head for recipe in recipes if recipe.head.pool != "backbone"
    }.items():
        check_pool(backbone, head, spec.data.image_size)


def check_precisions(spec: SweepSpec, device: str) -> list[str]:
    """Check that `device` has every precision that trials may draw; return cautions about slow ones.

    Raises:
        DeviceError: it lacks one.
    """
    precisions = [str(precision) for precision in values_used(spec, "precision")]
    for precision in precisions:
        check_precision(precision, resolve_device(device))
    if "bf16" not in precisions:
        return []
    caution = describe_bf16(resolve_device(device).type, has_instructions=has_bf16_instructions())
    return [] if caution is None else [caution]
