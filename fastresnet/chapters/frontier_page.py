"""Tables and sentences of the frontier chapter on whole runs of the recipes, beside the report's and published ones."""

import math
from collections.abc import Collection, Mapping
from statistics import mean
from typing import NamedTuple, get_args

import pandas as pd

from fastresnet.chapters.frontier import recorded_runs
from fastresnet.chapters.frontier_benchmarks import peer_of
from fastresnet.chapters.frontier_ingredients import confirmed
from fastresnet.config.datasets import SPECS
from fastresnet.config.recipes import RECIPES
from fastresnet.config.recipes.base import Variant
from fastresnet.records.record import RunRecord, in_percent
from fastresnet.report import as_table, describe_runs, hardware, spread, teraflop
from fastresnet.report.captions import fold, provenance
from fastresnet.report.original import F8_HALF, FINAL, seconds_to
from fastresnet.report.verdicts import VerdictList, difference
from fastresnet.study import Results


class Published(NamedTuple):
    """A published result of others: seconds and operations of training to an accuracy. The report had an RTX 2060, the others an
    A100."""

    name: str
    dataset: str
    accuracy: float
    seconds: float | None
    petaflops: float | None


PUBLISHED = (
    Published("report, narrow", "fashion-mnist", F8_HALF[1].test_accuracy, seconds_to(F8_HALF, 0.80), None),
    Published("report, ten epochs", "fashion-mnist", F8_HALF[-1].test_accuracy, sum(row.seconds or 0 for row in F8_HALF), None),
    *(Published(f"report, {name}", "cifar10", accuracy, seconds, None) for name, (accuracy, seconds) in FINAL.items()),
    Published("cifar10-fast (Page)", "cifar10", 0.94, 14.9, 1.14),
    Published("ResNet-18, tuned (Jordan)", "cifar10", 0.94, 52, 4.4),
    Published("hlb-CIFAR10 (Balsam)", "cifar10", 0.94, 6.3, 0.60),
    Published("airbench94 (Jordan)", "cifar10", 0.9401, 3.83, 0.36),
    Published("airbench94 with Muon (Jordan)", "cifar10", 0.9401, 2.59, 0.29),
    Published("Hiverge", "cifar10", 0.94, 1.98, None),
    Published("Fulcrum, E1", "cifar10", 0.9405, 1.83, None),
    Published("airbench95 (Jordan)", "cifar10", 0.9501, 10.4, 1.4),
    Published("airbench96, faster (Jordan)", "cifar10", 0.96, 27.3, 3.1),
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
    return recorded_runs(name).get("gpu", ())


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
    return as_table(rows, "recipe")


def runs_fold(results: Mapping[str, Results]) -> str:
    """HTML of a fold with the edition, machine, versions and revision of each recipe's runs."""
    return fold("Runs", map(provenance, recipes_in(results).values()))


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
    machines = {hardware(record) for name in (first.name, last.name) for record in results[name].all_records}
    longer = f" and {last.seconds / first.seconds:.0f} times the seconds" if len(machines) == 1 else ""
    return (
        f"**Finding.** {' and '.join(reached)}{' on another machine' * (len(machines) > 1)}. That is "
        f"{last.flops / first.flops:.0f} times the operations{longer} (means of accuracy, medians of seconds; "
        f"{first.runs:.0f} and {last.runs:.0f} runs)."
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
            if not found.other_data
        )
    )


REPORT_FINALS = {
    "report, narrow": "fashion-80",
    "report, ten epochs": "fashion-89",
    "report, fast": "cifar10-83",
    "report, accurate": "cifar10-90",
}
"""The report's final models in `PUBLISHED`, each with the recipe for the accuracy that it was made for."""


class Final(NamedTuple):
    """A final model of the report beside our recipe for its accuracy."""

    published: Published
    recipe: Results

    @property
    def seconds(self) -> list[float]:
        """Total seconds of each run of ours."""
        return [total_seconds(record) for record in self.recipe.all_records]

    @property
    def times(self) -> float:
        """The report's seconds over the mean of ours."""
        return (self.published.seconds or math.nan) / mean(self.seconds)


def report_finals(results: Mapping[str, Results]) -> dict[str, Final]:
    """By recipe: a final model of the report, and our runs for its accuracy."""
    points = {point.name: point for point in PUBLISHED}
    return {
        recipe: Final(points[name], results[recipe])
        for name, recipe in REPORT_FINALS.items()
        if recipe in results and not results[recipe].other_data
    }


def target(recipe: str) -> str:
    """A recipe's target as "80 % of FashionMNIST"."""
    dataset = SPECS[RECIPES[recipe].config("cpu").data.name]
    return f"{100 * RECIPES[recipe].target:g} % of {dataset.title}"


