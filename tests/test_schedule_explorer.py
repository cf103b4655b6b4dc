"""The explorer's curves are the library's, what is copied from it works, and it can be used with pointer and keys."""

from typing import get_args

import nbformat
import pytest
import torch
import traitlets
import yaml
from nbconvert import HTMLExporter

from fastresnet.config import TrainConfig
from fastresnet.config.parsing import parse
from fastresnet.config.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Linear,
    MultiStep,
    OneCycle,
    PiecewiseLinear,
    Plateau,
    Schedule,
)
from fastresnet.errors import UserError
from fastresnet.study import open_study
from fastresnet.widgets import PUBLISHED, Preset, ScheduleExplorer, recorded_losses, recorded_presets

from .conftest import accessibility_findings
from .schedule_cases import LOSSES, SCHEDULES

RUNS = ((1, 7), (10, 100), (7, 33), (24, 40))
GRID = [(schedule, *run) for schedule in SCHEDULES for run in RUNS]


@pytest.fixture(scope="module")
def module(load_script):
    return load_script(ScheduleExplorer)


@pytest.fixture
def shown(show):
    return lambda explorer=None, **look: show(explorer or ScheduleExplorer(), "path.curve[d]", **look)


def wanted(schedule, epochs, per_epoch):
    """The library's rate and momentum of each step."""
    total = epochs * per_epoch
    steps = range(total)
    losses = [LOSSES[: step // per_epoch] for step in steps]
    return [schedule(step, total, losses[step]) for step in steps], [schedule.momentum(step, total) for step in steps]


def path_of(page):
    return page.locator("path.curve").first.get_attribute("d")


def code_of(page, name):
    return page.locator(f'pre[data-code="{name}"]').text_content()


def schedule_of(page):
    return yaml.safe_load(code_of(page, "yaml"))["train"]["schedule"]


def enter(page, label, text):
    field = page.get_by_label(label, exact=True)
    field.fill(text)
    page.keyboard.press("Tab")
    return field


def reopened(page, link=None):
    """Loads the page again, or opens a link in a fresh one, and waits for its curves."""
    if link is None:
        page.reload()
    else:
        page.goto("about:blank")
        page.goto(link)
    page.wait_for_selector("path.curve[d]", state="attached")


def drag(page, knot, right, down, grab=0):
    """Moves the pointer with a knot that it holds `grab` pixels off the centre."""
    box = knot.bounding_box()
    x, y = box["x"] + box["width"] / 2 + grab, box["y"] + box["height"] / 2 + grab
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=5)
    page.mouse.up()


@pytest.mark.browser
def test_curves_in_the_browser_are_the_library_s(module):
    ask = """([grid, losses]) => grid.map(([schedule, epochs, perEpoch]) => {
        const steps = [...Array(epochs * perEpoch).keys()];
        const momentum = explorer.momentumOf(schedule, epochs, perEpoch);
        return [steps.map(explorer.rateOf(schedule, epochs, perEpoch, losses)), momentum && steps.map(momentum)];
    })"""
    answers = module.evaluate(ask, [[[s.model_dump(mode="json"), *run] for s, *run in GRID], LOSSES])
    for (schedule, *run), (rates, momenta) in zip(GRID, answers, strict=True):
        rates_wanted, momenta_wanted = wanted(schedule, *run)
        assert rates == pytest.approx(rates_wanted, rel=0, abs=1e-6), (schedule, run)
        assert (momenta is None) == (momenta_wanted[0] is None)
        if momenta:
            assert momenta == pytest.approx(momenta_wanted, rel=0, abs=1e-6), (schedule, run)


@pytest.mark.browser
def test_every_kind_of_the_library_can_be_chosen(module):
    kinds = {each.model_fields["kind"].default for each in get_args(get_args(Schedule)[0])}
    assert set(module.evaluate("Object.keys(explorer.KINDS)")) == kinds == {each.kind for each in SCHEDULES}


@pytest.mark.browser
def test_copied_yaml_is_the_same_schedule(module):
    texts = module.evaluate("(all) => all.map(explorer.toYaml)", [each.model_dump(mode="json") for each in SCHEDULES])
    for schedule, text in zip(SCHEDULES, texts, strict=True):
        assert parse(yaml.safe_load(text)["train"], TrainConfig, "copied").schedule == schedule


def torch_curve(code, steps, per_epoch):
    """Rate and momentum of each step as the copied code sets them."""
    names = {"model": torch.nn.Linear(1, 1)}
    exec(code, names)
    optimizer, scheduler = names["optimizer"], names["scheduler"]
    values = []
    for step in range(steps):
        values.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        if not isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step()
        elif step % per_epoch == per_epoch - 1:
            scheduler.step(LOSSES[step // per_epoch])
    return values


@pytest.mark.browser
@pytest.mark.parametrize("run", [(1, 7), (1, 10), (4, 32), (12, 20)])
def test_copied_pytorch_code_gives_the_same_curve(module, run):
    there = [*SCHEDULES, OneCycle(max_lr=0.1, warmup=0.96, momentum_range=(0.8, 0.95)), CosineRestarts(lr=0.1, num_cycles=12)]
    codes = module.evaluate(
        "([all, run]) => all.map((s) => explorer.toTorch(s, ...run))", [[s.model_dump(mode="json") for s in there], run]
    )
    for schedule, code in zip(there, codes, strict=True):
        rates, momenta = wanted(schedule, *run)
        curve = torch_curve(code, len(rates), run[1])
        assert [lr for lr, _ in curve] == pytest.approx(rates, rel=0, abs=1e-6), code
        if momenta[0] is not None:
            assert [momentum for _, momentum in curve] == pytest.approx(momenta, rel=0, abs=1e-6), code


@pytest.mark.browser
def test_moving_a_slider_moves_the_curve_the_table_and_the_code(shown):
    page = shown()
    before = path_of(page)
    page.get_by_label("Warm-up, share of the run, slider").fill("700")
    assert path_of(page) != before
    enter(page, "Maximal rate", "0.25")
    assert schedule_of(page)["max_lr"] == 0.25
    assert "max_lr=0.25" in code_of(page, "torch")
    assert page.locator("tbody tr").first.locator("td").first.text_content() == "0.25"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("kind", "label", "text", "message"),
    [
        ("one-cycle", "Maximal rate", "-1", "above 0"),
        ("one-cycle", "Maximal rate", "1e308", "at most 1000000"),
        ("one-cycle", "Maximal rate", "1e-300", "at least 1e-30"),
        ("one-cycle", "Maximal rate", "0x10", "a number"),
        ("one-cycle", "Maximum / first rate", "1e300", "at most 1e+30"),
        ("one-cycle", "Epochs", "2.5", "a whole number"),
        ("plateau", "Patience, epochs", "3000000000", "at most 2147483647"),
        ("multi-step", "Factor", "1e+25", "small enough for rates of at most 1e+30"),
        ("plateau", "Factor", "1", "below 1"),
        ("exponential", "Last rate", "0", "above 0"),
        ("multi-step", "Milestones, shares of the run", "0.5, 0.75,", "shares of the run like 0.5, 0.75"),
        ("piecewise-linear", "Knots, share of the run: rate", "0: 0.1, 1:", "pairs of share and rate like 0: 0.02, 1: 0.1"),
    ],
)
def test_what_cannot_be_is_refused_with_a_message(shown, kind, label, text, message):
    page = shown()
    page.get_by_label("Shape").select_option(kind)
    before = path_of(page)
    field, status = enter(page, label, text), page.get_by_role("status")
    assert status.text_content() == f'{label}: must be {message}, got "{text}"'
    assert field.get_attribute("aria-describedby") == status.get_attribute("id")
    assert status.bounding_box()["y"] - field.bounding_box()["y"] < 80
    assert path_of(page) == before


@pytest.mark.browser
def test_message_goes_once_the_value_is_allowed(shown):
    page = shown()
    for value, wrong in (("-1", True), ("1", False)):
        field = enter(page, "Maximal rate", value)
        assert bool(page.get_by_role("status").text_content()) == wrong
        assert (field.get_attribute("aria-invalid") == "true") == wrong
        assert (field.get_attribute("aria-describedby") is not None) == wrong


@pytest.mark.browser
def test_refused_value_goes_with_its_message(shown):
    page = shown()
    field = enter(page, "Maximal rate", "-1")
    page.get_by_label("Warm-up, share of the run, slider").fill("700")
    assert page.get_by_role("status").text_content() == ""
    assert (field.input_value(), field.get_attribute("aria-invalid")) == ("0.1", None)


@pytest.mark.browser
def test_every_shape_can_be_chosen_and_compared(shown):
    page = shown(ScheduleExplorer(losses={"a run": LOSSES}, epochs=16))
    shape = page.get_by_label("Shape")
    keep = page.get_by_text("Keep for comparison")
    for kept, option in enumerate(page.locator("select[id$=kind] option").evaluate_all("(all) => all.map((each) => each.value)")):
        shape.select_option(option)
        assert parse(yaml.safe_load(code_of(page, "yaml"))["train"], TrainConfig, option).schedule.kind == option
        assert shape.input_value() == option
        if kept < 5:
            keep.press("Enter")
            assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Readings of the curves"
            assert page.locator("tbody tr").count() == kept + 2
        assert keep.is_disabled()  # what is kept already, and a seventh curve
    page.get_by_label("Remove curve 2").click()
    assert page.locator("tbody tr").count() == 5
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Readings of the curves"


@pytest.mark.browser
def test_knots_follow_pointer_and_keys(shown):
    page = shown(ScheduleExplorer(PiecewiseLinear(points=((0, 0), (0.5, 0.1), (1, 0)))))
    knot = page.locator('[data-knot="1"]')
    knot.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert schedule_of(page)["points"][1] == pytest.approx([0.51, 0.105])
    box = knot.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    reader = page.get_by_label("Read at")
    read = reader.input_value()
    assert int(read) > 0
    page.mouse.down()
    page.mouse.move(x - 150, y + 60, steps=5)
    page.mouse.up()
    assert reader.input_value() == read
    assert schedule_of(page)["points"][1][0] < 0.45
    assert 0.03 < schedule_of(page)["points"][1][1] < 0.095
    page.mouse.move(x, y)
    assert len(schedule_of(page)["points"]) == 3
    page.get_by_text("Add a knot").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert len(schedule_of(page)["points"]) == 5
    page.get_by_text("Remove a knot").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert len(schedule_of(page)["points"]) == 3


@pytest.mark.browser
def test_knot_is_moved_by_what_the_pointer_moves_and_to_no_rate_that_is_refused(shown):
    page = shown(ScheduleExplorer(PiecewiseLinear(points=((0, 0.1), (0.5, 0.3), (1, 0.1))), scale="log"))
    knot = page.locator('[data-knot="1"]')
    drag(page, knot, 0, 1, grab=4)
    assert schedule_of(page)["points"][1][1] == pytest.approx(0.3, rel=0.02)
    assert page.evaluate("document.activeElement.dataset.knot") == "1"
    for _ in range(8):
        drag(page, knot, 0, -250)
    assert schedule_of(page)["points"][1][1] == 1e6
    assert float(knot.get_attribute("aria-valuemax")) == 1e6


@pytest.mark.browser
def test_key_moves_a_knot_in_one_direction_and_small_rates_too(shown):
    page = shown(ScheduleExplorer(PiecewiseLinear(points=((0, 0.1), (0.33333, 0.12345), (0.5, 5e-5), (1, 0)))))
    page.locator('[data-knot="1"]').press("ArrowRight")
    assert schedule_of(page)["points"][1] == pytest.approx([0.3433, 0.12345])
    page.locator('[data-knot="1"]').press("ArrowUp")
    assert schedule_of(page)["points"][1] == pytest.approx([0.3433, 0.13])
    page.locator('[data-knot="2"]').press("ArrowDown")
    assert schedule_of(page)["points"][2] == pytest.approx([0.5, 4.76e-5])


@pytest.mark.browser
def test_button_is_pressed_also_where_that_ends_a_correction(shown):
    page = shown(ScheduleExplorer(OneCycle(max_lr=0.1)))
    enter(page, "Maximal rate", "x").fill("0.2")
    page.get_by_text("Keep for comparison").click()
    assert page.locator("tbody th").count() == 2
    page.get_by_label("Shape").select_option("constant")
    assert page.locator(".message").text_content() == ""


@pytest.mark.browser
def test_slider_leads_back_to_zero_where_that_is_allowed(shown):
    page = shown(ScheduleExplorer(Linear(start_lr=0.1)))
    slider = page.get_by_label("Last rate, slider")
    slider.press("ArrowRight")
    slider.press("Home")
    assert schedule_of(page)["end_lr"] == 0


@pytest.mark.browser
def test_knot_that_moves_takes_refused_text_along(shown):
    page = shown(ScheduleExplorer(PiecewiseLinear(points=((0, 0.1), (1, 0)))))
    knots = enter(page, "Knots, share of the run: rate", "0: 0.1, 1:")
    assert knots.get_attribute("aria-invalid") == "true"
    page.locator('[data-knot="0"]').press("ArrowUp")
    assert (knots.get_attribute("aria-invalid"), knots.input_value()) == (None, "0: 0.105, 1: 0")
    assert page.locator(".message").text_content() == ""
    page.get_by_text("Remove a knot").click()
    assert page.locator(".message").text_content() == "A curve needs two knots."
    page.get_by_text("Add a knot").click()
    assert page.locator(".message").text_content() == ""


@pytest.mark.browser
def test_milestones_with_a_decimal_comma_are_not_taken_for_others(shown):
    page = shown(ScheduleExplorer(MultiStep(lr=0.1, milestones=(0.5,))))
    enter(page, "Milestones, shares of the run", "0,1")
    assert 'must be written with points, like 0.1, got "0,1"' in page.locator(".message").text_content()
    assert "0.5" in code_of(page, "yaml")


@pytest.mark.browser
def test_plateau_says_where_its_loss_ends(shown):
    page = shown(ScheduleExplorer(Plateau(lr=0.1)))
    assert page.locator(".sources").text_content() == "Without the loss of a run, a plateau's rate is never lowered."
    page = shown(ScheduleExplorer(Plateau(lr=0.1), losses={"a": [1.0, 0.5]}, loss_curve="a", epochs=3))
    assert page.locator(".sources").text_content().startswith("The recorded loss ends after epoch 2")
    enter(page, "Epochs", "2")
    assert page.locator(".sources").text_content() == ""


@pytest.mark.browser
def test_way_back_undoes_nothing(shown):
    page = shown()
    page.get_by_text("Copy a link to this").click()
    page.get_by_label("Shape").select_option("cosine")
    drawn = path_of(page)
    reopened(page)
    page.evaluate("location.hash = '#a-heading'")
    page.go_back()
    page.wait_for_function("location.hash.startsWith('#schedules=')")
    assert path_of(page) == drawn


@pytest.mark.browser
def test_narrow_peak_is_drawn(shown):
    points = ((0, 0.01), (0.4995, 0.01), (0.5001, 1), (0.5007, 0.01), (1, 0))
    page = shown(ScheduleExplorer(PiecewiseLinear(points=points), epochs=40, steps_per_epoch=400))
    highest = page.locator("path.curve").first.evaluate("path => path.getBBox().y")
    assert highest - float(page.locator('[data-knot="2"]').get_attribute("cy")) < 20


@pytest.mark.browser
def test_knots_close_to_each_other_stay_in_order(shown):
    page = shown(ScheduleExplorer(PiecewiseLinear(points=((0.3331, 0.1), (0.3335, 0.2), (0.3339, 0.3)))))
    page.locator('[data-knot="1"]').press("ArrowRight")
    page.get_by_text("Add a knot").press("Enter")
    points = schedule_of(page)["points"]
    assert len(points) == 4
    assert PiecewiseLinear(points=points)


@pytest.mark.browser
def test_knot_at_rate_0_stays_there_on_a_logarithmic_axis(shown):
    page = shown(ScheduleExplorer(PiecewiseLinear(points=((0, 0.1), (0.5, 0), (1, 0.1))), scale="log"))
    drag(page, page.locator('[data-knot="1"]'), 40, 0)
    _, (at, lr), _ = schedule_of(page)["points"]
    assert at > 0.5
    assert lr == 0


@pytest.mark.browser
def test_what_is_chosen_outlives_a_reload_and_the_way_back(shown):
    page = shown()
    page.get_by_label("Shape").select_option("cosine")
    enter(page, "Epochs", "7")
    drawn = path_of(page)
    reopened(page)
    assert (path_of(page), page.get_by_label("Shape").input_value()) == (drawn, "cosine")
    page.goto("about:blank")
    page.go_back()
    page.wait_for_selector("path.curve[d]", state="attached")
    assert path_of(page) == drawn
    assert page.get_by_label("Epochs", exact=True).input_value() == "7"


@pytest.mark.browser
def test_preset_and_kept_names_outlive_a_reload(shown):
    page = shown(ScheduleExplorer(presets=[*PUBLISHED, RECORDED]))
    shape = page.get_by_label("Shape")
    shape.select_option("falling")
    page.get_by_text("Keep for comparison").click()
    shape.select_option("C9, one cycle to 0.1")
    reopened(page)
    assert shape.locator("option:checked").text_content() == "C9, one cycle to 0.1"
    titles = page.locator("tbody th").all_text_contents()
    assert titles[0].startswith("1 Report: C9")
    assert titles[1].startswith("2 X1: falling")


@pytest.mark.browser
def test_link_that_is_opened_again_is_followed_again(shown):
    page = shown()
    page.get_by_text("Copy a link to this").click()
    link, drawn = page.url, path_of(page)
    page.get_by_label("Warm-up, share of the run, slider").fill("700")
    changed = path_of(page)
    reopened(page)
    assert path_of(page) == changed != drawn
    reopened(page, link)
    assert path_of(page) == drawn


@pytest.mark.browser
def test_pointer_on_the_curve_leaves_a_selection_of_the_code(shown):
    page = shown()
    page.locator("summary").first.click()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('[data-code=yaml]'))")
    chosen = page.evaluate("String(getSelection())")
    plot = page.locator(".plot").bounding_box()
    page.mouse.move(plot["x"] + 200, plot["y"] + 100)
    page.mouse.move(plot["x"] + 300, plot["y"] + 100)
    assert page.evaluate("String(getSelection())") == chosen != ""


@pytest.mark.browser
@pytest.mark.parametrize("schedule", [OneCycle(max_lr=0.1), Constant(lr=0.3), Linear(start_lr=0.6, end_lr=0.3)])
def test_logarithmic_axis_has_labels_up_to_the_highest_rate(shown, schedule):
    page = shown(ScheduleExplorer(schedule))
    page.get_by_label("Vertical axis").select_option("log")
    texts = page.locator("svg").first.locator('text[text-anchor="end"]').all_text_contents()
    labels = [text for text in texts if text != "step"]
    assert max(map(float, labels)) > 0.3 * max(wanted(schedule, 1, 100)[0])


@pytest.mark.browser
def test_whole_number_changes_by_one_with_an_arrow_key(shown):
    page = shown(ScheduleExplorer(steps_per_epoch=98))
    page.get_by_label("Steps per epoch, slider").press("ArrowRight")
    assert page.get_by_label("Steps per epoch", exact=True).input_value() == "99"
    epochs = page.get_by_label("Epochs", exact=True)  # its slider ends at 100
    epochs.fill("300")
    for key, value in (("ArrowRight", "300"), ("ArrowLeft", "299")):
        page.get_by_label("Epochs, slider").press(key)
        assert epochs.input_value() == value


@pytest.mark.browser
@pytest.mark.parametrize(("width", "theme"), [(380, "light"), (1600, "dark")])
def test_explorer_is_accessible_and_fits(shown, width, theme):
    explorer = ScheduleExplorer(PiecewiseLinear(points=((0, 0), (0.5, 0.1), (1, 0))), compared=[Cosine(lr=0.1)])
    page = shown(explorer, width=width, theme=theme)
    page.locator("summary").nth(0).click()
    page.locator("summary").nth(1).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not accessibility_findings(page)


@pytest.mark.browser
def test_state_cannot_end_the_script(shown):
    page = shown(ScheduleExplorer(losses={"</script><script>throw 1</script>": LOSSES}))
    assert page.get_by_label("Loss for a plateau").input_value() == "</script><script>throw 1</script>"


@pytest.mark.browser
def test_kept_curves_are_told_apart_by_their_settings(shown):
    compared = [OneCycle(max_lr=0.2), OneCycle(max_lr=0.1, warmup=0.5), Cosine(lr=0.1)]
    page = shown(ScheduleExplorer(OneCycle(max_lr=0.1), compared=compared))
    titles = [title.strip(" ×") for title in page.locator("tbody th").all_text_contents()]
    assert titles == [
        "1 One cycle: maximal rate 0.1; warm-up 0.3",
        "2 One cycle: maximal rate 0.2; warm-up 0.3",
        "3 One cycle: maximal rate 0.1; warm-up 0.5",
        "4 Cosine",
    ]


@pytest.mark.browser
def test_values_are_shown_as_one_writes_them(shown):
    by_hand = PiecewiseLinear(points=((0, 0.2 * 0.1), (0.1, 0.1), (1, 0)))
    page = shown(ScheduleExplorer(OneCycle(max_lr=0.1), compared=[by_hand], epochs=4, steps_per_epoch=32))
    assert (
        page.locator("tbody tr").first.locator("td").first.text_content() == "0.1"
    )  # no step falls on the peak: 0.09999 at most
    page = shown(ScheduleExplorer(by_hand))
    assert page.get_by_label("Knots, share of the run: rate").input_value() == "0: 0.02, 0.1: 0.1, 1: 0"


RECORDED = Preset(
    group="X1", about="a test", name="falling", schedule=Cosine(lr=0.3), epochs=8, steps_per_epoch=50,
    accuracy=((4, 0.5), (8, 0.625)), source="one run",
)  # fmt: skip


@pytest.mark.browser
def test_recorded_accuracy_is_shown_beside_the_schedule_of_its_runs(shown):
    page = shown(ScheduleExplorer(presets=[*PUBLISHED, RECORDED]))
    assert "recorded test accuracy" not in page.locator(".plot").text_content()
    shape = page.get_by_label("Shape")
    shape.select_option("falling")
    assert [page.get_by_label(label, exact=True).input_value() for label in ("Epochs", "Steps per epoch")] == ["8", "50"]
    assert shape.locator("option:checked").text_content() == "falling"
    assert "recorded test accuracy" in page.locator(".plot").text_content()
    assert page.locator("circle.recorded").count() == 2
    assert page.locator(".sources").text_content() == "X1, falling: 62.5 % after 8 epochs, one run"
    enter(page, "Learning rate", "0.2")
    assert page.locator("circle.recorded").count() == 0  # nobody has trained with this one
    assert shape.input_value() == "cosine"
    shape.select_option("falling")
    enter(page, "Epochs", "4")
    assert page.locator("circle.recorded").count() == 0  # nor as long as this
    assert shape.input_value() == "cosine"


@pytest.mark.browser
def test_accuracies_of_one_schedule_are_told_apart(shown):
    page = shown(ScheduleExplorer(presets=[RECORDED, RECORDED.model_copy(update={"name": "again"})]))
    page.get_by_label("Shape").select_option("again")
    looks = page.locator(".sources path").evaluate_all("(all) => all.map((each) => each.getAttribute('stroke-dasharray'))")
    assert len(looks) == len(set(looks)) == 2


@pytest.mark.browser
def test_accuracy_of_a_plateau_is_shown_with_the_loss_of_its_run(shown):
    preset = RECORDED.model_copy(update={"name": "its own", "schedule": Plateau(lr=0.1, patience=1)})
    page = shown(ScheduleExplorer(presets=[preset], losses={"another": [1, 1, 1, 1], "its own": [4, 3, 2, 1]}))
    page.get_by_label("Shape").select_option("its own")
    assert page.get_by_label("Loss for a plateau").input_value() == "its own"
    assert page.locator("circle.recorded").count() == 2
    page.get_by_label("Loss for a plateau").select_option("another")
    assert page.locator("circle.recorded").count() == 0


@pytest.mark.browser
def test_kept_preset_keeps_its_name_and_can_be_removed_on_a_telephone(shown):
    page = shown(ScheduleExplorer(presets=[RECORDED]), width=346)
    for option in ("falling", "cosine"):
        page.get_by_label("Shape").select_option(option)
        page.get_by_text("Keep for comparison").click()
    assert page.locator("tbody th").nth(1).text_content().startswith("2 X1: falling")
    box = page.get_by_role("button", name="Remove curve 2, X1: falling").bounding_box()
    assert box["x"] + box["width"] <= 346
    assert page.locator(".scroll").evaluate("box => box.scrollWidth - box.clientWidth") == 0
    page.get_by_text("Copy a link to this").click()
    somebody = page.context.browser.new_page()
    reopened(somebody, page.url)
    assert somebody.locator("tbody th").nth(1).text_content().startswith("2 X1: falling")
    somebody.close()


@pytest.mark.browser
def test_work_of_an_input_does_not_grow_with_the_run(shown):
    page = shown(ScheduleExplorer(Cosine(lr=0.1), compared=[Cosine(lr=0.2)], epochs=500, steps_per_epoch=1000))
    computed = page.evaluate("""() => {
        const [cosine, slider] = [Math.cos, document.querySelector('[aria-label="Learning rate, slider"]')];
        let times = 0;
        Math.cos = (angle) => (times += 1, cosine(angle));
        slider.value = 700;
        slider.dispatchEvent(new Event("input"));
        Math.cos = cosine;
        return times;
    }""")
    assert 800 < computed < 25_000  # of 500,000 steps
    assert path_of(page).count("L") < 800


@pytest.mark.browser
def test_executed_explorer_is_shown_by_nbconvert(browser, tmp_path):
    data, _ = ScheduleExplorer()._repr_mimebundle_()
    output = nbformat.v4.new_output("execute_result", data, execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("explorer", outputs=[output])])
    (tmp_path / "page.html").write_text(HTMLExporter().from_notebook_node(notebook)[0])
    page = browser.new_page()
    page.route("http*://**", lambda route: route.abort())  # the template asks for formulas' scripts
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("path.curve[d]", state="attached")
    page.close()


