"""Base classes of all settings."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]


class Frozen(BaseModel):
    """An immutable value object. Unknown keys, wrong types and impossible values raise pydantic's ValidationError."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Settings(Frozen):
    """Settings that a user writes, for example in YAML: lists are converted to tuples."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, values: Any) -> Any:
        return {key: _frozen(value) for key, value in values.items()} if isinstance(values, dict) else values


def _frozen(value: Any) -> Any:
    """Converts a list to a tuple, and every list in it. A mapping is left alone: it becomes settings, which convert their own."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
