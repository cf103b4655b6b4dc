"""The benchmark: a few steps stand for the whole run, and a table says which is which."""

import json

import numpy as np
import pytest

from fastresnet.bench import report, suite
from fastresnet.bench.contenders import Contender, Contest, airbench_muon
from fastresnet.bench.rows import Row
from fastresnet.data.sources import load_dataset
from fastresnet.device import choose_device
from fastresnet.errors import UserError
from fastresnet.recipes import find_recipe

from .conftest import command, refused

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
            Contender("ours", config, 1, "the recipe"),
            Contender("long", slow, 3_000, "told"),
            Contender("unknown", slow, None, "not recorded"),
        ),
    )
    device = choose_device("cpu")
    return list(
        suite._run_contest(
            contest, load_dataset("fashion-sample"), device, 2, 60.0, {"fp32": suite.convolution_peak(device, "fp32")}
        )
    )


def test_short_contender_is_run_whole_and_long_one_over_a_few_steps(rows):
    ours, long, unknown = rows
    assert (ours.whole_runs, long.whole_runs, unknown.whole_runs) == (True, False, False)
    assert ours.passed in (0.0, 0.5, 1.0)
    assert long.passed is None
    assert long.seconds == pytest.approx(3_000 * long.epoch_seconds)
    assert unknown.seconds is None
    assert all(0 < row.share_of_peak < 1.5 for row in rows)
    assert all(0 < row.outside_model < 1 for row in rows)


def test_ratios_compare_seconds_or_else_epochs(rows):
    text = report.ratios(rows)
    assert text.count("\n") == 1
    assert "long" in text.splitlines()[0]
    assert "to 30.00%" in text.splitlines()[0]
    assert text.splitlines()[1].endswith("times ours, an epoch")


def test_json_holds_the_rows_and_the_machine(rows, tmp_path):
    content = json.loads(report.write_json(rows, tmp_path / "bench.json").read_text())
    assert [Row.model_validate_json(json.dumps(row)) for row in content["rows"]] == rows
    assert content["machine"]["device"] == "cpu"
    assert "torch" in content["versions"]


def test_few_steps_have_the_sizes_of_the_whole_run_in_its_proportions():
    config = find_recipe("cifar10-83").config("cpu")
    dataset = load_dataset("cifar10-standin")
    few = suite.few_steps(config, dataset, 10)
    (first, start), (second, end) = few.data.size_curriculum
    assert suite.num_steps(few, dataset) == 10
    assert (first, start, end) == (0, 24, 32)
    assert second / few.train.epochs == pytest.approx(config.data.size_curriculum[1][0] / config.train.epochs)


def test_interval_of_the_median_covers_it():
    values = list(np.random.default_rng(0).normal(10, 1, 15))
    low, high = suite.median_interval(values)
    assert min(values) <= low <= np.median(values) <= high <= max(values)
    assert suite.median_interval([2.0]) == (2.0, 2.0)


def test_strong_peer_has_the_published_shape():
    """0.236 GFLOP forward an image (Jordan, 2024), so three times that for a step, less the first layer's."""
    from fastresnet.models.build import build_model
    from fastresnet.timing import training_flops_per_image

    flops = training_flops_per_image(build_model(airbench_muon("bf16").model, 0), (3, 32, 32))
    assert 0.68e9 < flops < 0.72e9


def test_unknown_suite_is_refused():
    with pytest.raises(UserError, match="allowed: cpu-quick, cpu-full, gpu"):
        next(suite.run_suite("cpu"))
    assert "no suite 'cpu'" in refused(command("bench", "cpu"))
