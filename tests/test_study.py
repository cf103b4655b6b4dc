"""A study trains exactly the runs that no record answers, and survives being stopped."""

import pickle
import shutil
import threading
from dataclasses import replace
from unittest.mock import Mock

import pytest

from fastresnet import report
from fastresnet.compute import provenance
from fastresnet.errors import UserError
from fastresnet.records.store import RECORDS, Store, load_frame, read_record
from fastresnet.study import STUDIES, Experiment, RunFailed, Study, by_seed, open_study, train_and_save
from fastresnet.study.project import committed_results
from fastresnet.study.status import status
from fastresnet.study.trial import claimed_run, record_killed, train_trial
from fastresnet.training import runs
from fastresnet.training.loop import _Loop
from fastresnet.training.runs import train

from .conftest import TINY, study_of
from .made_up import record_of

SHORT = TINY.with_changes({"train.epochs": 1})


@pytest.fixture
def study(tmp_path):
    experiments = {
        "A": Experiment("A", "?", {"one": SHORT, "two": SHORT.with_changes({"train.momentum": 0.5})}, (0, 1)),
        "B": Experiment("B", "?", {"same as one": SHORT, "three": SHORT.with_changes({"train.epochs": 0.5})}, (0,)),
    }
    return Study("trial", "cpu", experiments, Store([tmp_path]))


@pytest.fixture(scope="module")
def records_of_a(tmp_path_factory):
    """A folder with the records of A."""
    folder = tmp_path_factory.mktemp("records")
    one, two = SHORT, SHORT.with_changes({"train.momentum": 0.5})
    list(study_of(folder, (0, 1), one=one, two=two).train_missing())
    return folder


@pytest.fixture
def trained(study, records_of_a, tmp_path):
    """The study, its experiment A trained."""
    shutil.copytree(records_of_a, tmp_path, dirs_exist_ok=True)
    return study


def test_only_missing_runs_are_trained_and_equal_ones_once(study, tmp_path):
    trained = [(run.experiment, run.variant, run.seed) for run, _ in study.train_missing()]
    assert trained == [("A", "one", 0), ("A", "two", 0), ("A", "one", 1), ("A", "two", 1), ("B", "three", 0)]
    assert list(study.train_missing()) == []
    results = study.recorded("A")
    assert results.frame()[["variant", "seed"]].values.tolist() == [["one", 0], ["one", 1], ["two", 0], ["two", 1]]
    assert len(results.epochs()) == 4
    assert study.recorded("B").records["same as one"][0] == results.records["one"][0]
    next((tmp_path / "trial" / "A").glob("two-*-seed1.json")).unlink()
    assert [(run.variant, run.seed) for run, _ in study.train_missing()] == [("two", 1)]


@pytest.mark.filterwarnings("ignore:.*another process has")
def test_run_that_another_process_trains_is_waited_for(study, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "train", lambda *_, **__: pytest.fail("trained twice"))
    (run, *_), found = study.runs("B"), []
    only = replace(study, experiments={"B": replace(study.experiments["B"], variants={run.variant: run.config})})
    with claimed_run(run, study.store, wait=False):
        waiting = threading.Thread(target=lambda: found.extend(only.train_missing()))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        record = record_of(run.config, 0.5)
        study.store.save(record, run.study, run.experiment, run.variant)
    waiting.join(60)
    assert [each for _, each in found] == [record]


@pytest.mark.parametrize(
    ("variants", "seeds", "message"),
    [
        ({}, (0,), "A: variants: must be a RunConfig for each name, and one at least, got {}"),
        ({"one": "cifar10-90"}, (0,), "A: variants: must be a RunConfig"),
        ({"one": SHORT}, (), r"A: seeds: must be one number or more, none twice, got \[\]"),
        ({"one": SHORT}, (0, 0), r"A: seeds: .* got \[0, 0\]"),
    ],
)
def test_experiment_without_runs_or_with_one_twice_is_refused(variants, seeds, message):
    with pytest.raises(UserError, match=message):
        Experiment("A", "?", variants, seeds)


def test_all_missing_runs_are_counted_also_those_of_unknown_length(study):
    a, b, everything = status([study])
    assert [row["missing"] for row in (a, b, everything)] == [4, 2, 5]  # one is in both
    assert everything["hours left"] is None


