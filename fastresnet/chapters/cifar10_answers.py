"""Answers of the CIFAR-10 chapter: tests of each step's claims, with the report's figures and ours."""

from itertools import pairwise

import pandas as pd

from fastresnet.report import most_accurate, original, values
from fastresnet.report.answers import Answer, Questions, beside, choice, percent, points
from fastresnet.report.claims import more_accurate, quicker
from fastresnet.report.selection import held_out
from fastresnet.report.verdicts import equivalent, higher, within
from fastresnet.study import Results, Study

ACCURACY = "test_accuracy"


def rates(c1: Results) -> Answer:
    """C1: in the report, 0.15 was the best constant learning rate."""
    return choice(c1, "rate 0.15", "0.15 best")


def long_run(c2: Results) -> Answer:
    """C2: in the report, a long run over-fitted."""
    train, test = (values(c2, "no dropout", f"{part}_accuracy") for part in ("train", "test"))
    gap = higher(
        "Training accuracy ends more than ten points above test accuracy.", high=train, low=test, margin=0.1, paired=True
    )
    here = f"training {percent(train)}, test {percent(test)}"
    return Answer(c2, 'training "far above" validation', here, points(train, test), (gap,))


def dropouts(c3: Results) -> Answer:
    """C3: in the report, dropout lowered training accuracy and did not help."""
    strongest = list(c3.records)[-1]
    fits = more_accurate(
        f"*no dropout* ends with a higher training accuracy than *{strongest}*.",
        c3,
        "no dropout",
        strongest,
        column="train_accuracy",
    )
    return choice(c3, "no dropout", "no gain", [fits])


def momenta(c4: Results) -> Answer:
    """C4: in the report, momenta of 0.5 and 0.75 were close, and the lower fitted the training images better."""
    half, high = ([values(c4, f"momentum {m}", column) for column in (ACCURACY, "train_accuracy")] for m in ("0.5", "0.75"))
    close = equivalent("Momentum 0.5 and 0.75 are within one point on the test set.", half[0], high[0], margin=0.01)
    fits = higher("Momentum 0.5 ends higher on the training set than 0.75.", half[1], high[1])
    here = beside(percent, {"0.5": half[0], "0.75": high[0]})
    return Answer(c4, "0.5 and 0.75 close", here, points(half[0], high[0]), (close, fits))


def rates_with_momentum(c5: Results) -> Answer:
    """C5: in the report, a rate of 0.04 was best, accuracy fell as the rate grew, and the network over-fitted."""
    largest = list(c5.records)[-1]
    train, test = (values(c5, "rate 0.04", f"{part}_accuracy") for part in ("train", "test"))
    falls = more_accurate(f"A rate of 0.04 is more accurate than the largest ({largest}).", c5, "rate 0.04", largest)
    gap = "At 0.04 training accuracy ends more than ten points above test accuracy."
    return choice(c5, "rate 0.04", "0.04 best", [falls, higher(gap, train, test, margin=0.1, paired=True)])


def weight_decays(c6: Results) -> Answer:
    """C6: in the report, a weight decay of 0.015 was best."""
    claim = "A weight decay of 0.015 is more accurate than none."
    helps = more_accurate(claim, c6, "weight decay 0.015", "weight decay 0")
    return choice(c6, "weight decay 0.015", '0.015 best, "barely 70 %"', [helps])


def schedules(c7: Results) -> Answer:
    """C7: the report found one cycle the fastest schedule. Tests that it ends most accurate."""
    rival = most_accurate(c7, besides="one-cycle")
    claim = f"One-cycle ends more accurate than the best of the others ({rival})."
    ours, theirs = (values(c7, variant, ACCURACY) for variant in ("one-cycle", rival))
    here = beside(percent, {"one-cycle": ours, rival: theirs})
    return Answer(c7, 'one-cycle "fastest"', here, points(ours, theirs), (higher(claim, ours, theirs),))


