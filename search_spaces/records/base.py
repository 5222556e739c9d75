"""Records of parameters: a frozen class for each choice, each field with its range, default and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from search_spaces.extensions import ExtensionKind

Prefix = Literal["invariant", "per view", "per batch", "moves the boundary"]


@dataclass(frozen=True, kw_only=True)
class About:
    """Source of a choice, and its effect on the activations that trials share."""

    description: str
    paper: str
    prefix: Prefix


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Marks a field with another source than its record, or another effect on the shared activations."""

    paper: str
    prefix: Prefix


@dataclass(frozen=True, kw_only=True)
class UsedWith:
    """Marks a field that counts only if another field of its record has one of these values."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OpenChoice:
    """Marks a field that takes one of `known`, or the name of the user's own function."""

    kind: ExtensionKind
    known: tuple[str, ...]


class Record(BaseModel):
    """Base of all records: immutable, no unknown names, no silent conversions, finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    about: ClassVar[About]


def _positive_zero(number: float) -> float:
    return number + 0.0


# -0.0 and 0.0 are one value, so that they are one recipe.
Number = Annotated[float, AfterValidator(_positive_zero)]
Fraction = Annotated[Number, Field(ge=0, lt=1)]


def record_name(record: type[Record]) -> str | None:
    """The `name` that chooses this record within its group; None where a group has only one record."""
    field = record.model_fields.get("name")
    return None if field is None else str(field.default)


def is_used(record: Record, field: str) -> bool:
    """Return whether the field counts, given the values of the others."""
    return all(
        getattr(record, item.field) in item.values
        for item in type(record).model_fields[field].metadata
        if isinstance(item, UsedWith)
    )