def test_hours_are_of_training_and_evaluation_together(tmp_path):
    study, record = study_of(tmp_path, (0, 1), one=SHORT), record_of(SHORT, 0.5)
    hours = record.seconds.model_copy(update={"train": 3600, "evaluate": 1800})
    study.store.save(record.model_copy(update={"seconds": hours}), "trial", "A", "one")
    assert [(row["hours"], row["hours left"]) for row in status([study])] == [(1.5, 1.5)] * 2


def test_seeds_of_one_experiment_leave_those_of_others(tmp_path):
    study = open_study("cifar10_accuracy", edition="cpu", parameters={"seeds_of": {"C1": [7]}}, results=tmp_path)
    assert [study.experiment(each).seeds for each in ("C1", "C2", "C4")] == [(7,), (0,), (0, 1, 2)]


def test_runs_are_sorted_by_seed_then_by_the_experiments_named_first(study):
    order = [(run.seed, run.experiment) for run in by_seed(study.runs(), ["B"])]
    assert order == [(0, "B"), (0, "B"), (0, "A"), (0, "A"), (1, "A"), (1, "A")]


def test_seeds_that_have_every_variant_are_results_already(trained, tmp_path):
    assert trained.recorded("A").seeds == (0, 1)
    next(tmp_path.rglob("two-*-seed0.json")).unlink()
    results = trained.recorded("A")
    assert (results.seeds, set(results.frame()["seed"])) == ((1,), {1})
    assert "1 of 2 seeds per variant" in report.provenance(results)
    next(tmp_path.rglob("one-*-seed1.json")).unlink()
    assert trained.recorded("A") is None


def test_record_survives_the_disk_and_holds_what_it_should(tiny, tmp_path):
    record = train(tiny, seed=4).record
    path = Store([tmp_path]).save(record, "s", "e", "A variant, 3x3/1")
    assert path.name == f"a-variant-3x3-1-{tiny.hash}-seed4.json"
    assert read_record(path) == record
    assert record.training_flops > 0
    assert record.peak_memory_bytes > 50 * 2**20
    assert record.seconds.train == pytest.approx(sum(epoch.train_seconds for epoch in record.epochs), abs=0.05)
    assert record.data.train_images == 128
    assert set(record.versions) == {"python", "fastresnet", "torch", "torchvision", "numpy"}
    assert record.machine.device in ("cpu", "cuda", "mps")


def test_committed_records_load_as_one_frame():
    """Fails if a default changes: records made under the old one would then serve requests for the new one."""
    frame = load_frame(committed_results())
    names = {"-".join(path.stem.rsplit("-", 2)[1:]) for path in committed_results().glob(RECORDS)}
    assert names == set(frame["config_hash"] + "-seed" + frame["seed"].astype(str))
    assert set(frame["study"]) <= set(STUDIES)
    finished = frame[frame["outcome"] == "finished"]
    assert finished["test_accuracy"].between(0, 1).all()
    changed = frame["source_revision"][frame["source_revision"].str.contains("changes")]
    # these were trained on that commit's files, while git's index still held those of another
    assert set(changed) <= {"2f236041fef3+changes"}


def test_folder_that_is_not_there_has_no_frame(tmp_path):
    for place in (tmp_path / "nowhere", f"file://{tmp_path}/nowhere"):
        with pytest.raises(UserError, match=f"{place}: no such folder"):
            load_frame(place)


def test_copy_of_a_record_is_left_out_of_the_frame_and_named(trained, tmp_path):
    record = next(tmp_path.rglob("*.json"))
    for name in ("a (conflicted copy).json", f"{record.stem} copy.json"):
        record.with_name(name).write_bytes(record.read_bytes())
    with pytest.warns(
        UserWarning, match=r"a \(conflicted copy\)\.json, .* copy\.json: left out, since another file records the same"
    ):
        frame = load_frame(tmp_path)
    assert len(frame) == len(frame.groupby(["config_hash", "seed"])) == 4
    assert frame.loc[frame["variant"] == "two", "train.momentum"].tolist() == [0.5, 0.5]