def maxima(c8: Results) -> Answer:
    """C8: in the report, maxima mattered little, and it chose 0.1. Also tests whether a momentum that moves helps."""
    kept = list(c8.records)[-1]
    one, two = (values(c8, f"maximum {value}", ACCURACY) for value in (0.1, 0.2))
    close = equivalent("Maxima of 0.1 and 0.2 are within two points.", one, two, margin=0.02)
    moves = more_accurate(f"Momentum that moves is more accurate than *{kept}*.", c8, "maximum 0.1", kept)
    return choice(c8, "maximum 0.1", "0.1 chosen, most near 77 %", [close, moves])


def flips(c9: Results) -> Answer:
    """C9: in the report, flips helped. Also tests that flips of the test images hardly matter."""
    plain, flipped, both = (values(c9, name, ACCURACY) for name in c9.records)
    helps = higher("Flips in training raise the accuracy at the end.", flipped, plain)
    harmless = equivalent("Flips of the test images change it by less than half a point.", both, flipped, margin=0.005)
    printed = original.C9[-1].test_accuracy
    return Answer(c9, percent([printed]), percent(both), points(both, [printed]), (helps, harmless))


def moved_once_an_epoch(c9_epochs: Results) -> Answer:
    """C9-epochs: whether a schedule moved on once per epoch explains the report's curve."""
    slow = values(c9_epochs, "once an epoch", ACCURACY)
    printed = original.C9[-1].test_accuracy
    claim = "A schedule moved on once per epoch ends within two points of the report's accuracy."
    verdict = within(claim, [accuracy - printed for accuracy in slow], margin=0.02)
    return Answer(c9_epochs, percent([printed]), percent(slow), points(slow, [printed]), (verdict,))


def activations(c10: Results) -> Answer:
    """C10: in the report, ReLU was best, and times were about equal."""
    slowest = str(c10.frame().groupby("variant")["epoch_seconds"].mean().idxmax())
    claim = f"An epoch with the slowest ({slowest}) takes at most 1.1 times as long as with ReLU."
    cheap = quicker(claim, c10, slowest, "relu", by=1 / 1.1, column="epoch_seconds")
    return choice(c10, "relu", "ReLU best, times equal", [cheap])


def batch_sizes(c11: Results, in_equal_steps: Results, timed: Results) -> Answer:
    """C11: in the report, smaller batches were more accurate, and not slower."""
    large, *smaller = c11.records
    best = most_accurate(c11, besides=large)
    ours, theirs = (values(c11, variant, ACCURACY) for variant in (best, large))
    verdicts = (
        higher(f"After the same epochs, the best smaller batch ({best}) is more accurate than *{large}*.", ours, theirs),
        more_accurate(
            f"After the same steps, *{large}* is more accurate than *{smaller[-1]}*.", in_equal_steps, large, smaller[-1]
        ),
        quicker(
            f"An epoch at {best} takes at most 1.1 times as long as at {large}.",
            timed,
            best,
            large,
            by=1 / 1.1,
            column="fastest_epoch_seconds",
        ),
    )
    here = beside(percent, {best: ours, large: theirs})
    return Answer(c11, "smaller better, 10.76 for 11.05 s", here, points(ours, theirs), verdicts)


def maxima_in_small_batches(c12: Results) -> Answer:
    """C12: in the report, a maximum of 0.075 was best; it gave the fast model's 83.06 %."""
    chosen = values(c12, "maximum 0.075", ACCURACY)
    printed, _ = original.C13["base"]
    answer = choice(c12, "maximum 0.075", "")
    return Answer(c12, f"0.075 best, {percent([printed])}", answer.here, points(chosen, [printed]), answer.verdicts)


