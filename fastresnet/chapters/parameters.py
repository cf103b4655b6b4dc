"""Parameters that every chapter has."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, PositiveFloat, PositiveInt

from fastresnet.config import Measure, Precision
from fastresnet.config.base import Frozen
from fastresnet.config.datasets import SPECS
from fastresnet.config.seeds import Seed

T = TypeVar("T")
V = TypeVar("V", bound=tuple[Any, ...])
Epochs = PositiveFloat
BatchSize = Annotated[int, Field(ge=2)]
Some = Field(min_length=1)


def _distinct(values: V) -> V:
    if len(set(values)) < len(values):
        raise ValueError("no value may come twice")
    if len({f"{value:g}" if isinstance(value, float) else value for value in values}) < len(values):
        raise ValueError("variants are named by six digits of a value, in which all must differ")
    return values


def _ascending(values: V) -> V:
    if list(values) != sorted(values):
        raise ValueError("the smaller value must come first")
    return values


Distinct = AfterValidator(_distinct)
Ascending = AfterValidator(_ascending)
Values = Annotated[tuple[T, ...], Some, Distinct]
"""One value or several, which an experiment compares."""
Rates = Values[PositiveFloat]
Seeds = Values[Seed]


def _named(dataset: str) -> str:
    if dataset not in SPECS:
        raise ValueError(f"no data set {dataset!r} for a chapter; allowed: {', '.join(SPECS)}")
    return dataset


class EditionParameters(Frozen):
    """Parameters of every chapter that name its edition and say what a re-run changes. The text below each is its comment in the
    notebook."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    edition: Literal["quick", "cpu", "gpu"]
    """Scale of the runs."""
    device: str | None = None
    """Device to train on; None takes the fastest there is."""
    scale: PositiveFloat = 1.0
    """Factor on the training images and the batch size of runs that a re-run trains, so that an epoch keeps its steps."""
    changed: tuple[str, ...] = ()
    """Names of parameters that a re-run sets, which may be to the values that they have already."""


class ChapterParameters(EditionParameters):
    """Scale of a chapter's runs. Each chapter adds the values that its experiments compare."""

    precision: Precision = "fp32"
    """Number format of the training steps."""
    dataset: Annotated[str, AfterValidator(_named)]
    """Name of the data set."""
    test_images: PositiveInt | None = None
    """Test images to evaluate on; None takes the whole test set."""
    seeds: Seeds
    """Seeds of every variant."""
    seeds_of: dict[str, Seeds] = Field(default_factory=dict)
    """Seeds by experiment id, for experiments that are run with other seeds than `seeds`."""

    @property
    def shape(self) -> dict[str, Any]:
        """The channels and classes of the data set, as a network's configuration names them."""
        spec = SPECS[self.dataset]
        return {"in_channels": spec.channels, "num_classes": spec.num_classes}


class EvaluatedParameters(ChapterParameters):
    """Scale of a chapter's runs that says, too, how often they are evaluated and what else is measured."""

    measure: tuple[Measure, ...] = ()
    """Additional measurements (`TrainConfig.measure`) of the report's experiments and of its ideas."""
    evaluate_every: PositiveInt | None = None
    """Epochs between evaluations; None takes what each experiment needs."""


def workers_name(number: int) -> str:
    """Name of the variant that prepares its batches in `number` worker processes."""
    return f"{number} worker{'' if number == 1 else 's'}"
