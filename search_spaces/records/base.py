"""The base of typed parameter records: a frozen class for each choice; a field has a range, a default, a meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from search_spaces.extensions import ExtensionKind

Prefix = Literal["invariant", "per view", "per batch", "moves the boundary"]


@dataclass(frozen=True, kw_only=True)
class About:
    """The source of a choice, and its effect on the activations that trials share."""

    description: str
    paper: str
    prefix: Prefix


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The source and effect of a field, if they differ from those of its record."""

    paper: str
    prefix: Prefix


@dataclass(frozen=True, kw_only=True)
class UsedWith:
    """The mark of a field that counts only if another field of its record has one of these values."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OpenChoice:
    """The mark of a field that takes one of `known`, or the name of the user's own function."""

    kind: ExtensionKind
    known: tuple[str, ...]


class Record(BaseModel):
    """Base of all records: immutable, no unknown names, no silent conversions, finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    about: ClassVar[About]


def _positive_zero(number: float) -> float:
    return number + 0.0


# -0.0 and 0.0 must give the same recipe.
Number = Annotated[float, AfterValidator(_positive_zero)]
Fraction = Annotated[Number, Field(ge=0, lt=1)]


def record_name(record: type[Record]) -> str | None:
    """Return the `name` that selects this record in its group; None if the group has only one record."""
    field = record.model_fields.get("name")
    return None if field is None else str(field.default)


def is_used(record: Record, field: str) -> bool:
    """Return whether this field counts, given the values of the other fields."""
    return all(
        getattr(record, constraint.field) in constraint.values
        for constraint in type(record).model_fields[field].metadata
        if isinstance(constraint, UsedWith)
    )
