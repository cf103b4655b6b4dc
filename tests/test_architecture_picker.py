"""The picker's layers are the network's, its figures the record's, and what is picked can be trained."""

import itertools
import re
from collections import defaultdict
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fastresnet import report
from fastresnet.config.models import ResNetConfig
from fastresnet.errors import UserError
from fastresnet.models.resnet import ResNet
from fastresnet.report import original, verdicts
from fastresnet.study import open_study
from fastresnet.widgets import ArchitecturePicker

from .conftest import accessibility_findings

WIDTHS = ((64, 128, 256, 512), (32, 64, 128, 256), (16, 32, 64, 128))
SWITCHES = itertools.product(("7x7/2", "3x3/1"), (True, False), ("max", "average", "none"), WIDTHS, (False, True), (10, 18, 34))
MODELS = [
    ResNetConfig(stem=stem, stem_padding=padding, stem_pool=pool, channels=channels, extra_conv=extra, depth=depth)
    for stem, padding, pool, channels, extra, depth in SWITCHES
]
NO_POOL = "3x3 stem, no pool"


@pytest.fixture(scope="module")
def c13():
    """C13 as if it had three seeds, which lie three thousandths apart."""
    found = open_study("cifar10_accuracy", edition="cpu").recorded("C13")
    records = {variant: tuple(_like(first, seed) for seed in range(3)) for variant, (first, *_) in found.records.items()}
    return replace(found, records=records)


def _like(record, seed):
    *epochs, last = record.epochs
    last = last.model_copy(update={"test_accuracy": last.test_accuracy + 0.003 * seed})
    return record.model_copy(update={"seed": seed, "epochs": (*epochs, last)})


@pytest.fixture
def shown(show, c13):
    published = {name: accuracy for name, (accuracy, _) in original.C13.items()}
    return lambda **look: show(ArchitecturePicker(c13, published=published), ".architecture-picker circle", **look)


def layers_of(config, side):
    """Name, output, parameters and FLOPs of a network's layers as torch has them; an output [10] is a vector."""
    with torch.device("meta"):
        network = ResNet(config).eval()
    outputs = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear | nn.MaxPool2d | nn.AvgPool2d):
            module.register_forward_hook(lambda _module, _inputs, out, name=name: outputs.update({name: list(out.shape[1:])}))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, config.in_channels, side, side, device="meta"))
    counts = defaultdict(dict, counter.get_flop_counts())
    parameters = {name: sum(each.numel() for each in network.get_submodule(name).parameters()) for name in outputs}
    layers = [[name, out, parameters[name], sum(counts[f"ResNet.{name}"].values())] for name, out in outputs.items()]
    return layers, counter.get_total_flops(), sum(each.numel() for each in network.parameters())


# for CIFAR-10 every network that can be picked with 10 or 18 layers and some with 34, for FashionMNIST some of uneven widths
PICKED = [model for model in MODELS if model.depth != 34] + [model for model in MODELS if model.depth == 34][::5]
ODD = [model.model_copy(update={"in_channels": 1, "channels": (8, 24, 24, 40)}) for model in MODELS[::9]]


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("models", "side"), [(PICKED, 32), (ODD, 28)], ids=["cifar10", "fashion-mnist"])
def test_layers_in_the_browser_are_the_network_s(load_script, models, side):
    page = load_script(ArchitecturePicker)
    ask = """([models, side]) => models.map((model) => explorer.layersOf(model, side)
        .map(({ name, output, parameters, flops }) => [name, output, parameters, flops]))"""
    answers = page.evaluate(ask, [[model.model_dump(mode="json") for model in models], side])
    for model, answer in zip(models, answers, strict=True):
        layers, flops, parameters = layers_of(model, side)
        assert answer == layers, model
        assert (sum(each[3] for each in answer), sum(each[2] for each in answer)) == (flops, parameters), model


def test_recorded_figures_are_the_record_s(c13):
    picker = ArchitecturePicker(c13)
    assert [each["variant"] for each in picker.recorded] == list(c13.records)
    for each in picker.recorded:
        assert each["accuracies"] == [record.test_accuracy for record in c13.records[each["variant"]]]
    own, base = (next(each for each in picker.recorded if each["variant"] == name) for name in (NO_POOL, "base"))
    difference, low, high = own["differences"]["base"]
    verdict = verdicts.difference("", "{}", own["accuracies"], base["accuracies"])
    assert verdict.found.startswith(f"{abs(100 * difference):.1f} points")
    assert f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}" in verdict.statistics
    assert "cpu edition" in picker.caption
    assert "AMD EPYC" in picker.caption


def row(page, table, name):
    """The cells of a table's row, blanks as plain ones."""
    found = page.get_by_role("table", name=table).get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))
    return [text.replace("\u00a0", " ") for text in found.locator("td").all_text_contents()]


