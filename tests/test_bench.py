"""The benchmark: a few steps stand for the whole run, and a table says which is which."""

import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import parts, programs, report, suite
from benchmarks.contenders import Contender, Contest, airbench_muon, contests, tutorial
from benchmarks.packages import Airbench, Fastai, parse_airbench
from benchmarks.programs import Evaluation, Measured, Ours, evaluations, num_steps
from fastresnet.compute.costs import training_flops_per_image
from fastresnet.compute.device import choose_device
from fastresnet.config import RunConfig
from fastresnet.config.models import ResNetConfig
from fastresnet.config.recipes import find_recipe
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError
from fastresnet.models.build import build_model
from fastresnet.models.resnet import resnet18
from fastresnet.records.benchmark import Row
from fastresnet.study.project import committed_results
from fastresnet.training.runs import train

from .conftest import ROOT, refused

SAMPLE = {"data.name": "fashion-sample", "train.epochs": 1}


@pytest.fixture(scope="module")
def rows():
    """A contest on the sample: one contender run whole, one timed over a few steps, one of unknown length."""
    config = find_recipe("fashion-80").config("cpu").with_changes(SAMPLE)
    slow = config.with_changes({"train.epochs": 3_000})
    contest = Contest(
        "fashion-80",
        0.3,
        (
            Contender("ours", Ours(config), 1, "the recipe"),
            Contender("long", Ours(slow), 3_000, "told", at_least=True),
            Contender("unknown", Ours(slow), None, "not recorded"),
        ),
    )
    device, dataset = choose_device("cpu"), load_dataset("fashion-sample")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite, "SECONDS_OF_STEPS", 0.3)  # a real contest takes more
        return list(suite._run_contest(contest, dataset, device, 2, 60.0, {"fp32": suite.measure_peaks(device, "fp32")}))


def test_parts_of_a_step_make_up_its_time_and_its_operations(rows):
    ours, *peers = rows
    assert not any(peer.parts for peer in peers)
    assert sum(part.share for part in ours.parts) == pytest.approx(1)
    assert {"batch norm", "optimiser", "matrix products"} < {part.name for part in ours.parts}
    assert any(re.fullmatch(r"convolution \d+ to \d+, 3x3, at \d+x\d+", part.name) for part in ours.parts)


