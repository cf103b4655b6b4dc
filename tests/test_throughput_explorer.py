"""The explorer of batch sizes shows what the records hold, at the sizes that were measured and nowhere else."""

import pytest

from fastresnet import report
from fastresnet.errors import UserError
from fastresnet.study import open_study
from fastresnet.study.project import committed_results
from fastresnet.widgets import ThroughputExplorer

from .conftest import accessibility_findings

F6_SIZES = [128, 256, 512, 1024, 2048, 2560, 3072, 3584, 4096, 4500, 5096]


@pytest.fixture(scope="module")
def families():
    """The first family of each experiment; of F5 the one at half precision."""
    found = ThroughputExplorer(committed_results()).families
    return {each["experiment"]: each for each in reversed(found) if "fp32" not in each["series"]}


@pytest.fixture
def shown(show):
    return lambda experiment="F6", **look: show(
        ThroughputExplorer(committed_results(), experiment), ".throughput-explorer circle", **look
    )


def reading(page, name):
    """The value of the table's row of this name."""
    table = page.locator(".throughput-explorer table")
    row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))
    return row.locator("td").text_content().replace("\u00a0", " ")


@pytest.mark.parametrize("experiment", ["F1", "F2", "F6"])
def test_every_timed_run_is_in_its_point(families, experiment):
    results = open_study("fashionmnist_speed", edition="cpu").recorded(experiment)
    points = {f"batch {point['batch_size']}": point for point in families[experiment]["points"]}
    assert set(points) == set(results.records)
    for variant, records in results.records.items():
        parts = report.step_parts(records)
        assert points[variant]["parts"] == {part: pytest.approx(parts[part].tolist()) for part in parts}
        assert points[variant]["image_seconds"] == pytest.approx(parts.sum(axis=1).tolist())
        assert points[variant]["memory_bytes"] == [record.peak_memory_bytes for record in records]
        assert points[variant]["accuracies"] == []  # tested on 100 images after a few steps: no accuracy


def test_runs_of_equal_epochs_on_one_hardware_have_their_accuracies(families):
    results = open_study("cifar10_accuracy", edition="cpu").recorded("C11")
    for point in families["C11"]["points"]:
        runs = results.records[f"batch {point['batch_size']}"]
        alike = [record for record in runs if report.hardware(record) == families["C11"]["hardware"]]
        assert point["accuracies"] == [record.test_accuracy for record in alike] != []
        assert point["image_seconds"] == [record.seconds.train / record.images_trained for record in alike]
        assert point["epochs"] == 20


def test_runs_that_differ_otherwise_are_families_of_their_own():
    explorer = ThroughputExplorer(committed_results(), "F5")
    assert {each["series"] for each in explorer.families if each["experiment"] == "F5"} == {
        "train.precision bf16",
        "train.precision fp32",
    }
    assert explorer.config.train.precision == "fp32"


@pytest.mark.browser
def test_table_says_what_the_chapter_s_does(shown):
    page = shown()
    results = open_study("fashionmnist_speed", edition="cpu").recorded("F6")
    table, runs = report.timed(results, epoch_images=60_000), len(results.seeds)
    slider = page.get_by_label("Measured sizes")
    for place, size in enumerate(F6_SIZES):
        slider.fill(str(place))
        assert reading(page, "Images per second") == f"{table.loc[f'batch {size}', 'images per second']} (n = {runs})"
        steps, images = table.loc[f"batch {size}", "steps"] // runs, max(1024, 2 * size)
        assert f"extrapolated from {steps} steps, {images:,} images" in page.locator("tbody").text_content()
        assert reading(page, "Steps of such an epoch") == f"{-(-60_000 // size):,}"
        assert reading(page, "Test accuracy") == "not measured: these runs of a few steps are only timed"


@pytest.mark.browser
def test_only_an_epoch_of_all_images_is_called_measured(load_script, families):
    page = load_script(ThroughputExplorer)
    family = families["C11"]
    whole = family["points"][0]
    part = {**whole, "train_images": 2_500, "steps": 900}
    names = [page.evaluate("([f, p]) => explorer.readingsOf(f, p)[1][0]", [family, point]) for point in (part, whole)]
    start = "Seconds per epoch of all 50,000 images, "
    assert names == [f"{start}extrapolated from 900 steps, 2,500 images", f"{start}measured"]


