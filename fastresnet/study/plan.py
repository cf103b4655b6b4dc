"""What a page needs: which experiments it shows from their records, and which of its runs are still to be trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from fastresnet.config.datasets import SPECS
from fastresnet.study.experiment import Results, Run
from fastresnet.study.study import Study


@dataclass(frozen=True)
class Planned:
    """An experiment as a page shows it."""

    experiment: str
    edition: str
    """The edition whose scale it has."""
    runs: int
    missing: tuple[Run, ...]
    """The runs that have no record yet."""
    seconds: float | None
    """About how long these take to train, by the recorded seconds of the nearest runs; None if there are no such runs."""


def plan(study: Study) -> Iterator[tuple[Study, Planned]]:
    """Yields each experiment of a page's study as it is shown, with the study that trains its missing runs."""
    for name in study.experiments:
        shown, found = study.shown(name)
        runs = shown.runs(name)
        missing = () if found else tuple(shown.missing(name))
        yield shown, Planned(name, shown.edition, len(runs), missing, _seconds(missing, study.nearest(name)))


def _seconds(missing: tuple[Run, ...], nearest: Results | None) -> float | None:
    if not missing:
        return 0.0
    if nearest is None:
        return None
    frame = nearest.frame()
    by_variant = frame.groupby("variant")["image_seconds"].mean()
    images = (run.config.data.train_images or SPECS[run.config.data.name].num_train for run in missing)
    return sum(
        number * run.config.train.epochs * by_variant.get(run.variant, fmean(by_variant))
        for number, run in zip(images, missing, strict=True)
    )
