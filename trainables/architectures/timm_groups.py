"""Groups of parameters that a timm model declares, from the image to the features."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from torch import nn

from search_spaces.errors import MeltpointError

__all__ = ["UncutError", "parameter_stages", "refuse_unless"]

_UNMATCHED: Final = (float("inf"),)
_WITH_THE_GROUP_BEFORE: Final = (99999.0, float("inf"))  # timm's MATCH_PREV_GROUP; unmatched names


class UncutError(MeltpointError):
    """A model cannot be cut into stages; the message gives the reason, without the model's name."""


def parameter_stages(model: nn.Module) -> dict[str, int]:
    """Return the stage of each parameter by name, from the groups that the model declares.

    Norms that timm adds to the group before them stay there; a convolution or linear layer (such as EfficientNet's
    head convolution) becomes a stage of its own.

    Raises:
        UncutError: the model declares no groups.
    """
    groups: dict[tuple[float, ...], list[str]] = defaultdict(list)
    weighty: set[tuple[float, ...]] = set()
    rules = _rules(model)
    for name, parameter in model.named_parameters():
        key = next((key for rule in rules if (key := rule.key(name)) is not None), _UNMATCHED)
        groups[key].append(name)
        if parameter.squeeze().ndim > 1:
            weighty.add(key)
    stages: dict[str, int] = {}
    stage = -1
    for key in sorted(groups):
        if stage < 0 or key in weighty or key[-1] not in _WITH_THE_GROUP_BEFORE:
            stage += 1
        stages.update(dict.fromkeys(groups[key], stage))
    return stages


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """A pattern of a `group_matcher`; the order of its group is (ordinal, numbers matched, suffix)."""

    pattern: re.Pattern[str]
    ordinal: int
    suffix: tuple[int, ...]

    def key(self, name: str) -> tuple[float, ...] | None:
        match = self.pattern.match(name)
        if match is None:
            return None
        return tuple(
            map(float, (self.ordinal, *(group for group in match.groups() if group is not None), *self.suffix))
        )


def _rules(model: nn.Module) -> list[_Rule]:
    refuse_unless(hasattr(model, "group_matcher"), "it declares no groups")
    try:
        declared = cast(Any, model).group_matcher(coarse=True)
    except (AssertionError, NotImplementedError, TypeError):
        declared = None
    refuse_unless(isinstance(declared, Mapping), "it declares no coarse groups by name")
    rules = []
    for ordinal, spec in enumerate(declared.values()):
        for pattern, suffix in [(spec, None)] if isinstance(spec, str) else (spec or ()):
            rules.append(_Rule(pattern=re.compile(pattern), ordinal=ordinal, suffix=tuple(suffix or ())))
    return rules


def refuse_unless(condition: bool, reason: str) -> None:
    """Raise UncutError with `reason` unless `condition` is true."""
    if not condition:
        raise UncutError(reason)
