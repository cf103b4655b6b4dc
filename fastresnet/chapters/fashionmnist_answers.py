"""Answers of the FashionMNIST chapter: what each step came to, beside the report's figures, with verdicts, figure and tables."""

from dataclasses import replace
from functools import partial

from matplotlib.figure import Figure

from fastresnet import report
from fastresnet.chapters.fashionmnist_widths import EPOCH, initial_weights, schedules, widths
from fastresnet.report import figures, jumps, quickest, selection, style, values
from fastresnet.report.answers import Answer, Questions, choice, mean, own, sentence, timed
from fastresnet.report.claims import quicker
from fastresnet.report.verdicts import Verdict, difference, our_own
from fastresnet.study import Results


def batch_sizes(f1: Results) -> Answer:
    """F1: in the report, batch size 128 already had nearly the shortest epoch."""
    return _nearly_quickest(f1, "batch 128", "128 near the minimum")


def fine_batch_sizes(f2: Results) -> Answer:
    """F2: the report chose batch size 155; differences were small."""
    answer = _timed(f2, "batch 155", "batch 128", "155 chosen, differences small", *_hardly_slower(f2, "batch 155", "batch 128"))
    return replace(answer, tables=(*answer.tables, selection.choices(f2, "image_seconds", best="lowest")))


def workers(f3: Results) -> Answer:
    """F3: in the report, one worker process gained time, and more did not."""
    more = quickest(f3, besides=["0 workers", "1 worker"])
    verdicts = (quicker(f3, "1 worker", "0 workers"), quicker(f3, "1 worker", more, at_most=1.1))
    return _timed(f3, "1 worker", "0 workers", "0 to 1 faster, then flat", *verdicts)


def image_sizes(f4: Results, timed: Results) -> Answer:
    """F4: in the report, 48 pixels were fastest, and accuracy was unsteady at 24."""
    answer = _timed(timed, "48 x 48", "24 x 24", "48 fastest, 24 unsteady", quicker(timed, "48 x 48", "24 x 24"))
    question = "From one epoch to the next, does test accuracy move more at *24 x 24* than at *48 x 48* (medians)?"
    small, large = (values(f4, size, "test_accuracy") for size in ("24 x 24", "48 x 48"))
    ends = sentence(f" Accuracy ends at {mean(small)} with 24 x 24 pixels, at {mean(large)} with 48 x 48.", small, large)
    unsteady = difference(question, "It moves {} {more|less}", jumps(f4, "24 x 24"), jumps(f4, "48 x 48"))
    return replace(
        answer,
        summary=answer.summary + ends,
        verdicts=(*answer.verdicts, unsteady),
        figure=partial(_image_size_figure, f4, timed),
        tables=(*answer.tables, report.generalisation(f4)),
    )


def _image_size_figure(f4: Results, timed: Results) -> Figure:
    figure, (above, below) = style.panels(5.0, 2)
    figures.step_parts(timed, above)
    figures.name_lines(below, figures.accuracy_by_epoch(f4, below))
    return figures.titled(figure, f4)


def precisions(f5: Results) -> Answer:
    """F5: in the report, half precision was slower at its batch of 155 and took about 11 s per epoch at 1024."""
    by_size = sorted(f5.records, key=lambda variant: f5.records[variant][0].config.data.batch_size)
    (small_single, small_half), (large_single, large_half) = by_size[:2], by_size[-2:]
    verdicts = (quicker(f5, small_single, small_half),) * (small_half != large_half)
    verdicts += (our_own(quicker(f5, large_half, large_single)),)
    return _timed(f5, small_half, small_single, "slower at 155; about 11 s per epoch at 1024", *verdicts)


def half_batch_sizes(f6: Results) -> Answer:
    """F6: in the report, time fell about as one over the batch size at half precision, and 4500 was fastest."""
    answer = _nearly_quickest(f6, "batch 4500", "4500 best, 9.79 s per epoch")
    return replace(answer, verdicts=(quicker(f6, "batch 4500", "batch 128", at_most=0.5), *answer.verdicts))


def rates(f6_rate: Results) -> Answer:
    """F6-rate: the report kept the learning rate of 0.1 at the large batch."""
    return choice(
        f6_rate, "rate 0.1", "0.1 kept", figure=partial(figures.curves, f6_rate), tables=[report.generalisation(f6_rate)]
    )


def half_workers(f7: Results) -> Answer:
    """F7: in the report, three worker processes gained a little time."""
    return _timed(f7, "3 workers", "0 workers", "3 chosen, gain small", *_hardly_slower(f7, "3 workers", "0 workers"))


def _hardly_slower(results: Results, one: str, other: str) -> tuple[Verdict, Verdict]:
    """Whether the report's choice takes at most a tenth longer than another variant, as it claims, and whether it takes less."""
    return quicker(results, one, other, at_most=1.1), our_own(quicker(results, one, other))


def _nearly_quickest(results: Results, chosen: str, printed: str) -> Answer:
    """Whether an image takes at most a tenth longer with the report's choice than with the quickest other variant."""
    best = quickest(results, besides=chosen)
    return _timed(results, chosen, best, printed, quicker(results, chosen, best, at_most=1.1))


def _timed(results: Results, one: str, other: str, printed: str, *verdicts: Verdict) -> Answer:
    """Two variants by the time that an image takes, at the report's own scale."""
    tables = (report.timed(results, EPOCH),)
    return timed(results, one, other, printed, verdicts, figure=partial(figures.parts, results), tables=tables)


QUESTIONS: Questions = {
    "F1": (batch_sizes,),
    "F2": (fine_batch_sizes,),
    "F3": (workers,),
    "F4": (image_sizes, "F4-time"),
    "F5": (precisions,),
    "F6": (half_batch_sizes,),
    "F6-rate": (own(rates),),
    "F7": (half_workers,),
    "F8": (widths, "F8-time", "F8-pace"),
    "F8-init": (own(initial_weights),),
    "N1": (own(schedules), "F8-pace"),
}