def report_verdict(results: Mapping[str, Results]) -> str:
    """How many of the report's accuracies our recipes reach on average, and how much sooner, as one sentence."""
    finals = report_finals(results)
    verdicts = target_verdicts({name: final.recipe for name, final in finals.items()}).verdicts
    times = [final.times for final, verdict in zip(finals.values(), verdicts, strict=True) if verdict.outcome.endswith("yes")]
    count = f"all {len(times)}" if len(times) == len(finals) else f"{len(times) or 'none'} of the {len(finals)}"
    records = [record for final in finals.values() for record in final.recipe.all_records]
    machines = [origin.machine for record in records for origin in record.origins]
    two_cores = {(machine.gpu, machine.threads) for machine in machines} == {(None, 2)}
    where = "two processor cores" if two_cores else " or ".join(dict.fromkeys(map(hardware, records)))
    sooner = f", {min(times):.0f} to {max(times):.0f} times sooner than its graphics card did" if times else ""
    return (
        f"With other networks and another optimiser, {where} reach {count} accuracies for which the report prints a time{sooner}."
        + (_confirmed(results["lengths"], finals) if "lengths" in results else "")
    )


def _confirmed(lengths: Results, recipes: Collection[str]) -> str:
    """A sentence on how many recipes are long enough by images held out of training; "" unless that is known of all."""
    sure = confirmed(lengths)
    if not set(recipes) <= set(sure):
        return ""
    count = sum(sure[recipe] for recipe in recipes)
    return f" Images held out of training confirm that {count} of these {len(recipes)} recipes are long enough."


def report_finding(results: Mapping[str, Results]) -> str:
    """How soon our recipes are beside the report and beside peers, as one Markdown paragraph, or that they trained on other data;
    "" if a model of the report has no recipe."""
    if others := sorted({found.other_data for found in recipes_in(results).values()} - {""}):
        return (
            f"**Other data.** Recipes trained on {' and '.join(others)} here, so that their figures say nothing of these targets."
        )
    if len(report_finals(results)) < len(REPORT_FINALS):
        return ""
    peers = {name: _peer(found).partition(" ") for name, found in recipes_in(results).items()}
    others = [f"{ratio} times as long to {target(name)} {who}" for name, (ratio, _, who) in peers.items() if ratio]
    beside = f" On the same kind of processor, a peer takes {'; '.join(others)}." if others else ""
    records = [record for name in REPORT_FINALS.values() for record in results[name].all_records]
    return f"**In short.** {report_verdict(results)}{beside} Ours ran on {' or '.join(dict.fromkeys(map(hardware, records)))}."


def _peer(found: Results) -> str:
    """What `peer_of` says of a recipe's machine; "" if the recipe was changed."""
    name, (record, *_) = found.experiment.id, found.all_records
    as_it_is = record.config in [RECIPES[name].config(variant) for variant in get_args(Variant)]
    return peer_of(name, record.machine.gpu or record.machine.processor) if as_it_is else ""


def report_finals_caption(results: Mapping[str, Results]) -> str:
    """What the comparison with the report shows, as one Markdown paragraph, and a fold with the runs behind it."""
    finals = report_finals(results).values()
    counts = [len(final.seconds) for final in finals]
    runs = fold("Runs", (provenance(final.recipe) for final in finals))
    return (
        f"*Dots: our runs, {min(counts)} to {max(counts)} per accuracy; bars: their means. Squares: the report's single runs. "
        f"Ours are other networks, trained by another optimiser.*\n\n{runs}"
    )


def beside_report(results: Mapping[str, Results]) -> pd.DataFrame:
    """One row per final model of the report, and one for 94 % of CIFAR-10, which it does not reach: the report's seconds, those
    of our recipe, and how many times as long the report took, and a peer takes on the same kind of processor."""
    finals = report_finals(results)
    rows = {}
    for name in (*finals, *({"cifar10-94"} & set(recipes_in(results)) if finals else ())):
        final, found = finals.get(name), results[name]
        seconds = pd.Series([total_seconds(record) for record in found.all_records])
        accuracy = pd.Series([record.test_accuracy for record in found.all_records], dtype=float)
        rows[target(name)] = {
            "the report, s": f"{final.published.seconds:.0f}" if final else "—",
            "here, s": spread(seconds, 2 if seconds.median() < 10 else 0),
            "here, %": spread(100 * accuracy, 2),
            "n": len(seconds),
            "report / here": f"{final.times:.0f}" if final else "—",
            "reached?": target_verdicts({name: found}).verdicts[0].outcome,
            "peer / here": _peer(found) or "—",
        }
    return as_table(rows, "target")
