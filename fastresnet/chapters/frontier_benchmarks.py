"""Shows committed benchmarks on a page: recipes beside their peers. Free of torch."""

import math
import re
from collections.abc import Iterable
from html import escape

import pandas as pd

from fastresnet.errors import UserError
from fastresnet.records.benchmark import FEWEST_FOR_AN_INTERVAL, Benchmark, Row, StepPart
from fastresnet.records.record import in_percent
from fastresnet.report import as_table, hardware
from fastresnet.study.project import committed_results

_UNKNOWN = "not recorded"
"""End of a source of a number of epochs that no record gives."""
_REFUTED = "the report"
"""Source of a number of epochs that whole runs of more epochs have shown to be too small."""


def names() -> list[str]:
    """The names of all committed benchmarks."""
    return sorted(path.stem for path in (committed_results() / "bench").glob("*.json"))


def caption(record: str) -> str:
    """Machine, versions and revision of a committed benchmark, as text."""
    found = _benchmark(record)
    (rounds,) = {row.rounds for row in found.rows}
    spread = "ranges" if rounds < FEWEST_FOR_AN_INTERVAL else "95 % bootstrap intervals"
    what = "one round" if rounds == 1 else f"medians and {spread} of {rounds} rounds"
    return f"{hardware(found)}; torch {found.versions['torch']}; {what}; revision {found.source_revision}."


def table(record: str) -> pd.DataFrame:
    """One row per contender of a committed benchmark: its time to the target, and that time over ours. For whole runs, also the
    epochs to the target and the mean accuracy at the end."""
    rows = _rows(record)
    ours = _ours(rows)
    found = (
        pd.DataFrame(
            {
                "target": f"{row.contest}, {in_percent(row.target)}",
                "contender": row.contender,
                "seconds": _with_interval(row),
                "times ours": _times(row, ours[row.contest]) or "—",
                "how": "whole runs" if row.whole_runs else "steps",
                "epochs": "—" if row.epochs_to_target is None else f"{row.epochs_to_target:g}",
                "accuracy, %": "—" if row.accuracy is None else f"{100 * row.accuracy:.2f}",
                "runs that pass": "—" if row.passed is None else f"{row.passed * row.rounds:.0f} of {row.rounds}",
                "seconds per epoch": f"{row.epoch_seconds:.{1 if row.epoch_seconds > 1 else 2}f}",
                "GFLOP/s": f"{row.gflops_per_second:.0f}",
                "of the convolution peak": in_percent(row.share_of_peak, 0),
                "of the matrix-product peak": in_percent(row.share_of_product_peak, 0),
                "batches": in_percent(row.outside_model, 1),
                "peak memory, GiB": f"{row.peak_memory_bytes / 2**30:.2f}",
                "energy, J": "—" if row.joules is None else f"{row.joules:,.0f}",
            }
            for row in rows
        )
        .set_index("target")
        .rename_axis(index=None, columns="target")
    )
    return found.loc[:, (found != "—").any()]


def peers(records: Iterable[str]) -> pd.DataFrame:
    """One row per kind of machine, target, peer, and way of measuring (whole runs or steps): our seconds, the peer's, and the
    peer's over ours, and the accuracy of the peer's whole runs. Of several measurements it has the one of most rounds, then the
    last."""
    found = []
    for record in records:  # a record whose name goes on from another's is the newer one
        rows, machine = _rows(record), _benchmark(record).machine
        ours = _ours(rows)
        found += [
            {
                "machine": _brief(machine.gpu or machine.processor),
                "recipe": row.contest,
                "target": f"{100 * row.target:g} %",
                "peer": row.contender,
                "ours, s": _seconds(ours[row.contest]),
                "peer, s": _seconds(row),
                "peer / ours": times,
                "peer, %": "—" if row.accuracy is None else f"{100 * row.accuracy:.1f}",
                "measured": "whole runs" if row.whole_runs else "steps",
                "n": row.rounds,
            }
            for row in rows
            if not row.contender.startswith("ours") and (times := _times(row, ours[row.contest]))
        ]
    table = pd.DataFrame(found).sort_values("n", kind="stable")
    return (
        table.drop_duplicates(["machine", "recipe", "peer", "measured"], keep="last")
        .sort_index()
        .sort_values("target", kind="stable")
    )


def peer_of(recipe: str, processor: str) -> str:
    """Ratio of a peer's time to a recipe's on a kind of processor, with the peer's name and what was measured, as text:
    `3.2 (tutorial; steps, n = 3)`, and the accuracy that the peer ended at if that is known; "" if none was timed. The tutorial
    comes before other peers, whole runs before steps."""
    table = peers(names())
    found = table[(table["recipe"] == recipe) & (table["machine"] == _brief(processor))]
    if found.empty:
        return ""
    first = (
        found.assign(other=found["peer"] != "tutorial", steps=found["measured"] == "steps")
        .sort_values(["other", "steps"])
        .iloc[0]
    )
    ended = "" if first["peer, %"] == "—" else f", which ended at {first['peer, %']} %"
    return f"{first['peer / ours']} ({first['peer']}{ended}; {first['measured']}, n = {first['n']})"


