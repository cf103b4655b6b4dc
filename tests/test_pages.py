"""Pages of re-runs with odd parameters, with made-up records for the runs that they would train: what they show makes sense."""

import ast
import re
from functools import cache

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

from fastresnet.book.notebooks import PARAMETERS_TAG, chapter_file, chapter_parameters
from fastresnet.chapters import findings_answers
from fastresnet.errors import UserError
from fastresnet.report import page
from fastresnet.study import Study
from fastresnet.training import probes

from .conftest import command
from .test_answers import made_up_results

ODD = {
    "myrtle_notes": {
        "one value": {"m1b_workers": [0], "m2c_rates": [0.4], "m4d_residuals": [[1]], "m6a_scales": [2], "m7b_rates": [0.1]},
        "one epoch": {"epochs": 1, "run_epochs": 1, "m3b_epochs": [1, 2], "m6b_epochs": 1},
        "other data": {"dataset": "fashion-mnist"},
        "other precision": {"precision": "bf16", "half": "fp16"},
        "one seed": {"seeds": [5], "seeds_of": {}},
    },
    "fashionmnist_speed": {
        "one value": {
            **{f"f{step}_batch_sizes": [64] for step in (1, 2, 5, 6)},
            **{"f3_workers": [0], "f4_image_sizes": [24], "f4_timed_sizes": [24], "f6_rates": [0.2], "f7_workers": [0]},
            "f8_stem_channels": [32],
        },
        "one epoch": {"f4_epochs": 1, "f8_epochs": 1},
        "other data": {"dataset": "cifar10"},
        "other precision": {"precision": "bf16", "half": "fp16"},
        "one seed": {"seeds": [5], "seeds_of": {}},
    },
    "cifar10_accuracy": {
        "one value": {
            **{name: [0.2] for name in ("c1_rates", "c3_dropouts", "c4_momenta", "c5_rates", "c8_max_rates", "c12_max_rates")},
            **{"c6_weight_decays": [0.1], "c7_schedules": ["cyclic"], "c10_activations": ["gelu"], "c11_batch_sizes": [64]},
            **{"c13_architectures": ["base"], "n2_shapes": {}, "n3_tail_rates": [0.1]},
        },
        "one epoch": {"epochs": 1, "c1_epochs": 1, "c2_epochs": 1, "c13_epochs": 1},
        "other data": {"dataset": "fashion-mnist"},
        "other precision": {"precision": "bf16", "c12_precisions": ["fp16", "bf16"]},
        "one seed": {"seeds": [5], "seeds_of": {}},
    },
    "frontier": {
        "one value": {"recipes": {"fashion-80": [3]}, "fashion_ablated": {"recipe": "fashion-80", "changes": ["recipe"]}},
        "one epoch": {"epochs": 1},
        "other data": {"samples": True, "train_images": 500, "growth_images": 250},
        "other precision": {"variant": "cpu-bf16"},
        "one seed": {"ablation_seeds": [5]},
    },
    "findings": {
        "one value": {"train_images": 1000},
        "one epoch": {"epochs": 1},
        "other data": {"dataset": "cifar100"},
        "other precision": {"precision": "bf16"},
        "one seed": {"seeds": [5]},
    },
}
"""By chapter: five odd requests of a re-runner."""


@cache
def all_answers():
    return findings_answers.all_answers()


@pytest.fixture
def rerun(monkeypatch):
    """Runs the cells of a chapter with changed parameters; returns what they show, as text, and its answers by experiment."""
    answers = all_answers()
    shown = []
    monkeypatch.setattr(Study, "run", lambda study, name: made_up_results(study.experiment(name), study.experiment(name).seeds))
    monkeypatch.setattr(page, "display", lambda *objects: shown.extend(objects))
    monkeypatch.setattr(findings_answers, "all_answers", lambda: answers)
    monkeypatch.setattr(probes, "worker_memory", lambda *_: pd.DataFrame({"workers": [1]}))

    def run(name, changes):
        variables = {"display": page.display, **chapter_parameters(name, "quick", changes)}
        for cell in nbformat.read(chapter_file(name), 4).cells:
            if cell.cell_type == "code" and PARAMETERS_TAG not in cell.metadata.tags:
                tree = ast.parse(cell.source.replace("%matplotlib", "#"))
                *_, last = tree.body
                if isinstance(last, ast.Expr) and not cell.source.endswith(";"):
                    tree.body[-1] = ast.parse("display(x)").body[0]
                    tree.body[-1].value.args = [last.value]
                exec(compile(ast.fix_missing_locations(tree), name, "exec"), variables)
        return "\n".join(map(text_of, shown)), variables["page"].answers() if "page" in variables else {}

    yield run
    plt.close("all")


