"""Tables and sentences of the frontier chapter: the cost of an accuracy, and the worth of each ingredient of a recipe."""

from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

import pandas as pd
from scipy import stats

from fastresnet.chapters.frontier import ABLATIONS
from fastresnet.config.recipes import RECIPES
from fastresnet.records.record import RunRecord, in_percent
from fastresnet.report import describe_runs, hardware, spread, teraflop
from fastresnet.report.captions import without_tags
from fastresnet.report.verdicts import VerdictList, difference
from fastresnet.study import Results, open_study


class Published(NamedTuple):
    """A published result of others: seconds and operations of training to an accuracy."""

    name: str
    dataset: str
    accuracy: float
    seconds: float | None
    petaflops: float | None
    hardware: str


PUBLISHED = (
    Published("original report, narrow", "fashion-mnist", 0.80, 16.44, None, "RTX 2060"),
    Published("original report, ten epochs", "fashion-mnist", 0.8865, 80.2, None, "RTX 2060"),
    Published("original report, fast", "cifar10", 0.8306, 262, None, "RTX 2060"),
    Published("original report, accurate", "cifar10", 0.90, 412, None, "RTX 2060"),
    Published("cifar10-fast (Page)", "cifar10", 0.94, 14.9, 1.14, "A100"),
    Published("ResNet-18, tuned (Jordan)", "cifar10", 0.94, 52, 4.4, "A100"),
    Published("hlb-CIFAR10 (Balsam)", "cifar10", 0.94, 6.3, 0.60, "A100"),
    Published("airbench94 (Jordan)", "cifar10", 0.9401, 3.83, 0.36, "A100"),
    Published("airbench94 with Muon (Jordan)", "cifar10", 0.9401, 2.59, 0.29, "A100"),
    Published("airbench95 (Jordan)", "cifar10", 0.9501, 10.4, 1.4, "A100"),
    Published("airbench96, faster (Jordan)", "cifar10", 0.96, 27.3, 3.1, "A100"),
)
"""Published results to compare with: means over many seeds, except for the original report's single runs."""


def total_seconds(record: RunRecord) -> float:
    """Seconds of training and of the one evaluation at its end, test-time augmentation included."""
    return record.seconds.train + record.seconds.evaluate


def training_petaflops(record: RunRecord) -> float:
    """Floating-point operations of training, in units of 10^15."""
    return record.training_flops / 1e15


def recipes_in(results: Mapping[str, Results], dataset: str = "") -> dict[str, Results]:
    """The results of the experiments that are recipes, for one data set or for all, in the order of `RECIPES`."""
    return {name: results[name] for name in RECIPES if name in results and dataset in name}


def gpu_runs(name: str) -> tuple[RunRecord, ...]:
    """The recorded runs of a recipe's GPU variant, even if the edition asks for more seeds."""
    found = open_study("frontier", edition="gpu").recorded(name)
    return found.records["recipe"] if found else ()


def gpu_finding(name: str) -> str:
    """A sentence on the recorded GPU runs of a recipe, and on how many of them reach its target."""
    records, target = gpu_runs(name), RECIPES[name].target
    passed = sum((record.test_accuracy or 0) >= target for record in records)
    return f"`{name}`: {describe_runs(records)} {passed} of {len(records)} runs reach {100 * target:g} %."


def published_for(dataset: str) -> tuple[Published, ...]:
    """The published results for one data set."""
    return tuple(point for point in PUBLISHED if point.dataset == dataset)