@pytest.mark.browser
def test_switching_a_setting_moves_shapes_costs_and_accuracy(shown, c13):
    page = shown()
    comparison = "The network beside another"
    assert row(page, comparison, "Test accuracy")[2] == "the same network"
    page.get_by_label("Stem", exact=True).select_option(label="3x3, stride 1")
    assert row(page, comparison, "Test accuracy")[0] == "unknown: no run yet"
    assert row(page, comparison, "Test accuracy")[2] == "no runs to compare"
    assert page.get_by_label("Recorded network", exact=True).input_value() == ""
    page.get_by_label("Padding of the stem").select_option(label="none")
    page.get_by_label("Pool after the stem").select_option(label="none")
    assert page.get_by_label("Recorded network", exact=True).input_value() == NO_POOL
    accuracy = report.summary(c13).loc[NO_POOL, "test accuracy, %"]
    assert row(page, comparison, "Test accuracy")[0] == f"{accuracy} % (n = 3)"
    recorded = c13.records[NO_POOL][0]
    assert row(page, comparison, "Parameters")[0] == f"{recorded.parameters:,}"
    page.locator("summary").click()
    assert row(page, "Layers", "conv1 3x3 convolution")[0] == "32×30×30"
    assert page.get_by_role("img", name="The network: stem 32 by 30 by 30").count() == 1


@pytest.mark.browser
def test_a_recorded_network_is_reached_by_table_point_and_list(shown):
    page = shown()
    page.get_by_role("button", name=NO_POOL, exact=True).click()
    assert page.get_by_label("Stem", exact=True).input_value() == '"3x3/1"'
    page.locator("circle.point").first.click()
    assert page.get_by_label("Recorded network", exact=True).input_value() == "base"
    page.get_by_label("Recorded network", exact=True).focus()
    page.keyboard.press("ArrowDown")
    assert page.get_by_label("Pool after the stem").input_value() == '"none"'
    assert page.get_by_role("status").text_content().startswith("no pool: ")


@pytest.mark.browser
# 346: what the book leaves of a telephone's 380 pixels, and a margin
@pytest.mark.parametrize(("width", "theme"), [(346, "light"), (1600, "dark")])
def test_picker_is_accessible_and_fits(shown, c13, width, theme):
    page = shown(width=width, theme=theme)
    page.locator("summary").click()
    page.get_by_label("Depth").select_option("34")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".scroll").evaluate("box => box.scrollWidth - box.clientWidth") == 0
    places = page.locator("svg:has(.point)").evaluate("""figure => [...figure.querySelectorAll('text')].map((text) => {
        const { left, right, top, bottom } = text.getBoundingClientRect();
        return [text.textContent, left, right, top, bottom];
    })""")
    names = [each for each in places if re.search("[a-z]", each[0])]
    written = "".join(text for text, *_ in names).replace(" ", "")
    assert all(variant.replace(" ", "") in written for variant in c13.records)
    for (_, *a), (_, *b) in itertools.combinations(names, 2):  # left, right, top, bottom
        assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2]
    assert not accessibility_findings(page)


def test_picked_network_is_a_configuration(c13):
    picker = ArchitecturePicker(c13)
    assert picker.model_config == c13.experiment.variants["base"].model
    values = picker.get_state("model_config")["model_config"]
    picker.set_state({"model_config": {**values, "stem_pool": "none"}})  # as the browser sends it
    assert picker.model_config == c13.experiment.variants["no pool"].model


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth": 50}, "model_config: depth: Input should be 10, 18 or 34"),
        ({"kind": "speednet"}, "model_config: kind: Input should be 'resnet'"),
        ({"in_channels": 1}, "model_config: in_channels: CIFAR-10 has 3, got 1"),
        (18, "model_config: expected a ResNetConfig or its mapping, got 18"),
    ],
)
def test_impossible_network_is_refused(c13, values, message):
    with pytest.raises(UserError, match=message):
        ArchitecturePicker(c13, values)


def test_unknown_variant_is_refused(c13):
    with pytest.raises(UserError, match="no variant 'nothing'; allowed: base, no pool"):
        ArchitecturePicker(c13).compared = "nothing"


def test_experiment_that_varies_the_training_is_refused():
    with pytest.raises(UserError, match="C11: its variants differ in more than the network"):
        ArchitecturePicker(open_study("cifar10_accuracy", edition="cpu").recorded("C11"))
    frontier = open_study("frontier", edition="cpu")
    results = next(found for each in frontier.experiments if (found := frontier.recorded(each)))
    with pytest.raises(UserError, match="has networks of kind speednet; allowed: resnet"):
        ArchitecturePicker(results)
