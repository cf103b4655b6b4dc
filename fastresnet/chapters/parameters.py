"""Parameters that every chapter has."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from fastresnet.config import Measure
from fastresnet.config.base import Frozen

Epochs = PositiveFloat
BatchSize = Annotated[int, Field(ge=2)]
Some = Field(min_length=1)
Seeds = Annotated[tuple[NonNegativeInt, ...], Some]


class ChapterParameters(Frozen):
    """Scale and device of a chapter's runs. Each chapter adds the values that its experiments compare."""

    edition: Literal["quick", "small", "cpu", "gpu"]
    device: str | None = None
    """Device to train on; None takes the fastest there is."""
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    dataset: str
    test_images: PositiveInt | None = None
    """Test images to evaluate on; None takes the whole test set."""
    seeds: Seeds
    seeds_of: dict[str, Seeds] = Field(default_factory=dict)
    """Seeds by experiment id, for experiments that are run with other seeds than `seeds`."""
    measure: tuple[Measure, ...] = ()
    """Additional measurements (`TrainConfig.measure`) of the report's experiments and of its ideas."""
    evaluate_every: PositiveInt | None = None
    """Epochs between evaluations; None takes what each experiment needs."""
