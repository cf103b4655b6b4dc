"""The explorer of runs shows every record, its front is one, and each point leads to its run."""

import pytest

from fastresnet.errors import UserError
from fastresnet.records.store import Store, load_frame
from fastresnet.study.project import committed_results
from fastresnet.widgets import RunExplorer

from .conftest import accessibility_findings


@pytest.fixture(scope="module")
def explorer():
    return RunExplorer(committed_results())


@pytest.fixture
def page(show, explorer):
    return show(explorer, ".run-explorer tbody tr")


def test_every_run_evaluated_on_test_images_is_a_point(explorer):
    frame = load_frame(committed_results())
    tested = frame["data.validation_images"] == 0
    assert not tested.all()
    finished = frame[tested & (frame.outcome == "finished") & frame.test_accuracy.notna() & ~(frame["data.test_images"] < 1000)]
    assert len(explorer.runs) == len(finished) > 400
    assert sum(run["accuracy"] for run in explorer.runs) == pytest.approx(finished.test_accuracy.sum())
    assert {run["edition"] for run in explorer.runs} <= {"quick", "cpu", "gpu", "of its own"}


def test_chosen_run_is_its_record():
    fresh = RunExplorer(committed_results())
    assert fresh.record is None
    run = fresh.runs[7]
    fresh.set_state({"selected": run["id"]})  # as the browser sends it
    assert (fresh.record.config_hash, fresh.record.seed) == (run["config"], int(run["seed"]))
    with pytest.raises(UserError, match="no run 'nowhere'"):
        fresh.selected = "nowhere"


def test_folder_without_records_of_finished_runs_is_refused(tmp_path, record):
    with pytest.raises(UserError, match="holds no records"):
        RunExplorer(tmp_path)
    diverged = record.model_copy(update={"outcome": record.outcome.model_copy(update={"status": "diverged"})})
    Store(tmp_path).save(diverged, "study", "experiment", "variant")
    with pytest.raises(UserError, match="no record of a finished run"):
        RunExplorer(tmp_path)


def front_of(runs, cost):
    """Runs that no other one beats in cost and accuracy both, found by comparing all with all."""

    def beaten(run):
        return any(
            other[cost] <= run[cost]
            and other["accuracy"] >= run["accuracy"]
            and (other[cost], other["accuracy"]) != (run[cost], run["accuracy"])
            for other in runs
        )

    return {(run[cost], run["accuracy"]) for run in runs if not beaten(run)}


@pytest.mark.browser
@pytest.mark.parametrize("cost", ["seconds", "epochs", "flops"])
def test_front_is_what_no_run_beats(page, explorer, cost):
    page.get_by_label("Cost").select_option(cost)
    wanted = front_of([run for run in explorer.runs if run["dataset"] == "cifar10"], cost)
    shown = page.locator("tbody td:nth-of-type(2)").all_text_contents()
    assert shown == [f"{100 * accuracy:.2f} %" for _, accuracy in sorted(wanted, reverse=True)]


@pytest.mark.browser
def test_every_run_on_a_data_set_is_shown_at_first_by_its_operations(page, explorer):
    page.get_by_label("Experiment").select_option("C7")
    for dataset in ("fashion-mnist", "cifar10"):
        page.get_by_label("Data set").select_option(dataset)
        runs = sum(run["dataset"] == dataset for run in explorer.runs)
        assert page.get_by_role("status").text_content().startswith(f"{runs} of ")
    assert page.get_by_label("Cost").input_value() == "flops"


@pytest.mark.browser
def test_filters_leave_the_runs_they_name(page, explorer):
    page.get_by_label("Experiment").select_option("C7")
    wanted = [run for run in explorer.runs if run["experiment"] == "C7" and run["dataset"] == "cifar10"]
    assert page.get_by_role("status").text_content() == f"{len(wanted)} of {len(explorer.runs)} runs"
    assert page.get_by_label("Chapter").locator("option").all_text_contents() == ["all", "cifar10_accuracy"]


@pytest.mark.browser
def test_choice_outlives_a_reload(page, explorer):
    page.get_by_label("Data set").select_option("fashion-mnist")
    page.get_by_label("Cost").select_option("epochs")
    page.get_by_label("Step through the runs").press("Home")
    title = page.locator(".detail .title").text_content()
    count = page.get_by_role("status").text_content()
    page.reload()
    page.wait_for_selector(".detail .title")
    assert (page.get_by_label("Data set").input_value(), page.get_by_label("Cost").input_value()) == ("fashion-mnist", "epochs")
    assert (page.locator(".detail .title").text_content(), page.get_by_role("status").text_content()) == (title, count)
    slider = page.get_by_label("Step through the runs")
    assert slider.input_value() == "0"  # Home chose the first, although the slider stood there


@pytest.mark.browser
def test_plot_is_drawn_anew_for_paper(show, explorer):
    page = show(explorer, ".run-explorer tbody tr", theme="dark")
    page.add_style_tag(content="@media print { body { color: black !important; --pst-color-text-base: black !important } }")
    black = """(canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const dark = (end) => data[end - 3] + data[end - 2] + data[end - 1] < 30;
        return data.some((alpha, index) => index % 4 === 3 && alpha === 255 && dark(index));
    }"""
    assert not page.locator("canvas").evaluate(black)
    page.emulate_media(media="print")
    page.wait_for_timeout(200)
    assert page.locator("canvas").evaluate(black)


@pytest.mark.browser
def test_pointer_and_keys_lead_to_a_run(page, explorer):
    page.get_by_label("Cost").select_option("seconds")
    page.get_by_label("Experiment").select_option("C7")
    slider = page.get_by_label("Step through the runs")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("End")
    dearest = max((run for run in explorer.runs if run["experiment"] == "C7"), key=lambda run: run["seconds"])
    title = page.locator(".detail .title")
    assert title.text_content().startswith(f"C7: {dearest['variant']}, seed {dearest['seed']}")
    assert page.locator(".detail path.curve").get_attribute("d").count("L") == len(dearest["curve"]) - 1
    page.get_by_role("button", name="Show").last.click()
    cheapest = min((run for run in explorer.runs if run["experiment"] == "C7"), key=lambda run: run["seconds"])
    assert title.text_content().startswith(f"C7: {cheapest['variant']}, seed {cheapest['seed']}")
    # the dearest run lies at the right end: sweep there until the pointer finds it
    box = page.locator("canvas").bounding_box()
    page.locator("canvas").scroll_into_view_if_needed()
    for y in range(10, int(box["height"]), 8):
        for right in (60, 50, 40, 30):
            page.locator("canvas").hover(position={"x": box["width"] - right, "y": y})
            if title.text_content().startswith(f"C7: {dearest['variant']}, seed {dearest['seed']}"):
                return
    pytest.fail("no point of the canvas leads to the dearest run")


@pytest.mark.browser
@pytest.mark.parametrize("width", [380, 1600])
def test_explorer_is_accessible_and_fits(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.get_by_label("Step through the runs").fill("5")
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not accessibility_findings(page)
