"""Names of aliases and of registered models that may be promoted to."""

from __future__ import annotations

import re
from typing import Final

from pydantic import ValidationError

from search_spaces.documents import broken_rule
from search_spaces.sweeps.sections import RegisterSpec
from service.errors import UsageError

__all__ = ["CANDIDATE", "check_alias", "check_model_name"]

CANDIDATE: Final = "candidate"
"""The alias that each sweep moves to its own best model."""

_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}")


def check_alias(alias: str) -> None:
    """Raise UsageError if MLflow does not take the alias, or if sweeps move it themselves.

    MLflow keeps `latest` and `v` with a number for versions (`validate_model_alias_name`, 3.17).
    """
    if not _ALIAS.fullmatch(alias):
        raise UsageError(f"--alias {alias}: must be 1 to 255 letters, digits, - and _")
    if alias.lower() == "latest" or re.fullmatch(r"v\d+", alias.lower()):
        raise UsageError(f"--alias {alias}: MLflow keeps `latest`, `v1`, `v2` and so on for versions; try champion")
    if alias == CANDIDATE:
        raise UsageError(
            f"--alias {CANDIDATE}: each sweep moves this alias to its own best model, unconfirmed; try champion"
        )


def check_model_name(name: str) -> None:
    """Raise UsageError if no registered model can have this name."""
    try:
        RegisterSpec(model=name)
    except ValidationError as error:
        raise UsageError(f"--model {name}: {broken_rule(error.errors()[0])}") from None