def shown(kind: str) -> str:
    """HTML of a table of peers for each machine, and of a collapsible section with everything that was measured. The benchmarks
    are those whose names begin with `kind`, "cpu" or "gpu"."""
    records = [name for name in names() if name.startswith(kind)]
    best = "".join(
        f"<p><strong>{escape(str(machine))}</strong></p>{table.drop(columns='machine').to_html(index=False)}"
        for machine, table in peers(records).groupby("machine", sort=False)
    )
    everything = "".join(f"<p>{escape(f'{record}: {caption(record)}')}</p>{table(record).to_html()}" for record in records)
    return f'{best}<details class="runs"><summary>All measurements</summary>{everything}</details>'


def parts(record: str, recipe: str) -> pd.DataFrame:
    """One row per part of a recipe's training steps in a committed benchmark: its share of the time, and its operations per
    second, also as a share of those of a large matrix product. The last row is of all parts."""
    own = _ours(_rows(record))[recipe]
    product = own.gflops_per_second / (own.share_of_product_peak or math.nan)
    rows = {}
    for part in (*own.parts, StepPart(name="all parts", share=1.0, gflops_per_second=own.gflops_per_second)):
        speed = part.gflops_per_second or 0.0
        rows[part.name] = {
            "of the time": in_percent(part.share, 1),
            "GFLOP/s": f"{speed:.0f}" if speed >= 1 else "—",
            "of a matrix product's": in_percent(speed / product, 0) if speed >= 1 else "—",
        }
    return as_table(rows, "part")


def parts_finding(record: str, recipe: str) -> str:
    """The share of convolutions in the time of a recipe's steps, and their speed, as one Markdown paragraph."""
    own = _ours(_rows(record))[recipe]
    found = [part for part in own.parts if part.name.startswith("convolution")]
    share = sum(part.share for part in found)
    speed = sum(part.share * (part.gflops_per_second or 0.0) for part in found) / share
    product = own.gflops_per_second / (own.share_of_product_peak or math.nan)
    return (
        f"**Finding.** Convolutions take {in_percent(share, 0)} of the time of `{recipe}`'s steps, at {speed:.0f} GFLOP/s: "
        f"{speed / product:.2f} times the speed of a large matrix product. Without all the rest, a step would be only "
        f"{in_percent(1 - share, 0)} shorter."
    )


def _brief(machine: str) -> str:
    """A machine's name without "(R)", "Intel", "NVIDIA" and "Processor"."""
    return re.sub(r"\(R\)|\bIntel\b|\bProcessor\b|\bNVIDIA\b", "", machine).replace("  ", " ").strip()


def _rows(record: str) -> list[Row]:
    """The rows of a committed benchmark. A row that was timed over a few steps has no time to the target if the number of epochs
    to it is not known."""
    rows = _benchmark(record).rows
    untimed = {"seconds": None, "seconds_interval": None}
    known = [row.whole_runs or not (row.epochs_source == _REFUTED or row.epochs_source.endswith(_UNKNOWN)) for row in rows]
    return [row if timed else row.model_copy(update=untimed) for row, timed in zip(rows, known, strict=True)]


def _ours(rows: list[Row]) -> dict[str, Row]:
    return {row.contest: row for row in rows if row.contender == "ours"}


def _times(row: Row, own: Row) -> str:
    """A row's time over ours, as text: "over" marks a lower bound, "under" an upper one; "" if it is not known."""
    if not row.seconds or not own.seconds or (row is not own and row.at_least and own.at_least):
        return ""
    bound = "" if row is own else "over " if row.at_least else "under " if own.at_least else ""
    return f"{bound}{row.seconds / own.seconds:.3g}"


def _benchmark(name: str) -> Benchmark:
    """Reads a benchmark of `results/bench`. Raises UserError if there is none of that name."""
    path = committed_results() / "bench" / f"{name}.json"
    if not path.is_file():
        raise UserError(f"no benchmark {name!r}; recorded: {', '.join(names())}")
    return Benchmark.model_validate_json(path.read_bytes())


def _with_interval(row: Row) -> str:
    if row.seconds is None or row.seconds_interval is None:
        return "unknown"
    low, high = row.seconds_interval
    digits = 2 if row.seconds < 10 else 0
    return _seconds(row) if row.rounds == 1 else f"{_seconds(row)} ({low:,.{digits}f} to {high:,.{digits}f})"


def _seconds(row: Row) -> str:
    """A row's time, as text: "over" marks a lower bound."""
    return "over " * row.at_least + f"{row.seconds:,.{2 if (row.seconds or 0) < 10 else 0}f}"
