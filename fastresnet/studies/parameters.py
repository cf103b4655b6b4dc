"""What the parameters of every chapter have in common."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from fastresnet.schedules import Frozen

Epochs = PositiveFloat
BatchSize = Annotated[int, Field(ge=2)]
Some = Field(min_length=1)


class ChapterParameters(Frozen):
    """Scale and place of a chapter's runs. Each chapter adds the values that its experiments try."""

    edition: Literal["quick", "cpu", "gpu"]
    device: str | None = None
    """None takes the fastest device there is."""
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    dataset: str
    test_images: PositiveInt | None = None
    """None evaluates on the whole test set."""
    seeds: Annotated[tuple[NonNegativeInt, ...], Some]