def recipes_table(results: Mapping[str, Results]) -> pd.DataFrame:
    """One row per recipe: target, accuracy (mean ± standard deviation), runs that pass, seconds, operations, speed, memory."""
    rows = {}
    for name, found in recipes_in(results).items():
        (records,) = found.records.values()
        accuracy = pd.Series([record.test_accuracy for record in records], dtype=float)
        train = pd.Series([record.seconds.train for record in records])
        total = pd.Series([total_seconds(record) for record in records])
        flops = pd.Series([record.training_flops for record in records])
        digits = 2 if train.median() < 10 else 0
        target = RECIPES[name].target
        rows[name] = {
            "target, %": f"{100 * target:.2f}",
            "test accuracy, %": spread(100 * accuracy, 2),
            "runs that pass": f"{(accuracy >= target).sum()} of {len(records)}",
            "training, s": spread(train, digits),
            "with evaluation, s": spread(total, digits),
            "TFLOP": teraflop(flops.mean()),
            "GFLOP/s": f"{(flops / train).mean() / 1e9:.0f}",
            "peak memory, GiB": f"{max(record.peak_memory_bytes for record in records) / 2**30:.2f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="recipe")


def recipes_caption(results: Mapping[str, Results]) -> str:
    """Edition, machines, versions and revisions behind the recipes' rows, as one Markdown paragraph."""
    recipes = recipes_in(results)
    records = [record for found in recipes.values() for record in found.all_records]
    editions = dict.fromkeys(found.edition for found in recipes.values())
    versions = dict.fromkeys(record.versions["torch"] for record in records)
    revisions = dict.fromkeys(record.source_revision for record in records)
    machines = [f"{', '.join(names)} on {machine}" for machine, names in _by_machine(recipes).items()]
    return without_tags(
        f"*Recipes, **{' or '.join(editions)} edition**: {'; '.join(machines)}; torch {' or '.join(versions)}; "
        f"revision {' or '.join(revisions)}.*"
    )


def _by_machine(recipes: Mapping[str, Results]) -> dict[str, list[str]]:
    """By description of a machine: the names of the recipes that were run on it."""
    machines: dict[str, list[str]] = {}
    for name, found in recipes.items():
        for machine in dict.fromkeys(hardware(record) for record in found.all_records):
            machines.setdefault(machine, []).append(name)
    return machines


def recipes_finding(results: Mapping[str, Results], dataset: str) -> str:
    """The cost of the last points of accuracy on a data set, as one Markdown paragraph; "" for fewer than two recipes."""
    if len(recipes_in(results, dataset)) < 2:
        return ""
    runs = pd.DataFrame(
        {
            "recipe": name,
            "accuracy": record.test_accuracy,
            "seconds": total_seconds(record),
            "flops": record.training_flops,
        }
        for name, found in recipes_in(results, dataset).items()
        for record in found.all_records
    ).groupby("recipe", sort=False)
    table = runs.agg({"accuracy": "mean", "seconds": ["median", "count"], "flops": "mean"}).set_axis(
        ["accuracy", "seconds", "runs", "flops"], axis="columns"
    )
    first, last = table.iloc[0], table.iloc[-1]
    reached = [
        f"*{row.name}* reaches {in_percent(row.accuracy)} in {row.seconds:,.{1 if row.seconds < 100 else 0}f} s"
        for row in (first, last)
    ]
    machines = _by_machine({name: results[name] for name in (first.name, last.name)})
    return (
        f"**Finding.** {' and '.join(reached)}. That is {last.flops / first.flops:.0f} times the operations "
        f"and {last.seconds / first.seconds:.0f} times the seconds{', these on another machine' * (len(machines) > 1)} (means of "
        f"accuracy, medians of seconds; {first.runs:.0f} and {last.runs:.0f} runs)."
    )


def target_verdicts(results: Mapping[str, Results]) -> VerdictList:
    """Verdicts on whether each recipe's mean accuracy is at least its target."""
    return VerdictList(
        tuple(
            difference(
                f"Does {name} reach {100 * RECIPES[name].target:g} % on average?",
                "Its mean is {} {above|below}",
                [record.test_accuracy or 0.0 for record in found.all_records],
                RECIPES[name].target,
                matters=0.0,
            )
            for name, found in recipes_in(results).items()
        )
    )


def ablation_table(results: Results) -> pd.DataFrame:
    """One row per change of the recipe: accuracy, its difference from the recipe's with a 95 % interval, cost, and what it means.

    Differences are paired by seed. The first variant is the unchanged recipe.
    """
    (recipe, baseline), *_ = results.records.items()
    digits = 2 if median(record.seconds.train for record in baseline) < 10 else 1
    rows = {}
    for name, records in results.records.items():
        accuracy = pd.Series([record.test_accuracy for record in records], dtype=float)
        train = pd.Series([record.seconds.train for record in records])
        rows[name] = {
            "test accuracy, %": spread(100 * accuracy, 2),
            "change, points": "" if name == recipe else _paired_interval(records, baseline),
            "training, s": spread(train, digits),
            "TFLOP": teraflop(records[0].training_flops),
            "what it means": ABLATIONS[name].meaning if name in ABLATIONS else "",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="variant")


def _paired_interval(records: tuple[RunRecord, ...], baseline: tuple[RunRecord, ...]) -> str:
    pairs = [(one.test_accuracy, two.test_accuracy) for one, two in zip(records, baseline, strict=True)]
    differences = [100 * (one - two) for one, two in pairs if one is not None and two is not None]
    mean = sum(differences) / len(differences) if differences else float("nan")
    if len(differences) < 3:
        return f"{mean:+.2f} (n too small)"
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


REPORT_FINALS = {
    "original report, narrow": "fashion-80",
    "original report, ten epochs": "fashion-89",
    "original report, fast": "cifar10-83",
    "original report, accurate": "cifar10-90",
}
"""The report's final models in `PUBLISHED`, each with the recipe for the same accuracy."""


def report_finals(results: Mapping[str, Results]) -> dict[str, tuple[Published, Results]]:
    """By data set and accuracy: a final model of the report, and the runs of the recipe for its accuracy."""
    points = {point.name: point for point in PUBLISHED}
    return {
        f"{points[name].dataset}, {100 * points[name].accuracy:g} %": (points[name], results[recipe])
        for name, recipe in REPORT_FINALS.items()
    }


def recipes_sentence(results: Mapping[str, Results], recipe: str) -> str:
    """How soon and how far a recipe gets beside the report's final model for its accuracy, as one sentence."""
    (name,) = (name for name, each in REPORT_FINALS.items() if each == recipe)
    point = next(point for point in PUBLISHED if point.name == name)
    records = results[recipe].all_records
    accuracy = pd.Series([record.test_accuracy for record in records], dtype=float).mean()
    seconds = pd.Series([total_seconds(record) for record in records]).mean()
    return (
        f"Two processor cores reach {in_percent(accuracy, 1)} on {point.dataset} in {seconds:.0f} s (mean of {len(records)} "
        f"runs); the report took {point.seconds:.0f} s to {in_percent(point.accuracy, 1)} on one {point.hardware}."
    )


def report_finals_caption(results: Mapping[str, Results]) -> str:
    """Runs and hardware behind the comparison with the report, as one Markdown paragraph."""
    rows = [(point, found.all_records) for point, found in report_finals(results).values()]
    machines = _by_machine({recipe: results[recipe] for recipe in REPORT_FINALS.values()})
    cards = dict.fromkeys(point.hardware for point, _ in rows)
    where = "; ".join(f"{', '.join(names)} on {machine}" for machine, names in machines.items())
    return (
        f"*Ours, from the top: {', '.join(str(len(records)) for _, records in rows)} runs, training and the one evaluation at "
        f"its end; {where}. The report: one run each, on one {' or '.join(cards)}, as printed. Ours are other networks and "
        "another optimiser, each made for its accuracy.*"
    )


def beside_report(results: Mapping[str, Results]) -> pd.DataFrame:
    """One row per final model of the report: its accuracy and its seconds on the report's GPU, beside the recipe's for it."""
    points = {point.name: point for point in PUBLISHED}
    rows = {}
    for name, recipe in REPORT_FINALS.items():
        records = results[recipe].all_records
        seconds = pd.Series([total_seconds(record) for record in records])
        rows[f"{points[name].dataset}, {name.removeprefix('original report, ')}"] = {
            "the report, %": f"{100 * points[name].accuracy:.2f}",
            "the report, s": f"{points[name].seconds:.0f}",
            "recipe": recipe,
            "here, %": spread(100 * pd.Series([record.test_accuracy for record in records], dtype=float), 2),
            "here, s": spread(seconds, 2 if seconds.median() < 10 else 0),
            "runs": len(records),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="final model")


def growth_table(results: Results) -> pd.DataFrame:
    """One row per variant: seconds per epoch, operations per second, and the largest peak memory of its runs."""
    rows = {}
    for name, records in results.records.items():
        epoch = pd.Series([record.seconds.train / record.epochs_trained for record in records])
        speed = pd.Series([record.training_flops / record.seconds.train for record in records])
        rows[name] = {
            "seconds per epoch": spread(epoch, 2),
            "GFLOP/s": spread(speed / 1e9, 0),
            "peak memory, GiB": f"{max(record.peak_memory_bytes for record in records) / 2**30:.2f}",
            "runs": len(records),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="variant")


def growth(results: Results) -> pd.DataFrame:
    """One row per run: what is multiplied, by which factor, and seconds per epoch. Factor 1 has one row per quantity."""
    frame = results.frame()
    varied = frame["variant"].str.extract(r"(?P<what>\w+), (?P<factor>\d+) times")
    frame = frame.assign(what=varied["what"], factor=varied["factor"].astype(int))
    once = frame[frame["factor"] == 1]
    others = [once.assign(what=what) for what in frame["what"].unique() if what not in set(once["what"])]
    return pd.concat([frame, *others], ignore_index=True)[["what", "factor", "seed", "epoch_seconds"]]


def growth_finding(results: Results) -> str:
    """Growth of the seconds per epoch at the largest factor on each quantity, as one Markdown paragraph."""
    medians = growth(results).groupby(["what", "factor"], sort=False)["epoch_seconds"].median()
    once = medians.xs(1, level="factor").iloc[0]
    largest = {what: max(medians[what].index) for what in medians.index.unique("what")}
    grown = [
        f"{medians[what, factor] / once:.1f} times as long with {factor} times the {what}" for what, factor in largest.items()
    ]
    return f"**Finding.** An epoch takes {', '.join(grown)} (medians)."