def architectures(c13: Results) -> Answer:
    """C13: in the report, no pool, a 3x3 stem, and both raised accuracy, in this order; an extra convolution did nothing."""
    steps = [name for name in ("base", "no pool", "3x3 stem", "3x3 stem, no pool") if name in c13.records]
    verdicts = [
        more_accurate(f"*{after}* is more accurate than *{before}*.", c13, after, before) for before, after in pairwise(steps)
    ]
    if "extra convolution" in c13.records:
        accuracies = (values(c13, variant, ACCURACY) for variant in ("extra convolution", "base"))
        verdicts.append(equivalent("*extra convolution* is within one point of *base*.", *accuracies, margin=0.01))
    best = next((name for name in reversed(original.C13) if name in steps), "")
    printed, ours = ([original.C13[best][0]], values(c13, best, ACCURACY)) if best else ([], [])
    return Answer(c13, beside(percent, {best: printed}), beside(percent, {best: ours}), points(ours, printed), tuple(verdicts))


def schedules_by_hand(n2: Results) -> Answer:
    """N2: whether a schedule made by hand is more accurate than one cycle."""
    return _instead(n2, "one-cycle", "The best schedule made by hand ({}) is more accurate than one cycle.")


def tails(n3: Results) -> Answer:
    """N3: whether a constant rate at the end is more accurate than annealing to zero."""
    return _instead(n3, "to nothing", "The best tail ({}) is more accurate than one cycle to nothing.")


def _instead(results: Results, usual: str, claim: str) -> Answer:
    """Whether the best variant that the report left untried is more accurate than its own."""
    rival = most_accurate(results, besides=usual)
    ours, theirs = (values(results, variant, ACCURACY) for variant in (rival, usual))
    here = beside(percent, {rival: ours, usual: theirs})
    return Answer(results, "not tried", here, points(ours, theirs), (higher(claim.format(rival), ours, theirs),))


QUESTIONS: Questions = {
    "C1": (rates, ("C1",)),
    "C2": (long_run, ("C2",)),
    "C3": (dropouts, ("C3",)),
    "C4": (momenta, ("C4",)),
    "C5": (rates_with_momentum, ("C5",)),
    "C6": (weight_decays, ("C6",)),
    "C7": (schedules, ("C7",)),
    "C8": (maxima, ("C8",)),
    "C9": (flips, ("C9",)),
    "C10": (activations, ("C10",)),
    "C11": (batch_sizes, ("C11", "C11-steps", "C11-time")),
    "C12": (maxima_in_small_batches, ("C12",)),
    "C13": (architectures, ("C13",)),
    "N2": (schedules_by_hand, ("N2",)),
    "N3": (tails, ("N3",)),
}

CHAIN = {
    "C1": ("rate 0.15", None),
    "C4": ("momentum 0.5", None),
    "C5": ("rate 0.04", None),
    "C6": ("weight decay 0.015", 0.70),  # "barely 70 %"
    "C7": ("one-cycle", None),
    "C8": ("maximum 0.1", 0.77),  # "most end near 77 %"
    "C9": ("flips in training", original.C9[-1].test_accuracy),
    "C10": ("relu", None),
    "C11": ("batch 1125", None),
    "C12": ("maximum 0.075", original.C13["base"][0]),
    "C13": ("3x3 stem, no pool", original.C13["3x3 stem, no pool"][0]),
}
"""By step: the variant that the report chose, and the accuracy that it prints, if any."""


def chain(study: Study) -> pd.DataFrame:
    """One row per step from C1 to C13, with accuracies in [0, 1]: `report` (as printed), `here`, `low` and `high` (mean, lowest
    and highest of our runs with the report's choice), and `held_out` (the variant that is best on half of the test images, on
    the other half). NaN if nothing is printed or recorded."""
    rows = {}
    for step, (chosen, printed) in CHAIN.items():
        results = study.recorded(step)
        ours = pd.Series(values(results, chosen, ACCURACY) if results else [], dtype=float)
        rows[step] = {
            "report": printed,
            "here": ours.mean(),
            "low": ours.min(),
            "high": ours.max(),
            "held_out": held_out(results) if results else None,
        }
    return pd.DataFrame.from_dict(rows, orient="index", dtype=float)
