"""A sample of the record, trained again."""

import dataclasses
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from fastresnet.errors import UserError
from fastresnet.report import verification
from fastresnet.report.verification import Recheck, draw, judge, recheck

from .conftest import command_here, refused
from .made_up import record_of, results_of


@pytest.fixture(scope="module", autouse=True)
def _read_once():
    with pytest.MonkeyPatch.context() as patch:
        recorded = list(verification.best_records())
        patch.setattr(verification, "best_records", lambda: recorded)
        yield


@pytest.fixture(scope="module")
def candidate(_read_once):
    return draw(1, device="cpu", seed=0)[0]


def with_accuracy(record, accuracy):
    last = record.epochs[-1].model_copy(update={"test_accuracy": accuracy})
    return record.model_copy(update={"epochs": (*record.epochs[:-1], last)})


def test_sample_is_random_and_can_be_drawn_again():
    names = [[(each.experiment, each.variant) for each in draw(4, device="cpu", seed=seed)] for seed in (1, 1, 2, 3)]
    assert names[0] == names[1]
    assert len({tuple(each) for each in names}) > 1
    assert len(set(names[0])) == 4


def test_only_short_runs_about_accuracy_are_drawn():
    assert {record.machine.device for each in draw(50, device="cpu", longest=900, seed=0) for record in each.records} == {"cpu"}
    for each in draw(8, device="cpu", longest=60, seed=0):
        assert each.seconds <= 60
        assert len(each.records) >= 3
        assert all(record.data.test_images == 10_000 for record in each.records)
    assert {each.study for each in draw(2, device="cpu", studies=["myrtle_notes"], seed=0)} == {"myrtle_notes"}


def test_runs_on_held_out_or_fewer_images_are_not_drawn(monkeypatch, tiny):
    whole, fewer = tiny.with_changes({"data.test_images": None}), tiny
    held_out = whole.with_changes({"data.validation_images": 10})
    variants = {"whole": whole, "fewer": fewer, "held out": held_out}
    results = results_of(**{name: [record_of(config, 0.5)] * 3 for name, config in variants.items()})
    monkeypatch.setattr(verification, "best_records", lambda: [("trial", results)])
    assert [each.variant for each in draw(1, device="cpu")] == ["whole"]
    with pytest.raises(UserError, match="only 1 recorded variants"):
        draw(2, device="cpu")


def test_too_large_a_sample_is_refused():
    with pytest.raises(UserError, match="only 0 recorded variants .* of at most 0 s on a device of kind"):
        draw(1, longest=0)
    assert "no study 'nothing'" in refused(command_here("study", "verify", "--study", "nothing"))


def test_new_run_has_a_fresh_seed_and_the_recorded_configuration(monkeypatch, candidate, tiny):
    train = Mock(return_value=SimpleNamespace(record=record_of(tiny, 0.5)))
    monkeypatch.setattr("fastresnet.training.runs.train", train)
    (done,) = recheck([candidate], seed=0)
    (config, seed), _ = train.call_args
    assert config == candidate.records[0].config
    assert seed >= verification.FRESH_SEED
    assert seed not in {record.seed for record in candidate.records}
    assert done.difference == pytest.approx(done.record.test_accuracy - candidate.recorded_accuracy)


def test_verdict_follows_the_differences(candidate):
    def rechecked(*shifts):
        record = candidate.records[0]
        return [Recheck(candidate, with_accuracy(record, candidate.recorded_accuracy + shift)) for shift in shifts]

    assert judge(rechecked(0.004, -0.003, 0.001, 0.0), margin=0.03).outcome == "yes"
    assert judge(rechecked(-0.1, -0.11, -0.09, -0.1), margin=0.03).outcome == "no"
    assert judge(rechecked(-0.1, 0.1, 0.0), margin=0.03).outcome == "cannot tell"
    assert judge(rechecked(0.0), margin=0.03).outcome == "points to yes"


@pytest.mark.parametrize(("margin", "code", "answer"), [("12", 0, "Yes."), ("8", 1, "No.")])
def test_command_says_whether_the_records_hold(monkeypatch, candidate, margin, code, answer):
    record, asked = candidate.records[0], []
    shifts = (0.1, 0.101, 0.099)
    again = [Recheck(candidate, with_accuracy(record, candidate.recorded_accuracy + shift)) for shift in shifts]
    monkeypatch.setattr(verification, "draw", lambda number, **options: asked.append((number, options)) or [candidate] * number)
    monkeypatch.setattr(verification, "recheck", lambda *_, **__: iter(again))
    done = command_here("study", "verify", "--sample", "3", "--longest", "60", "--margin", margin)
    assert (done.returncode, answer in done.stdout) == (code, True), done
    ((number, options),) = asked
    assert (number, options["longest"]) == (3, 60)


def test_candidate_averages_its_runs(candidate):
    records = tuple(with_accuracy(record, accuracy) for record, accuracy in zip(candidate.records, (0.5, 0.7), strict=False))
    assert dataclasses.replace(candidate, records=records).recorded_accuracy == pytest.approx(0.6)
