"""Variants times seeds, of which only those runs are trained that no record answers. Free of torch until a run is missing."""

from fastresnet.study.experiment import Experiment, Results, Run, by_seed
from fastresnet.study.study import (
    STUDIES,
    Study,
    declare,
    edition_parameters,
    find_study,
    named_parameters,
    open_study,
    train_all,
    unanswered,
)
from fastresnet.study.trial import RunFailed, record_failure, train_and_save

__all__ = [
    "STUDIES",
    "Experiment",
    "Results",
    "Run",
    "RunFailed",
    "Study",
    "by_seed",
    "declare",
    "edition_parameters",
    "find_study",
    "named_parameters",
    "open_study",
    "record_failure",
    "train_all",
    "train_and_save",
    "unanswered",
]