@pytest.mark.parametrize("autocast", [False, True])
def test_operations_of_a_step_are_counted_whole(autocast):
    model, images = resnet18(channels=(16, 16, 16, 16), seed=0), torch.randn(4, 3, 96, 96)
    with (
        torch.profiler.profile(record_shapes=True, with_flops=True) as profile,
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        model(images).sum().backward()
    counted = sum(parts._flops(event) for event in profile.events())
    assert counted == pytest.approx(4 * training_flops_per_image(model, (3, 96, 96)), rel=0.01)


@pytest.mark.parametrize("variant", ["cpu", "cpu-bf16", "cpu-amx", "cuda"])
def test_strong_peer_computes_as_ours_does(variant):
    (contest,) = contests(("cifar10-94",), lambda _: variant)
    ours, *peers = contest.contenders
    (strong,) = (each.program.config.train for each in peers if each.name == "airbench94 with Muon")
    for way in ("precision", "cuda_graph", "fused_kernels", "matmul_gradients"):
        assert getattr(strong, way) == getattr(ours.program.config.train, way)
    without = [each.program.config for each in peers if each.name == "ours, gradients by oneDNN"]
    assert without == ([find_recipe("cifar10-94").config("cpu-bf16")] if variant == "cpu-amx" else [])


@pytest.mark.parametrize(("tick", "taken"), [(0.01, 3), (0.6, 2)], ids=["fast", "slow"])
def test_batches_are_timed_over_a_run_or_a_second(tick, taken, monkeypatch):
    def epoch(index):
        for number in itertools.count():
            loaded.append(number)
            yield None, [0] * 8

    loaded, clock = [], itertools.count()
    monkeypatch.setattr(programs, "make_batches", lambda *_, **__: (SimpleNamespace(epoch=epoch), None))
    monkeypatch.setattr(programs.time, "perf_counter", lambda: tick * next(clock))
    config = RunConfig().with_changes({"data.name": "fashion-sample", "model.in_channels": 1})
    images = load_dataset("fashion-sample")
    three_steps = config.with_changes({"train.epochs": 3 * config.data.batch_size / len(images.train)})
    assert num_steps(Ours(three_steps), images) == 3
    seconds = Ours(three_steps).batch_seconds(images, choose_device("cpu"))
    assert seconds == pytest.approx(3 * tick / (8 * taken))  # the clock is looked at three times more
    assert len(loaded) == taken


def test_short_contender_is_run_whole_and_long_one_over_a_few_steps(rows):
    ours, long, unknown = rows
    assert (ours.whole_runs, long.whole_runs, unknown.whole_runs) == (True, False, False)
    assert ours.passed in (0.0, 0.5, 1.0)
    assert 0 < ours.accuracy < 1
    assert ours.epochs_to_target == 1
    assert (long.passed, long.accuracy, long.epochs_to_target) == (None, None, None)
    assert long.seconds >= 2_999 * long.epoch_seconds
    assert unknown.seconds is None
    assert all(row.share_of_peak > 0 for row in rows)


def test_seconds_of_a_few_steps_are_their_start_and_the_recorded_epochs():
    contender = Contender("peer", Ours(find_recipe("fashion-80").config("cpu")), 10, "told")
    # 1 s before the first step, and 2, 3 or 4 s for a tenth of an epoch
    runs = tuple(Measured(0.1, 1 + seconds, 3e9, 1, (Evaluation(0.1, 9.0, 0.0),), joules=None) for seconds in (2.0, 4.0, 3.0))
    rounds = suite._Rounds(contender, runs, start=1.0, image_seconds=0.001)
    row = suite._row(Contest("fashion-80", 0.8, (contender,)), rounds, 6_000, suite.Peaks(4e9, 8e9))
    assert row.epoch_seconds == pytest.approx(30)
    assert row.seconds == pytest.approx(301)
    assert row.images_per_second == pytest.approx(200)
    assert (row.gflops_per_second, row.share_of_peak) == (pytest.approx(1), pytest.approx(0.25))
    assert row.share_of_product_peak == pytest.approx(0.125)
    assert row.outside_model == pytest.approx(0.2)


def test_target_is_reached_at_the_first_evaluation_that_shows_it():
    looks = tuple(Evaluation(epoch, 10.0 * epoch, accuracy) for epoch, accuracy in ((1, 0.5), (2, 0.8), (3, 0.7)))
    run = Measured(epochs=3, train_seconds=29.0, training_flops=1.0, peak_memory_bytes=1, evaluations=looks, joules=None)
    assert run.reaching(0.75) == looks[1]
    assert run.reaching(0.5) == looks[0]
    assert run.reaching(0.9) == looks[2]  # never: the whole run


def test_evaluation_has_the_training_before_it_and_its_own_seconds():
    config = find_recipe("fashion-80").config("cpu").with_changes(SAMPLE)
    record = train(config.with_changes({"train.epochs": 2.5, "train.evaluate_every": 2})).record
    second, last = evaluations(record)
    assert (second.epochs, last.epochs) == (2, 2.5)
    assert last.test_accuracy == record.test_accuracy
    assert last.seconds == pytest.approx(record.seconds.train + record.epochs[-1].evaluate_seconds)
    assert second.seconds < record.seconds.train + record.epochs[1].evaluate_seconds - record.epochs[2].train_seconds + 1e-6
    diverged = record.model_copy(update={"epochs": (record.epochs[0],)})
    assert [each.test_accuracy for each in evaluations(diverged)] == [0.0]


def test_whole_runs_that_never_get_there_give_a_lower_bound(rows):
    ours, long, _ = rows
    assert ours.at_least == (ours.passed == 0)
    assert long.at_least
    bound = ours.model_copy(update={"contender": "peer", "seconds": 3 * ours.seconds, "passed": 0.0, "at_least": True})
    assert "more than" in report.describe_row(bound)
    assert "more than      3.0 times ours" in report.ratios([ours, bound])


def test_ratios_compare_seconds_or_else_epochs(rows):
    text = report.ratios(rows)
    assert text.count("\n") == 1
    assert "long" in text.splitlines()[0]
    assert "to 30.00 %" in text.splitlines()[0]
    assert text.splitlines()[1].endswith("times ours, per epoch")


def test_json_holds_the_rows_and_the_machine(rows, tmp_path):
    report.write_json(rows, tmp_path / "bench.json", device="cpu", revision="abc")
    content = json.loads((tmp_path / "bench.json").read_text())
    assert [Row.model_validate_json(json.dumps(row)) for row in content["rows"]] == rows
    assert content["machine"]["device"] == "cpu"
    assert "torch" in content["versions"]
    assert content["source_revision"] == "abc"


def test_few_steps_have_the_sizes_of_the_whole_run_in_its_proportions():
    config = find_recipe("cifar10-83").config("cpu")
    dataset = load_dataset("cifar10-standin")
    few = Ours(config).few_steps(dataset, 10)
    (first, start), (second, end) = few.data.size_curriculum
    assert num_steps(Ours(few), dataset) == 10
    assert (first, start, end) == (0, 23, 32)
    assert second / few.train.epochs == pytest.approx(config.data.size_curriculum[1][0] / config.train.epochs)


def test_interval_of_the_median_covers_it():
    values = list(np.random.default_rng(0).normal(10, 1, 15))
    low, high = suite.median_interval(values)
    assert min(values) <= low <= np.median(values) <= high <= max(values)
    assert suite.median_interval([2.0]) == (2.0, 2.0)


def test_strong_peer_has_the_published_shape():
    """0.236 GFLOP forward an image (Jordan, 2024), so three times that for a step, less the first layer's."""
    flops = training_flops_per_image(build_model(airbench_muon("bf16").model, 0), (3, 32, 32))
    assert 0.68e9 < flops < 0.72e9


@pytest.mark.parametrize(
    ("name", "benchmarks"),
    [("fashion-80", ("cpu-full-fashion-80",)), ("cifar10-83", ("cpu-full-cifar10-83", "cpu-full-cifar10-83-longer"))],
)
def test_epochs_of_peers_are_those_of_their_longest_whole_runs(name, benchmarks):
    (contest,) = contests((name,), lambda _: "cpu")
    said = {each.name: (each.epochs, each.at_least) for each in contest.contenders[1:]}
    recorded = {}
    for benchmark in benchmarks:
        content = json.loads((committed_results() / "bench" / f"{benchmark}.json").read_text())
        recorded |= {row["contender"]: (row["epochs_to_target"], row["at_least"]) for row in content["rows"][1:]}
    by_hearsay = {each.name for each in contest.contenders if each.epochs_source == "the report's table"}
    assert said == recorded | {peer: said[peer] for peer in by_hearsay}


def test_named_peers_are_the_only_ones_met():
    contest, other = suite._against(("fastai",), contests(("cifar10-83", "cifar10-94"), lambda _: "cpu"))
    assert [each.name for each in contest.contenders] == ["ours", "fastai"]
    assert [each.name for each in other.contenders] == ["ours"]


def test_unknown_suite_contest_or_peer_is_refused():
    for suite_name, named, message in (
        ("cpu", {}, "no suite 'cpu'; allowed: cpu-quick, cpu-full, gpu"),
        ("cpu-quick", {"only": ("fashion-93",)}, "cpu-quick: no contest 'fashion-93'; allowed: fashion-80"),
        ("cpu-full", {"only": ("fashion-93",), "peers": ("tutorial",)}, "fashion-93: no peer 'tutorial'; allowed: none"),
    ):
        with pytest.raises(UserError, match=message):
            next(suite.run_suite(suite_name, **named))


@pytest.mark.slow
def test_command_that_names_an_unknown_peer_gets_one_line():
    arguments = ("cpu-quick", "--only", "cifar10-94", "--peer", "fastai")
    message = refused(subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True))
    assert re.search("cifar10-94: no peer 'fastai'; allowed: .*airbench94 with Muon", message)


