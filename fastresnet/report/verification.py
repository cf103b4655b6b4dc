"""Verifies the record: some recorded runs are trained again, with unused seeds, and compared.

Accuracies drift with versions and machines. A new run of a variant is compared with the mean of its recorded runs. Over all
variants drawn, the mean difference must lie within a margin, tested for equivalence by its 95 % interval.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from fastresnet.errors import UserError
from fastresnet.records.record import RunRecord
from fastresnet.report.export import best_records
from fastresnet.report.verdicts import Verdict, difference

FRESH_SEED = 1_000_000
"""Smallest seed of a new run; the study's own seeds are smaller."""


@dataclass(frozen=True)
class Candidate:
    """A variant of a recorded experiment, and its runs that ended with an accuracy."""

    study: str
    experiment: str
    variant: str
    records: tuple[RunRecord, ...]

    @property
    def recorded_accuracy(self) -> float:
        """Mean test accuracy of the recorded runs, in [0, 1]."""
        return fmean(record.test_accuracy or 0.0 for record in self.records)

    @property
    def seconds(self) -> float:
        """Mean seconds per recorded run, training and evaluation together."""
        return fmean(record.seconds.train + record.seconds.evaluate for record in self.records)


@dataclass(frozen=True)
class Recheck:
    """A candidate and the record of its new run."""

    candidate: Candidate
    record: RunRecord

    @property
    def difference(self) -> float:
        """Test accuracy of the new run minus the recorded mean, in [-1, 1]."""
        return (self.record.test_accuracy or 0.0) - self.candidate.recorded_accuracy


def draw(
    number: int, *, studies: Sequence[str] = (), longest: float = 300.0, device: str | None = None, seed: int | None = None
) -> list[Candidate]:
    """Draws `number` recorded variants at random: with three runs or more, on all test images, of at most `longest` s on average,
    and on a device of the kind that `device` names, or that is the fastest here.

    Raises UserError if there are fewer.
    """
    from fastresnet.compute.device import choose_device

    kind = choose_device(device).type
    candidates = []
    for study, results in best_records():
        for variant, records in results.records.items():
            finished = tuple(record for record in records if record.test_accuracy is not None)
            tested = all(each.config.data.test_images is None and not each.config.data.validation_images for each in finished)
            candidate = Candidate(study, results.experiment.id, variant, finished)
            there = all(each.machine.device == kind for each in finished)
            if tested and there and len(finished) >= 3 and (not studies or study in studies) and candidate.seconds <= longest:
                candidates.append(candidate)
    if number > len(candidates):
        raise UserError(
            f"--sample {number}: only {len(candidates)} recorded variants have three runs or more on all test images, of at most "
            f"{longest:g} s on a device of kind {kind}"
        )
    return random.Random(seed).sample(candidates, number)


def recheck(
    candidates: Sequence[Candidate], *, data_dir: Path | None = None, device: str | None = None, seed: int | None = None
) -> Iterator[Recheck]:
    """Trains each candidate once more with a fresh seed."""
    from fastresnet.training.runs import train

    generator = random.Random(seed)
    for candidate in candidates:
        config = candidate.records[0].config
        fresh = FRESH_SEED + generator.randrange(FRESH_SEED)
        yield Recheck(candidate, train(config, fresh, data_dir=data_dir, device=device).record)


def judge(rechecks: Sequence[Recheck], margin: float) -> Verdict:
    """Tests that the new runs are as accurate as the recorded ones, on average within `margin`, a fraction."""
    differences = [each.difference for each in rechecks]
    return difference("Is the record reproduced?", "New runs lie {} {above|below} it", differences, 0.0, within=margin)
