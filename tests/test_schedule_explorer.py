"""The explorer's curves are the library's, what is copied from it works, and it can be used with pointer and keys."""

from typing import get_args

import pytest
import torch
import traitlets
import yaml

from fastresnet.config import TrainConfig
from fastresnet.config.parsing import parse
from fastresnet.config.schedules import Constant, Cosine, Linear, OneCycle, PiecewiseLinear, Schedule
from fastresnet.errors import UserError
from fastresnet.study import edition_parameters
from fastresnet.study.project import committed_results
from fastresnet.widgets import ScheduleExplorer, recorded_losses

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


@pytest.mark.browser
def test_curves_in_the_browser_are_the_library_s(module):
    ask = """([grid, losses]) => grid.map(([schedule, epochs, perEpoch]) => {
        const momenta = explorer.momentaOf(schedule, epochs, perEpoch);
        return [[...explorer.ratesOf(schedule, epochs, perEpoch, losses)], momenta && [...momenta]];
    })"""
    assert len(GRID) >= 200
    answers = module.evaluate(ask, [[[s.model_dump(mode="json"), *run] for s, *run in GRID], LOSSES])
    largest = 0.0
    for (schedule, *run), (rates, momenta) in zip(GRID, answers, strict=True):
        rates_wanted, momenta_wanted = wanted(schedule, *run)
        assert rates == pytest.approx(rates_wanted, rel=0, abs=1e-6), (schedule, run)
        largest = max(largest, *(abs(a - b) for a, b in zip(rates, rates_wanted, strict=True)))
        assert (momenta is None) == (momenta_wanted[0] is None)
        if momenta:
            assert momenta == pytest.approx(momenta_wanted, rel=0, abs=1e-6), (schedule, run)
            largest = max(largest, *(abs(a - b) for a, b in zip(momenta, momenta_wanted, strict=True)))
    print(f"{len(GRID)} settings, maximal difference {largest:.1e}")


@pytest.mark.browser
def test_shapes_by_hand_are_those_of_the_study(module):
    shapes = module.evaluate("explorer.SHAPES")
    by_hand = {name.removesuffix(" (N2)"): shape for name, shape in shapes.items() if name.endswith("(N2)")}
    assert by_hand == edition_parameters("cifar10_accuracy", "cpu")["n2_shapes"]


@pytest.mark.browser
def test_every_kind_of_the_library_can_be_chosen(module):
    kinds = {each.model_fields["kind"].default for each in get_args(get_args(Schedule)[0])}
    assert set(module.evaluate("Object.keys(explorer.KINDS)")) == kinds == {each.kind for each in SCHEDULES}


@pytest.mark.browser
def test_copied_yaml_is_the_same_schedule(module):
    texts = module.evaluate("(all) => all.map(explorer.toYaml)", [each.model_dump(mode="json") for each in SCHEDULES])
    for schedule, text in zip(SCHEDULES, texts, strict=True):
        assert parse(yaml.safe_load(text)["train"], TrainConfig, "copied").schedule == schedule


