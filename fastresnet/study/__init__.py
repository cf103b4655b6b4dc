"""Variants times seeds, of which only those runs are trained that no record answers. Free of torch until a run is missing."""

from fastresnet.study.study import (
    Experiment,
    Results,
    Run,
    RunFailed,
    Study,
    by_seed,
    declare,
    edition_parameters,
    find_study,
    named_parameters,
    open_study,
    record_failure,
    train_all,
    train_and_save,
    unanswered,
)

__all__ = [
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