def text_of(shown):
    """What an object that a cell displays says in words; nothing for a figure."""
    for form in ("_repr_markdown_", "_repr_html_"):
        if text := getattr(shown, form, str)():
            return re.sub(r"<style.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)
    return ""


def senseless(text):
    """What no page should say, whatever its parameters."""
    return re.findall(r"\b(?:nan|inf|None)\b|\b0 runs|no run to compare|“”|\*\*\s*and|\(\*\*\)|\bNot asked|The only image", text)


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        pytest.param(name, odd, marks=() if odd in ("one value", "other data") else pytest.mark.slow)
        for name, sets in ODD.items()
        for odd in sets
    ],
)
def test_page_of_odd_parameters_makes_sense(name, odd, rerun):
    text, answers = rerun(name, ODD[name][odd])
    assert not senseless(text)
    for experiment, found in answers.items():
        variants = {variant for results in found.results for variant in results.records}
        for said in (found.sentence, *(verdict.question for verdict in found.asked)):
            compared = re.findall("“([^”]+)”", said)
            assert len(set(compared)) == len(compared), f"{experiment} compares a variant with itself: {said}"
            assert set(compared) <= variants, f"{experiment} tells of what it does not show: {said}"
        if found.results[0].other_data:
            assert found.original == "another data set"
            told = f"{found.sentence} {found.difference} {found.asked}"
            assert not re.search(r"report (prints|it was)|report's \d|against the report", told)
    assert any(found.results[0].other_data for found in answers.values()) == (odd == "other data" and name != "frontier")
    assert ("edition on " in text) == (odd == "other data" and name != "frontier")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("myrtle_notes", ("-p", "m6a_scales=[3]")),
        ("fashionmnist_speed", ("-p", "f6_rates=[0.3]", "--scale", "0.003")),
        ("cifar10_accuracy", ("-p", "c1_rates=[0.2]", "-p", "c1_epochs=1", "--scale", "0.02")),
        ("frontier", ("-p", "recipes={fashion-80: [77]}")),
        ("findings", ("-p", "epochs=1", "--scale", "0.02")),
    ],
)
def test_rerun_that_trains_makes_a_page_of_what_was_asked(name, changes, real_data, tmp_path):
    done = command("chapter", "run", name, *changes, "--data-dir", real_data, "-o", tmp_path / "mine.ipynb")
    assert done.returncode == 0, done.stderr
    cells = [cell for cell in nbformat.read(tmp_path / "mine.ipynb", 4).cells if cell.cell_type == "code"]
    shown = [output.get("data", {}) for cell in cells for output in cell.outputs]
    assert not senseless("\n".join(data.get("text/markdown", "") for data in shown))
    assert "Left out" in shown[-1]["text/markdown"]


def test_half_precision_in_single_precision_is_refused_with_what_is_allowed():
    for name in ("fashionmnist_speed", "myrtle_notes"):
        with pytest.raises(UserError, match=r"half: .*'fp32'.*fp16.*bf16|half: .*fp16.*bf16.*'fp32'"):
            chapter_parameters(name, "quick", {"half": "fp32"})
    with pytest.raises(UserError, match=r"c12_precisions: no value may come twice, got \['fp32', 'fp32'\]"):
        chapter_parameters("cifar10_accuracy", "quick", {"c12_precisions": ["fp32", "fp32"]})
