"""How the report's curve of C9 is read, and how runs are compared with it."""

from types import SimpleNamespace

import pytest

from fastresnet.chapters import cifar10_curve, cifar10_differences
from fastresnet.study import Results, open_study

from .made_up import record_of

STUDY = open_study("cifar10_accuracy", edition="cpu")
C9 = STUDY.experiment("C9")
CONFIG = C9.variants["no flips"]


def run_of(train, test, seed=0):
    """A record of a run that never was, on as many images as the report's, with these accuracies by epoch."""
    record = record_of(CONFIG, *test)
    epochs = (epoch.model_copy(update={"train_accuracy": value}) for epoch, value in zip(record.epochs, train, strict=True))
    images = record.data.model_copy(update={"train_images": 50_000})
    return record.model_copy(update={"seed": seed, "epochs": tuple(epochs), "data": images})


def study_of(*records):
    results = Results(C9, "cpu", {"no flips": records}) if records else None
    return SimpleNamespace(experiments={"C9": C9}, experiment=STUDY.experiment, recorded=lambda _: results)


def test_single_epochs_are_read_from_their_means():
    assert cifar10_curve.of_single_epochs([0.2, 0.3, 0.5]) == pytest.approx([0.2, 0.4, 0.9])
    read = [row.train_accuracy for row in cifar10_curve.READ_ANEW]
    assert read == sorted(read)
    assert read[-1] == pytest.approx(0.9955)  # 20 times 75.80 % less 19 times 74.55 %


def test_runs_that_could_not_be_read_as_means_are_counted():
    even, jumping, falling = ([0.5] * 19 + [last] for last in (0.5, 0.55, 0.49))  # read anew, the last is 0.5, 1.45 and 0.31
    runs = [run_of(train, [0.5] * 20, seed) for seed, train in enumerate((even, jumping, falling))]
    said = cifar10_curve.curve_finding(study_of(*runs))
    assert "they exceed 100 % in 1 of our 3 runs of 20 epochs on all images, and fall somewhere in 1" in said
    assert cifar10_curve.curve_finding(study_of()).endswith("points above the test accuracy.")


def test_first_epochs_are_ranges_by_batch_beside_the_report():
    runs = [run_of([0.5] * 20, [first] + [0.7] * 19, seed) for seed, first in enumerate((0.2, 0.3))]
    table = cifar10_curve.first_epochs(study_of(*runs))
    assert table.loc["batch 4500"].tolist() == ["50.0 to 50.0", "20.0 to 30.0", 2]
    assert table.loc["the report"].tolist() == ["26.2", "40.2", 1]
    assert cifar10_curve.first_epochs(study_of()).empty


def test_gap_is_that_of_the_mean_training_accuracy():
    run = run_of([0.6, 0.8] * 10, [0.4] * 15 + [0.5] * 4 + [0.8])  # 0.56 on average over the last five epochs
    found = Results(C9, "cpu", {"no flips": (run,)})
    assert cifar10_differences._gaps(found, "no flips") == pytest.approx([0.14])
    assert cifar10_differences._gaps(found, "not run") == []


def test_distance_to_the_report_is_that_of_both_accuracies():
    columns = zip(*((row.train_accuracy, row.test_accuracy) for row in cifar10_curve.READ_ANEW), strict=True)
    train, test = map(list, columns)
    above = run_of([value + 0.02 for value in train], test)
    found = Results(C9, "cpu", {"equal": (run_of(train, test),), "above": (above,)})
    assert cifar10_curve.distances(found, "equal") == [0]
    assert cifar10_curve.distances(found, "above") == pytest.approx([0.02 / 2**0.5])  # of two accuracies, one is off
    assert cifar10_curve.distances(found, "not run") == []
