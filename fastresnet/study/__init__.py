"""Studies: experiments, each of which trains several configurations (variants) with several seeds.

Only runs without a record are trained, and only they load torch.
"""

from fastresnet.study.declaration import STUDIES, declare, edition_parameters, find_study, merged, parameter_lines
from fastresnet.study.experiment import Experiment, Results, Run, by_seed
from fastresnet.study.study import Study, open_chapter, open_study, opened_editions, train_all, without_record
from fastresnet.study.trial import RunFailed, train_and_save

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
    "merged",
    "open_chapter",
    "open_study",
    "opened_editions",
    "parameter_lines",
    "train_all",
    "train_and_save",
    "without_record",
]
