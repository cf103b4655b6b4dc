"""Parameters that every chapter has."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from fastresnet.config import Measure
from fastresnet.config.base import Frozen
from fastresnet.config.seeds import Seed

Epochs = PositiveFloat
BatchSize = Annotated[int, Field(ge=2)]
Some = Field(min_length=1)


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"a seed that comes twice would count one run as two, got {list(seeds)}")
    return seeds


Seeds = Annotated[tuple[Seed, ...], Some, AfterValidator(_distinct)]


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
