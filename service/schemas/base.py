"""The bases of all models that travel between a service and its clients."""

from __future__ import annotations

import math
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Answer", "JsonObject", "JsonValue", "Milliseconds", "Number", "Page", "Request", "finite"]

Element = TypeVar("Element")


def finite(value: Any) -> Any:
    """Return a JSON value in which every number that is not finite has become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


JsonObject = Annotated[dict[str, Any], BeforeValidator(finite)]
"""A JSON object; numbers in it that are not finite become null."""

JsonValue = Annotated[Any, BeforeValidator(finite)]
"""Any JSON value; numbers in it that are not finite become null."""

Number = Annotated[float | None, BeforeValidator(finite)]
"""A number; null if there is none, or if it is not finite."""

Milliseconds = Annotated[int, Field(description="UTC milliseconds since 1970", examples=[1767225600000])]


class Answer(BaseModel):
    """A model that a service sends; a client ignores fields that a newer service adds."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)


class Request(BaseModel):
    """A model that a client sends; unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, strict=True, use_attribute_docstrings=True
    )


class Page(Answer, Generic[Element]):
    """A page of a list."""

    items: list[Element]
    next: str | None = None
    """Value of the parameter `after` for the next page; null on the last page."""
