"""Base classes of all settings."""

import math
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

LARGEST_COUNT = 2**31 - 1
"""The largest number of things in a configuration: images, channels, epochs between evaluations."""
LARGEST_FLOAT = 1e30
"""Bound of the other numbers, which are then numbers in single precision as well."""
Fraction = Annotated[float, Field(ge=0, le=1)]


def _increasing(pairs: tuple[tuple[float, Any], ...]) -> tuple[tuple[float, Any], ...]:
    if any(after <= before for (before, _), (after, _) in pairwise(pairs)):
        raise ValueError("the first numbers of the pairs must be strictly increasing")
    return pairs


INCREASING = AfterValidator(_increasing)
"""Requirement for pairs of (place in the run, value)."""


class Frozen(BaseModel):
    """An immutable value object. Unknown keys, wrong types and impossible values raise pydantic's ValidationError."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Settings(Frozen):
    """Settings that a user writes, for example in YAML: lists are converted to tuples."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, values: Any) -> Any:
        return {key: _frozen(value, key) for key, value in values.items()} if isinstance(values, dict) else values


def _frozen(value: Any, key: str) -> Any:
    """Converts a list to a tuple, and every list in it. A mapping is left alone: it becomes settings, which convert their own.

    Raises ValueError for a number of a size that torch cannot compute with, and for a text that a record cannot hold.
    """
    if isinstance(value, str) and value.encode(errors="replace").decode() != value:
        raise ValueError(f"{key}: {value!r} is not UTF-8 text, as records are")
    if isinstance(value, list | tuple):
        return tuple(_frozen(each, key) for each in value)
    if isinstance(value, int) and abs(value) > LARGEST_COUNT:
        raise ValueError(f"{key}: {_shortened(value)} is too large; allowed: whole numbers up to {LARGEST_COUNT}")
    if isinstance(value, float) and value and math.isfinite(value) and not 1 / LARGEST_FLOAT <= abs(value) <= LARGEST_FLOAT:
        raise ValueError(
            f"{key}: {value:g} is out of range; allowed: 0, and sizes from {1 / LARGEST_FLOAT:g} to {LARGEST_FLOAT:g}"
        )
    return value


def _shortened(number: int) -> str:
    return str(number) if abs(number) < 10**20 else "a number of more than 20 digits"
