"""The spaces that come with the package: data files, which `extends` names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from search_spaces.documents import load_document

SHIPPED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "lecture7": "CS231n's lecture 7: optimizers, decays, penalties, kinds of dropout, augmentations, freeze depth",
        "head_only": "a linear probe: optimizers, dropout, label smoothing, augmentation",
        "fine_tune": "thawed from the last stage to all, with low learning rates and weight decay",
        "quicktune": "the space of Quick-Tune (Arango et al. 2024), for trainings of more than 10 epochs",
    }
)
"""The name of each shipped space, and its purpose."""


def shipped_text(name: str) -> str:
    """Return the file of a shipped space as text.

    Raises:
        KeyError: there is no such space.
    """
    if name not in SHIPPED:
        raise KeyError(name)
    return (files("search_spaces.spaces") / "shipped" / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def shipped_document(name: str) -> dict[str, Any]:
    """Return the document of a shipped space.

    Raises:
        KeyError: there is no such space.
    """
    document: dict[str, Any] = load_document(shipped_text(name), f"{name}.yaml").data
    return document
