"""Answers of the FashionMNIST chapter: tests of each step's claims, with the report's figures and ours."""

from fastresnet.report import jumps, original, quickest, seconds_reached, values
from fastresnet.report.answers import Answer, Questions, beside, choice, milliseconds, percent, points, seconds, times
from fastresnet.report.claims import more_accurate, quicker
from fastresnet.report.verdicts import Verdict, faster, higher
from fastresnet.study import Results

NARROW, WIDE = "32-64-128-256", "64-128-256-512"
EASY = 0.80
"""The accuracy that the report wants to reach as fast as possible."""


def batch_sizes(f1: Results) -> Answer:
    """F1: in the report, batch size 128 already had nearly the shortest epoch."""
    return _quick(f1, "batch 128", "128 near the minimum")


def fine_batch_sizes(f2: Results) -> Answer:
    """F2: the report chose batch size 155; differences were small."""
    return _sooner(f2, "batch 155", "batch 128", "155 chosen, differences small")


def workers(f3: Results) -> Answer:
    """F3: in the report, one worker process gained time, and more did not."""
    gains = quicker("One worker is faster than none.", f3, "1 workers", "0 workers")
    flat = _quick(f3, "1 workers", "0 to 1 faster, then flat")
    return Answer(f3, flat.original, flat.here, flat.difference, (gains, *flat.verdicts))


def image_sizes(f4: Results, timed: Results) -> Answer:
    """F4: in the report, 48 pixels were fastest, and accuracy was unsteady at 24."""
    sooner = _sooner(timed, "48 x 48", "24 x 24", "48 fastest, 24 unsteady")
    moves = higher(
        "Test accuracy moves more between epochs at 24 x 24 than at 48 x 48.",
        high=jumps(f4, "24 x 24"),
        low=jumps(f4, "48 x 48"),
    )
    return Answer(f4, sooner.original, sooner.here, sooner.difference, (*sooner.verdicts, moves))


def precisions(f5: Results) -> Answer:
    """F5: in the report, half precision was slower at the small batch and faster at the large one."""
    (small_single, small_half), (large_single, large_half) = list(f5.records)[:2], list(f5.records)[-2:]
    slower = quicker(f"*{small_single}* is faster than *{small_half}*.", f5, small_single, small_half)
    gains = _sooner(f5, large_half, large_single, "slower at 155, faster at 1024")
    return Answer(f5, gains.original, gains.here, gains.difference, (slower, *gains.verdicts))


def half_batch_sizes(f6: Results) -> Answer:
    """F6: in the report, batch size 4500 was fastest at half precision."""
    sooner = _sooner(f6, "batch 4500", "batch 128", "4500 best, 9.79 s an epoch")
    near = _quick(f6, "batch 4500", "")
    return Answer(f6, sooner.original, sooner.here, sooner.difference, (*sooner.verdicts, *near.verdicts))


def rates(f6_rate: Results) -> Answer:
    """F6-rate: the report kept the learning rate of 0.1 at the large batch."""
    return choice(f6_rate, "rate 0.1", "0.1 kept")


def half_workers(f7: Results) -> Answer:
    """F7: in the report, three worker processes gained a little time."""
    return _sooner(f7, "3 workers", "0 workers", "3 chosen, gain small")


def widths(f8: Results) -> Answer:
    """F8: in the report, half the channels reached 80 % sooner."""
    reached = [seconds_reached(f8, variant, EASY) for variant in (NARROW, WIDE)]
    shorter = quicker("An epoch of the narrow network is shorter.", f8, NARROW, WIDE, column="epoch_seconds")
    sooner = faster(
        "The narrow network reaches 80 % in less training time (runs that reach it at all).", fast=reached[0], slow=reached[1]
    )
    printed = [[original.seconds_to(rows, EASY) or 0.0] for rows in (original.F8_HALF, original.F8_FULL)]
    theirs, ours = (beside(seconds, {"narrow": each[0], "wide": each[1]}) for each in (printed, reached))
    return Answer(f8, theirs, ours, times(*reached), (shorter, sooner))


def schedules(n1: Results) -> Answer:
    """N1: the worth of a schedule, which the report left for later."""
    ours, theirs = (values(n1, variant, "test_accuracy") for variant in ("one-cycle", "constant"))
    soon = faster(
        "One-cycle reaches 80 % in less training time (runs that reach it at all).",
        fast=seconds_reached(n1, "one-cycle", EASY),
        slow=seconds_reached(n1, "constant", EASY),
    )
    further = more_accurate("One-cycle ends more accurate than a constant rate.", n1, "one-cycle", "constant")
    return Answer(
        n1, "not tried", beside(percent, {"one-cycle": ours, "constant": theirs}), points(ours, theirs), (further, soon)
    )


def _sooner(results: Results, fast: str, slow: str, printed: str) -> Answer:
    """Whether an image takes less time with the variant `fast` than with `slow`."""
    verdict = quicker(f"An image takes less time with *{fast}* than with *{slow}*.", results, fast, slow)
    return _timed(results, fast, slow, printed, verdict)


def _quick(results: Results, chosen: str, printed: str) -> Answer:
    """Whether an image takes at most a tenth longer with the report's choice than with the quickest other variant."""
    best = quickest(results, besides=chosen)
    claim = f"An image takes at most 1.1 times as long with *{chosen}* as with the best other ({best or 'none'})."
    return _timed(results, chosen, best, printed, quicker(claim, results, chosen, best, by=1 / 1.1))


def _timed(results: Results, one: str, other: str, printed: str, verdict: Verdict) -> Answer:
    ours, theirs = (values(results, variant, "image_seconds") for variant in (one, other))
    return Answer(results, printed, beside(milliseconds, {one: ours, other: theirs}), times(ours, theirs), (verdict,))


QUESTIONS: Questions = {
    "F1": (batch_sizes, ("F1",)),
    "F2": (fine_batch_sizes, ("F2",)),
    "F3": (workers, ("F3",)),
    "F4": (image_sizes, ("F4", "F4-time")),
    "F5": (precisions, ("F5",)),
    "F6": (half_batch_sizes, ("F6",)),
    "F6-rate": (rates, ("F6-rate",)),
    "F7": (half_workers, ("F7",)),
    "F8": (widths, ("F8",)),
    "N1": (schedules, ("N1",)),
}
