"""Records of runs that never were, and results of them."""

from datetime import UTC, datetime
from itertools import zip_longest

from fastresnet.records.record import DataRecord, EpochRecord, Machine, Outcome, RunRecord, Seconds
from fastresnet.study import Experiment, Results

MACHINE = Machine(processor="P", cores=2, threads=1, memory_gib=8, device="cpu", gpu=None, system="Linux")


def record_of(config, *accuracies, norms=(), seconds=2.0, train_accuracy=0.5, **fields):
    """A record with a test accuracy (None: diverged) and a weight norm an epoch; each epoch takes these seconds and 3 TFLOP."""
    epochs = tuple(
        EpochRecord(
            epoch=number,
            lr=0.1,
            train_loss=None if accuracy is None else 1.0,
            train_accuracy=train_accuracy,
            test_loss=None if accuracy is None else 1 - accuracy,
            test_accuracy=accuracy,
            train_seconds=seconds,
            evaluate_seconds=0.5,
            weight_norm=norm,
            test_accuracy_by_batch=accuracy if "batch-statistics" in config.train.measure else None,
        )
        for number, (accuracy, norm) in enumerate(zip_longest(accuracies, norms), 1)
    )
    images, test_images = config.data.train_images or 10, config.data.test_images or 10
    record = RunRecord(
        config_hash=config.hash,
        seed=0,
        config=config,
        outcome=Outcome(status="diverged" if None in accuracies[-1:] else "finished"),
        epochs=epochs,
        seconds=Seconds(build=0, prepare=0, train=seconds * len(accuracies), evaluate=0.5),
        training_flops=3e12 * len(accuracies),
        peak_memory_bytes=1,
        parameters=1,
        data=DataRecord(source="s", train_images=images, train_digest="d", test_images=test_images, test_digest="d"),
        machine=MACHINE,
        versions={"torch": "2"},
        source_revision="r",
        started=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return record.model_copy(update=fields)


def results_of(**variants):
    """Results of an experiment X, from the records of each variant."""
    experiment = Experiment("X", "?", {name: records[0].config for name, records in variants.items()}, (0, 1))
    return Results(experiment, "cpu", {name: tuple(records) for name, records in variants.items()})