def test_failed_run_is_recorded_with_its_reason_and_tried_again(study, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(runs, "train_epochs", Mock(side_effect=RuntimeError("no such kernel")))
        with pytest.raises(RunFailed, match="A one seed 0 failed: RuntimeError: no such kernel; recorded in .*A two seed 1"):
            study.run("A")
    records = [read_record(path) for path in tmp_path.glob("*/*/*.json")]
    assert [record.outcome.reason for record in records] == ["RuntimeError: no such kernel"] * 4
    assert len(study.run("A").records["one"]) == 2


def test_failed_run_leaves_the_record_of_another_process_alone(tiny, record, tmp_path, monkeypatch):
    study = study_of(tmp_path, one=tiny)

    def overtaken(*_, **__):
        study.store.save(record, "trial", "A", "one")
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(runs, "train_epochs", overtaken)
    (run,) = study.runs("A")
    with pytest.raises(RunFailed, match="A one seed 0 failed: .*; another process has recorded the run meanwhile"):
        train_and_save(run, study.store, None, None, progress=False)
    with pytest.raises(RunFailed, match="A one seed 0 failed: KilledWorker; another process"):
        record_killed(run, study.store.folders, None, "KilledWorker")
    assert study.store.find(*run.key) == record


def test_diverged_run_is_recorded_and_not_tried_again(tiny, tmp_path):
    wild = tiny.with_changes({"train.schedule": {"kind": "constant", "lr": 1e30}})
    study = study_of(tmp_path, wild=wild)
    assert [record.outcome.status for _, record in study.train_missing()] == ["diverged"]
    assert study.missing() == []
    assert [row["diverged"] for row in status([study])] == [1, 1]


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("edition", ["quick", "cpu", "gpu"])
def test_every_edition_asks_the_same_questions(name, edition):
    asked, on_cpu = (
        {key: experiment.question for key, experiment in open_study(name, edition=each).experiments.items()}
        for each in (edition, "cpu")
    )
    differ = {"amx-ablations"} if edition == "gpu" else set()
    assert {key: question for key, question in asked.items() if key not in differ} == {
        key: question for key, question in on_cpu.items() if key not in differ
    }


TESTED = {"myrtle_notes": {2_000, 10_000}}
"""Test images of a study that is not evaluated on all of them: many small runs, whose page says so."""


@pytest.mark.parametrize("name", STUDIES)
def test_every_experiment_is_recorded_on_the_full_test_sets(name):
    study = open_study(name, edition="cpu")
    for experiment in study.experiments:
        for records in study.recorded(experiment).records.values():
            # runs of a few steps, that ask for time or a measurement alone, are evaluated for form's sake
            few_steps = all(
                record.config.data.test_images == 100
                and (record.step_seconds or record.measured or experiment.endswith(("-time", "-pace")))
                for record in records
            )
            held_out = all(record.config.data.validation_images for record in records)
            assert few_steps or held_out or all(record.data.test_images in TESTED.get(name, {10_000}) for record in records)


def test_equal_steps_are_about_equal():
    study = open_study("cifar10_accuracy", edition="cpu")
    steps = {
        name: config.train.epochs * -(-50_000 // config.data.batch_size)
        for name, config in study.experiment("C11-steps").variants.items()
    }
    assert list(steps) == list(study.experiment("C11").variants)
    assert max(steps.values()) / min(steps.values()) < 1.1


def test_schedule_moved_on_once_an_epoch_stays_in_its_warm_up():
    study = open_study("cifar10_accuracy", edition="cpu")
    meant, slow = (config.train.schedule for config in study.experiment("C9-epochs").variants.values())
    assert [slow(12 * epoch, 240) for epoch in (0, 7, 19)] == pytest.approx([meant(epoch, 240) for epoch in (0, 7, 19)])
    assert slow(239, 240) < meant(72, 240) / 4


def test_a_tail_starts_where_one_cycle_still_moves():
    variants = open_study("cifar10_accuracy", edition="cpu").experiment("N3").variants
    down, *tails = (config.train.schedule for config in variants.values())
    assert len(tails) == 3
    for tail in tails:
        assert tail(749, 1000) == down(749, 1000)
        assert tail(750, 1000) == tail(999, 1000) == tail.tail_lr > down(999, 1000)


def test_unknown_edition_is_refused():
    with pytest.raises(UserError, match="no edition 'x'; allowed: quick, cpu, gpu"):
        open_study("myrtle_notes", edition="x")


def test_quick_edition_shows_the_strongest_record_and_others_their_own():
    assert open_study("fashionmnist_speed", edition="quick").best_recorded("F7").edition in ("cpu", "gpu")
    assert open_study("fashionmnist_speed", edition="cpu").best_recorded("F7").edition == "cpu"
    assert open_study("frontier").best_recorded("amx-ablations").edition == "cpu"  # that for a GPU has no such experiment


@pytest.mark.parametrize(("name", "edition"), [("frontier", "cpu"), ("cifar10_accuracy", "gpu")])
def test_page_of_a_processor_shows_no_records_of_a_gpu(name, edition, monkeypatch):
    monkeypatch.setattr(Study, "recorded", lambda study, _: study.edition)  # as if all were
    assert set(open_study(name).all_best_recorded().values()) == {edition}


def test_own_parameters_leave_the_studys_record_alone():
    own = open_study("fashionmnist_speed", edition="cpu", parameters={"f8_epochs": 3})
    assert committed_results() not in own.store.folders[:1]
    assert open_study("fashionmnist_speed", edition="cpu", parameters={"f8_epochs": 10}).store.folders[0] == committed_results()


@pytest.fixture
def interrupted(tiny, tmp_path, monkeypatch):
    """A study whose only run was interrupted in its last epoch."""
    study, epochs = study_of(tmp_path / "records", one=tiny.with_changes({"train.epochs": 3})), []

    def interrupt(loop, *arguments):
        epochs.append(loop)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        run_epoch(loop, *arguments)

    run_epoch = _Loop.run_epoch
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_Loop, "run_epoch", interrupt)
        study.run("A")
    return study


def test_record_names_what_trained_the_run_before_an_interruption(interrupted, monkeypatch):
    before = provenance.source_revision()
    monkeypatch.setattr(provenance, "source_revision", lambda: "0123456789ab")
    (record,) = interrupted.run("A").all_records
    assert [each.source_revision for each in record.origins] == [before, "0123456789ab"]
    assert "0123456789ab" in report.provenance(interrupted.recorded("A"))


def test_run_that_goes_on_with_what_began_it_has_no_earlier_part(interrupted):
    (record,) = interrupted.run("A").all_records
    assert record.earlier == ()
    assert len(record.epochs) == 3


def test_run_that_another_process_has_recorded_meanwhile_is_not_trained_again(tiny, tmp_path):
    study = study_of(tmp_path, seeds=(0, 1), one=tiny)
    trained = study.train_missing()
    next(trained)
    (other,) = study_of(tmp_path, seeds=(1,), one=tiny).run("A").all_records
    ((_, last),) = trained
    assert last == other


def test_failure_where_the_studys_folder_cannot_be_used_takes_its_record_along(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "train_epochs", Mock(side_effect=RuntimeError("no luck")))
    (tmp_path / "file").touch()
    (run,) = study_of(tmp_path, one=tiny).runs()
    with pytest.raises(RunFailed, match=r"failed: RuntimeError: no luck$") as failure:
        train_trial(run, (tmp_path / "file",), None, "cpu")
    handed_over = pickle.loads(pickle.dumps(failure.value))
    assert (str(handed_over), handed_over.record.outcome.status) == (str(failure.value), "failed")
    assert handed_over.record.config == run.config


def test_error_that_ends_a_study_leaves_its_failures_named(tiny, tmp_path, monkeypatch):
    study = study_of(tmp_path, seeds=(0, 1), one=tiny)
    monkeypatch.setattr(runs, "train_epochs", Mock(side_effect=[RuntimeError("no luck"), UserError("no use")]))
    with pytest.warns(UserWarning, match="A one seed 0 failed: RuntimeError: no luck; recorded in"), pytest.raises(UserError):
        study.run("A")


def test_run_repeated_for_another_store_does_not_go_on_from_the_first_ones_checkpoint(interrupted, tmp_path):
    again = replace(interrupted, store=Store([tmp_path / "others"]))
    trained, run_epoch = [], _Loop.run_epoch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Loop, "run_epoch", lambda loop, *rest: trained.append(loop) or run_epoch(loop, *rest))
        again.run("A")
    assert len(trained) == 3
