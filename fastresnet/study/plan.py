"""What a page needs: which experiments it shows from their records, and which of its runs are still to be trained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median
from typing import NamedTuple

from fastresnet.config.datasets import SPECS
from fastresnet.config.models import ModelConfig
from fastresnet.config.run import RunConfig
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Key
from fastresnet.study.experiment import Run
from fastresnet.study.study import Study


@dataclass(frozen=True)
class Planned:
    """The runs that a page needs for one experiment: their number, those still to be trained, and the estimated seconds of
    each."""

    experiment: str
    edition: str
    """The edition whose scale it has."""
    runs: int
    missing: tuple[Run, ...]
    """The runs to train for it: they have no record yet, and no experiment before it trains them."""
    seconds: tuple[float, ...]
    """About how long each of these trains and evaluates, starting and loading images left out; empty if `reference_runs` is."""
    reference_runs: tuple[RunRecord, ...]
    """The recorded runs that these seconds come from: those of this processor or GPU if there are any."""


def plan(study: Study) -> Iterator[tuple[Study, Planned]]:
    """Yields each experiment of a page's study as it is shown, with the study that trains its missing runs."""
    planned: set[Key] = set()
    for name in study.experiments:
        shown, found = study.shown(name)
        missing = () if found else tuple(run for run in shown.missing(name) if run.key not in planned)
        planned.update(run.key for run in missing)
        references = _reference_runs(study, name) if missing else {}
        seconds = tuple(_seconds(run, references) for run in missing) if references else ()
        records = tuple(record for records in references.values() for record in records)
        yield shown, Planned(name, shown.edition, len(shown.runs(name)), missing, seconds, records)


def _reference_runs(study: Study, experiment: str) -> Mapping[str, Sequence[RunRecord]]:
    """Recorded runs of the unchanged experiment by variant, only those of this processor or GPU if there are any; training times
    are estimated from them."""
    from fastresnet.compute.device import choose_device
    from fastresnet.compute.provenance import describe_machine

    nearest = study.nearest(experiment)
    records = nearest.records if nearest else {}
    machine = describe_machine(choose_device(study.device))
    here = {
        variant: [each for each in runs if (each.machine.gpu, each.machine.processor) == (machine.gpu, machine.processor)]
        for variant, runs in records.items()
    }
    return {variant: runs for variant, runs in here.items() if runs} or records


def _seconds(run: Run, references: Mapping[str, Sequence[RunRecord]]) -> float:
    same_variant = references.get(run.variant) or [record for records in references.values() for record in records]
    here = _images_per_epoch(run.config)
    return run.config.train.epochs * fmean(
        _work(run.config, record.config) * (train * here.train / there.train + evaluate * here.test / there.test)
        for record in same_variant
        for there, (train, evaluate) in ((_images_per_epoch(record.config), _epoch_seconds(record)),)
    )


def _work(config: RunConfig, reference: RunConfig) -> float:
    """Operations per image as a multiple of the reference's: networks and image sizes may differ."""
    here, there = ((each.model, each.data.image_size or SPECS[each.data.name].image_size) for each in (config, reference))
    return 1.0 if here == there else _operations(*here) / _operations(*there)


@cache
def _operations(model: ModelConfig, image_size: int) -> float:
    from fastresnet.compute.costs import training_flops_per_image
    from fastresnet.models.build import build_model

    return training_flops_per_image(build_model(model, seed=0), (model.in_channels, image_size, image_size))


def _epoch_seconds(record: RunRecord) -> tuple[float, float]:
    """Seconds of training and of evaluation per epoch, by medians: a run may have been paused in some epochs."""
    train = median(each.train_seconds for each in record.epochs)
    evaluate = [each.evaluate_seconds for each in record.epochs if each.test_accuracy is not None]
    of_all = train * len(record.epochs), median(evaluate or [0.0]) * len(evaluate)
    return of_all[0] / record.epochs_trained, of_all[1] / record.epochs_trained


class _Images(NamedTuple):
    train: int
    test: int


def _images_per_epoch(config: RunConfig) -> _Images:
    data, spec = config.data, SPECS[config.data.name]
    train = data.train_images or spec.num_train - data.validation_images
    return _Images(train, data.test_images or data.validation_images or spec.num_test)