def test_peer_whose_package_is_missing_is_left_out_with_a_warning(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastai", None)
    program = Fastai("fashion-mnist", ResNetConfig(in_channels=1), epochs=1)
    ours = Contender("ours", Ours(tutorial("fashion-mnist", epochs=1)), 1, "the recipe")
    contest = Contest("fashion-80", 0.8, (ours, Contender("fastai", program, 1, "told")))
    with pytest.warns(UserWarning, match=r"fastai is left out: fastai is not installed; pip install 'fastresnet\[peers\]'"):
        assert suite._without_missing(contest, choose_device("cpu")).contenders == (ours,)


def test_fastai_trains_on_the_same_images():
    pytest.importorskip("fastcore", reason="fastai is an extra")
    dataset = load_dataset("fashion-sample")
    program = Fastai("fashion-mnist", ResNetConfig(in_channels=1), epochs=1)
    program.check(choose_device("cpu"))
    few = program.run(dataset, choose_device("cpu"), seed=0, steps=2)
    assert few.epochs == pytest.approx(2 * 128 / len(dataset.train))
    assert 0 < few.train_seconds < few.evaluations[-1].seconds
    whole = replace(program, epochs=2).run(replace(dataset, train=dataset.train.subset(256)), choose_device("cpu"), seed=0)
    assert [each.epochs for each in whole.evaluations] == [1, 2]
    assert whole.evaluations[0].seconds < whole.train_seconds < whole.evaluations[1].seconds


def test_airbench_needs_a_gpu():
    with pytest.raises(UserError, match="NVIDIA GPU only"):
        Airbench(94, epochs=9.9).check(choose_device("cpu"))


def test_table_of_airbench_is_read():
    row = "|  {:>6}  |  {:>5}  |  {:>10}  |  {:>9}  |  {:>7}  |  {:>11}  |  {:>18}  |".format
    printed = [
        row("run", "epoch", "train_loss", "train_acc", "val_acc", "tta_val_acc", "total_time_seconds"),
        row("0", "0", "1.9", "0.4", "0.5", "", "0.4000"),
        row("", "1", "1.2", "0.9", "0.9312", "", "3.7000"),
        row("", "eval", "1.2", "0.9", "0.9312", "0.9404", "3.8000"),
        "-" * 40,
    ]
    assert parse_airbench("\n".join(printed)) == (3.7, 3.8, 0.9404)