def torch_curve(code, steps):
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
        elif step % 20 == 19:
            scheduler.step(LOSSES[step // 20])
    return values


@pytest.mark.browser
def test_copied_pytorch_code_gives_the_same_curve(module):
    # 12 epochs of 20 steps: whole first cycles for most restarts; torch has no tail, and no cycles of broken steps
    run = (12, 20)
    cycles = {(1, 1), (2, 1), (3, 1), (5, 1), (2, 2), (2, 3), (1, 2), (1, 3)}
    there = [
        schedule
        for schedule in SCHEDULES
        if schedule.kind != "one-cycle-tail"
        and not (schedule.kind == "cosine-restarts" and (schedule.num_cycles, schedule.cycle_factor) not in cycles)
    ]
    codes = module.evaluate(
        "([all, run]) => all.map((s) => explorer.toTorch(s, ...run))", [[s.model_dump(mode="json") for s in there], run]
    )
    for schedule, code in zip(there, codes, strict=True):
        rates, momenta = wanted(schedule, *run)
        curve = torch_curve(code, len(rates))
        assert [lr for lr, _ in curve] == pytest.approx(rates, rel=0, abs=1e-6), code
        if momenta[0] is not None:
            assert [momentum for _, momentum in curve] == pytest.approx(momenta, rel=0, abs=1e-6), code


@pytest.mark.browser
def test_copied_code_says_where_torch_has_no_such_warm_up(module):
    schedule = OneCycle(max_lr=0.1, warmup=0.1).model_dump(mode="json")
    short, longer = (module.evaluate("([s, run]) => explorer.toTorch(s, ...run)", [schedule, run]) for run in ((1, 10), (1, 20)))
    assert "too short for it" in short
    with pytest.raises(ZeroDivisionError):
        torch_curve(short, 10)
    assert "too short" not in longer
    assert len(torch_curve(longer, 20)) == 20


@pytest.mark.browser
def test_moving_a_slider_moves_the_curve_the_table_and_the_code(shown):
    page = shown()
    before = path_of(page)
    page.get_by_label("Warm-up, share of the run, slider").fill("700")
    assert path_of(page) != before
    page.get_by_label("Maximal rate", exact=True).fill("0.25")
    page.keyboard.press("Tab")
    assert yaml.safe_load(code_of(page, "yaml"))["train"]["schedule"]["max_lr"] == 0.25
    assert "max_lr=0.25" in code_of(page, "torch")
    assert page.locator("tbody tr").first.locator("td").first.text_content() == "0.25"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("kind", "label", "text", "message"),
    [
        ("one-cycle", "Maximal rate", "-1", "above 0"),
        ("one-cycle", "Epochs", "2.5", "a whole number"),
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
    page.get_by_label(label, exact=True).fill(text)
    page.keyboard.press("Tab")
    assert page.get_by_role("status").text_content() == f'{label}: must be {message}, got "{text}"'
    assert path_of(page) == before


@pytest.mark.browser
def test_every_shape_can_be_chosen_and_compared(shown):
    page = shown(ScheduleExplorer(losses={"a run": LOSSES}, epochs=16))
    shape = page.get_by_label("Shape")
    for option in page.locator("select[id$=kind] option").evaluate_all("(all) => all.map((each) => each.value)"):
        shape.select_option(option)
        chosen = parse(yaml.safe_load(code_of(page, "yaml"))["train"], TrainConfig, option).schedule
        assert chosen.kind == (option if " " not in option else "piecewise-linear")
        assert shape.input_value() == option
    for kept in range(2, 7):
        page.get_by_text("Keep for comparison").click()
        assert page.locator("tbody tr").count() == kept
    assert page.get_by_text("Keep for comparison").is_disabled()
    page.get_by_label("Remove curve 2").click()
    assert page.locator("tbody tr").count() == 5
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Readings of the curves"


@pytest.mark.browser
def test_knots_follow_pointer_and_keys(shown):
    page = shown(ScheduleExplorer(PiecewiseLinear(points=((0, 0), (0.5, 0.1), (1, 0)))))

    def points():
        return yaml.safe_load(code_of(page, "yaml"))["train"]["schedule"]["points"]

    knot = page.locator('[data-knot="1"]')
    knot.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert points()[1] == pytest.approx([0.51, 0.105])
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
    assert points()[1][0] < 0.45
    assert 0.03 < points()[1][1] < 0.095
    page.mouse.move(x, y)
    assert len(points()) == 3
    page.get_by_text("Add a knot").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert len(points()) == 5
    page.get_by_text("Remove a knot").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert len(points()) == 3


@pytest.mark.browser
@pytest.mark.parametrize("width", [380, 1600])
@pytest.mark.parametrize("theme", ["light", "dark"])
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
    assert page.get_by_label("Loss a plateau sees").input_value() == "</script><script>throw 1</script>"


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
        ({"kind": "saw"}, "'cosine-restarts'"),
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
    with pytest.raises(UserError, match="no curve 'b'; allowed: a"):
        ScheduleExplorer(losses={"a": LOSSES}, loss_curve="b")


def test_recorded_losses_are_those_of_the_records():
    losses = recorded_losses(committed_results() / "cifar10_accuracy" / "C7")
    assert set(losses) == {"constant", "cyclic", "one-cycle", "plateau"}
    assert all(curve[0] > curve[-1] > 0 for curve in losses.values())
    with pytest.raises(UserError, match="no record of seed 99"):
        recorded_losses(committed_results() / "cifar10_accuracy" / "C7", seed=99)