def test_presets_are_those_of_the_records():
    results = open_study("cifar10_accuracy").best_recorded("N2")
    presets = {preset.name: preset for preset in recorded_presets(results)}
    assert set(presets) == set(results.records)
    early = presets["early peak"]
    assert early.schedule.points == ((0.0, 0.02), (0.1, 0.1), (1.0, 0.0))
    finals = [record.test_accuracy for record in results.records["early peak"]]
    assert early.accuracy[-1] == pytest.approx((early.epochs, sum(finals) / len(finals)))
    (images,) = {
        f"{record.data.train_images:,} images, batch {record.config.data.batch_size}" for record in results.records["early peak"]
    }
    runs = "one run" if len(finals) == 1 else f"mean of {len(finals)} runs"
    assert early.source == f"{runs} on {images}, momentum 0.9"
    assert "momentum" not in presets["one-cycle"].source  # it moves


@pytest.mark.browser
def test_link_holds_the_state_and_restores_it(shown):
    page = shown(ScheduleExplorer(PiecewiseLinear(points=((0, 0), (0.5, 0.1), (1, 0))), compared=[OneCycle(max_lr=0.2)]))
    page.get_by_label("Epochs", exact=True).fill("7")
    page.get_by_label("Horizontal axis").select_option("epoch")
    page.get_by_text("Copy a link to this").click()
    link, table, code = page.url, page.locator("tbody").text_content(), code_of(page, "yaml")
    assert "#schedules=" in link
    reopened(page, link)
    assert (page.locator("tbody").text_content(), code_of(page, "yaml")) == (table, code)
    assert page.get_by_label("Epochs", exact=True).input_value() == "7"
    assert page.get_by_label("Horizontal axis").input_value() == "epoch"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": {"kind": "constructor"}}, 'no shape "constructor"'),
        ({"schedule": {"kind": "cosine", "lr": -1, "end_lr": 0}}, 'Learning rate: must be above 0, got "-1"'),
        ({"schedule": {"kind": "piecewise-linear", "points": 5}}, "must be pairs of share and rate like 0: 0.02, 1: 0.1, got"),
        (
            {"schedule": {"kind": "multi-step", "lr": 1, "milestones": [0.1] * 11, "factor": 1e30}, "scale": "log"},
            'Factor: must be small enough for rates of at most 1e+30, got "1e+30"',
        ),
        ({"epochs": 1e9}, 'Epochs: must be at most 500, got "1000000000"'),
        ({"compared": [{"kind": "constant", "lr": 1}] * 6}, "compared: must be at most 5 schedules"),
        ({"axis": "<b>"}, 'axis: no "<b>"'),
    ],
)
def test_link_of_impossible_state_is_refused_with_a_message(shown, change, message):
    page = shown()
    before = path_of(page)
    state = {"schedule": {"kind": "constant", "lr": 0.1}, "compared": [], "epochs": 1, "steps_per_epoch": 1}
    state |= {"loss_curve": "", "axis": "step", "scale": "linear"}
    page.evaluate("(state) => { location.hash = '#schedules=' + encodeURIComponent(JSON.stringify(state)) }", state | change)
    page.wait_for_function("document.querySelector('[role=status]').textContent")
    assert message in page.get_by_role("status").text_content()
    assert path_of(page) == before


