"""What every setting is made of."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]


class Frozen(BaseModel):
    """A value object: unknown keys, wrong types and impossible values are refused, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Settings(Frozen):
    """Values that a user spells: lists stand for tuples."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, values: Any) -> Any:
        return {key: _frozen(value) for key, value in values.items()} if isinstance(values, dict) else values


def _frozen(value: Any) -> Any:
    """A value whose lists are tuples, however deep."""
    if isinstance(value, dict):
        return {key: _frozen(each) for key, each in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
