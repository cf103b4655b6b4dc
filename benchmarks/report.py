"""The results of a benchmark as lines, as a table of ratios and as a JSON file."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from fastresnet.compute.device import choose_device
from fastresnet.compute.provenance import describe_machine, versions
from fastresnet.records.atomic import replacing
from fastresnet.records.benchmark import Benchmark, Row
from fastresnet.records.record import in_percent


def describe_row(row: Row) -> str:
    """One contender's figures on one line."""
    if row.seconds is None:
        seconds = f"{row.epoch_seconds:.0f} s per epoch, epochs to the target {row.epochs_source}"
    else:
        low, high = row.seconds_interval or (row.seconds, row.seconds)
        seconds = f"{'more than ' if row.at_least else ''}{_seconds(row.seconds)} s ({_seconds(low)} to {_seconds(high)})"
        seconds += "" if row.whole_runs else f", from seconds per step; epochs: {row.epochs_source}"
    passed = "" if row.epochs_to_target is None else f" for {row.epochs_to_target:g} epochs"
    passed += "" if row.passed is None else f", {in_percent(row.passed, 0)} of {row.rounds} runs pass"
    passed += "" if row.accuracy is None else f" ({in_percent(row.accuracy)} at their end on average)"
    batches = "" if row.outside_model is None else f"batches {in_percent(row.outside_model, 1)} of the time, "
    energy = "" if row.joules is None else f", {row.joules:,.0f} J"
    of_product = row.share_of_product_peak
    product = "" if of_product is None else f", {in_percent(of_product, 0)} of the matrix-product peak"
    return (
        f"{row.contest:12} {row.contender:22} {seconds}{passed}; {row.images_per_second:,.0f} images/s, "
        f"{row.gflops_per_second:.0f} GFLOP/s ({in_percent(row.share_of_peak, 0)} of the convolution peak{product}), "
        f"{batches}peak memory {row.peak_memory_bytes / 2**30:.2f} GiB{energy}"
    )


def ratios(rows: Sequence[Row]) -> str:
    """One line per peer: its seconds to the target over ours, or its seconds per epoch over ours if nothing more is known."""
    ours = {row.contest: row for row in rows if row.contender == "ours"}
    lines = []
    for row in rows:
        own = ours[row.contest]
        if row is own:
            continue
        if row.seconds and own.seconds and not (row.at_least and own.at_least):
            over = "more than " if row.at_least else "less than " if own.at_least else ""
            times = f"{over}{row.seconds / own.seconds:8.1f} times ours, to {in_percent(row.target)}"
        else:
            times = f"{row.epoch_seconds / own.epoch_seconds:8.1f} times ours, per epoch"
        lines.append(f"{row.contest:12} {row.contender:22} {times}")
    return "\n".join(lines)


_PEERS = ("fastai", "airbench", "triton")
"""Packages that a benchmark may run, besides those of a run's record."""


def write_json(rows: Sequence[Row], path: Path, *, device: str, revision: str) -> None:
    """Writes the rows with the machine, the versions, also of peers, and the revision of the source they were measured with."""
    peers = {name: each.version for name in _PEERS for each in metadata.distributions(name=name)}
    machine = describe_machine(choose_device(device))
    benchmark = Benchmark(machine=machine, versions=versions() | peers, source_revision=revision, rows=tuple(rows))
    with replacing(path) as partial:
        partial.write_text(benchmark.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