def test_explorer_takes_a_schedule_or_its_mapping():
    explorer = ScheduleExplorer({"kind": "cosine", "lr": 0.1})
    assert explorer.schedule == Cosine(lr=0.1)
    explorer.schedule = Constant(lr=1)
    assert TrainConfig(schedule=explorer.schedule).schedule == Constant(lr=1)
    explorer.set_state({"schedule": {"kind": "linear", "start_lr": 1, "end_lr": 0}})  # as the browser sends it
    assert explorer.schedule == Linear(start_lr=1)
    assert explorer.get_state("schedule")["schedule"] == {"kind": "linear", "start_lr": 1.0, "end_lr": 0.0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "cosine", "lr": -1}, "lr: Input should be greater than 0"),
        ({"kind": "saw"}, "no such kind, got 'saw'; allowed: .*cosine-restarts"),
        (0.1, "expected"),
    ],
)
def test_impossible_schedule_is_refused(values, message):
    explorer = ScheduleExplorer(Constant(lr=0.1))
    with pytest.raises(UserError, match=message):
        explorer.schedule = values
    assert explorer.schedule == Constant(lr=0.1)


def test_impossible_run_is_refused():
    with pytest.raises(traitlets.TraitError):
        ScheduleExplorer(epochs=0)
    with pytest.raises(UserError, match="schedule: has no kind"):
        ScheduleExplorer({})
    with pytest.raises(UserError, match="no curve 'b'; allowed: a"):
        ScheduleExplorer(losses={"a": LOSSES}, loss_curve="b")


def test_recorded_losses_are_those_of_the_records():
    losses = recorded_losses(open_study("cifar10_accuracy").best_recorded("C7"))
    assert set(losses) == {"constant", "cyclic", "one-cycle", "plateau"}
    assert all(curve[0] > curve[-1] > 0 for curve in losses.values())


def test_large_rates_and_factors_of_the_browser_are_no_counts():
    explorer = ScheduleExplorer(OneCycle(max_lr=0.1, final_div_factor=1e10))
    values = explorer.schedule.model_dump(mode="json") | {"final_div_factor": 10**10, "max_lr": 1}  # as the browser sends it
    explorer.set_state({"schedule": values})
    assert explorer.schedule == OneCycle(max_lr=1, final_div_factor=1e10)


def test_losses_are_numbers_and_the_chosen_curve_is_one_of_them():
    with pytest.raises(UserError, match=r"losses: 'a run': must be finite numbers, got \[1.0, nan\]"):
        ScheduleExplorer(losses={"a run": [1.0, float("nan")]})
    explorer = ScheduleExplorer(losses={"a run": [1.0]})
    explorer.losses = {"another": [2.0]}
    assert explorer.loss_curve == "another"