@pytest.mark.browser
def test_keys_and_pointer_move_along_what_was_measured(shown):
    page = shown()
    status = page.get_by_role("status")
    slider = page.get_by_label("Measured sizes")
    slider.focus()
    page.keyboard.press("End")
    assert status.text_content().startswith("Batch size 5096: ")
    page.keyboard.press("ArrowLeft")
    assert status.text_content().startswith("Batch size 4500: ")
    rates = page.locator(".drag").first.bounding_box()
    page.mouse.move(rates["x"] + 60, rates["y"] + 90)
    page.mouse.down()
    assert status.text_content().startswith("Batch size 128: ")
    seen = []
    for x in range(60, int(rates["width"]), 4):
        page.mouse.move(rates["x"] + x, rates["y"] + 90)
        seen.append(int(status.text_content().split(":")[0].removeprefix("Batch size ")))
    page.mouse.up()
    assert list(dict.fromkeys(seen)) == F6_SIZES
    page.mouse.move(rates["x"] + 60, rates["y"] + 90)
    assert status.text_content().startswith("Batch size 5096: ")  # the pointer that is up chooses nothing
    bars = page.locator(".drag").nth(1).bounding_box()
    page.mouse.click(bars["x"] + bars["width"] * 4.5 / 11, bars["y"] + 100)
    assert status.text_content().startswith("Batch size 2048: ")


@pytest.mark.browser
def test_chosen_experiment_brings_its_batch_sizes(shown, families):
    page = shown()
    page.get_by_label("Experiment").select_option("F5")
    page.get_by_label("Setting").select_option("train.precision fp32")
    assert page.get_by_role("img", name="Images per second").locator("circle").count() == 2
    page.get_by_label("Chapter").select_option("cifar10_accuracy")
    page.get_by_label("Experiment").select_option("C11")
    page.get_by_label("Measured sizes").fill("1")
    accuracies = families["C11"]["points"][1]["accuracies"]
    wanted = f"{100 * sum(accuracies) / len(accuracies):.2f} "
    assert reading(page, "Test accuracy after 20 epochs").startswith(wanted)
    assert reading(page, "Parts of a step") == "not timed"
    assert page.get_by_label("Setting").count() == 0


@pytest.mark.browser
# 346: what the book leaves of a telephone's 380 pixels, and a margin
@pytest.mark.parametrize(("width", "theme", "experiment"), [(346, "light", "F6"), (1600, "dark", "C11")])
def test_explorer_is_accessible_and_fits(shown, width, theme, experiment):
    page = shown(experiment, width=width, theme=theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not accessibility_findings(page)


def test_chosen_batch_size_is_its_records():
    explorer = ThroughputExplorer(committed_results(), "F6")
    assert explorer.family == "fashionmnist_speed/F6/cpu/AMD EPYC (AVX512), 2 threads/"
    assert explorer.batch_size == 128
    explorer.set_state({"batch_size": 2048})  # as the browser sends it
    assert explorer.config.data.batch_size == 2048
    seeds = open_study("fashionmnist_speed", edition="cpu").experiment("F6").seeds
    assert [(record.config.data.batch_size, record.seed) for record in explorer.records] == [(2048, seed) for seed in seeds]
    f1 = next(each["id"] for each in explorer.families if each["experiment"] == "F1")
    explorer.set_state({"family": f1, "batch_size": 1024})
    assert (explorer.config.data.image_size, explorer.batch_size) == (96, 1024)
    explorer.family = next(each["id"] for each in explorer.families if each["experiment"] == "F2")
    assert explorer.batch_size == 128  # 1024 was not measured there


def test_what_was_not_measured_is_refused(tmp_path):
    explorer = ThroughputExplorer(committed_results(), "F1")
    with pytest.raises(UserError, match="batch_size: 300 was not measured; allowed: 128, 256, 512, 1024"):
        explorer.batch_size = 300
    with pytest.raises(UserError, match="family: no family 'F99'"):
        explorer.family = "F99"
    with pytest.raises(UserError, match="no runs of several batch sizes in 'F3'; allowed: M0, M2b, F1,"):
        ThroughputExplorer(committed_results(), "F3")
    with pytest.raises(UserError, match="holds no records"):
        ThroughputExplorer(tmp_path)
