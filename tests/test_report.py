"""Tables of a chapter against what can be worked out by hand."""

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fastresnet import report
from fastresnet.records import store
from fastresnet.records.record import StepSeconds
from fastresnet.report import answers, captions, claims, figures, page, selection, verdicts
from fastresnet.report.answers import Answer
from fastresnet.report.original import OriginalEpoch
from fastresnet.report.page import overview

from .made_up import record_of, results_of


@pytest.fixture
def record(tiny):
    parts = StepSeconds(loader=0.1, transfer=0.2, forward=0.3, backward=0.4, optimiser=0.5)
    return record_of(tiny.with_changes({"data.train_images": 120}), 0.5, 0.6, step_seconds=parts)


def changed(record, *, accuracies, train_accuracy=0.5):
    """A record of the same configuration with other accuracies, a test accuracy an epoch."""
    return record_of(record.config, *accuracies, train_accuracy=train_accuracy)


def lasting(record, seconds):
    """A record of the same configuration and machine whose epochs take these seconds."""
    return record_of(record.config, 0.5, 0.6, seconds=seconds, machine=record.machine)


def test_results_at_another_pace_reach_an_accuracy_by_its_seconds(record):
    alone = record.model_copy(update={"machine": record.machine.model_copy(update={"threads": 2})})
    elsewhere = record.model_copy(update={"machine": record.machine.model_copy(update={"processor": "another"})})
    timed = results_of(a=[lasting(record, 7), lasting(elsewhere, 9)], b=[lasting(record, 20)], c=[record])
    paced = report.at_pace(results_of(a=[record], b=[record, elsewhere], c=[alone], d=[elsewhere]), timed)
    assert [report.seconds_reached(paced, variant, 0.6) for variant in "ab"] == [[14.0], [40.0] * 2]  # two epochs of 120 images
    assert [report.values(paced, variant, "train_seconds") for variant in "ab"] == [[14.0], [40.0] * 2]
    assert paced.records["a"][0].seconds.evaluate == record.seconds.evaluate
    assert (paced.records["c"], paced.records["d"]) == ((alone,), (elsewhere,))
    (other,) = report.at_pace(results_of(a=[record]), timed, like="b").records["a"]
    assert other.seconds.train == 40


def test_run_that_diverged_has_no_accuracy_even_if_it_was_evaluated(record):
    lost = record.model_copy(update={"outcome": record.outcome.model_copy(update={"status": "diverged"})})
    results = results_of(a=[record, lost])
    assert results.frame()[["test_accuracy", "settled_accuracy", "train_accuracy"]].isna().all(axis=1).tolist() == [False, True]
    assert answers.percent(report.values(results, "a", "test_accuracy")) == "60.0 % (1 of 2 diverged)"
    assert [store._row(each)["train_accuracy"] for each in (record, lost)] == [0.5, None]


def test_number_of_runs_is_that_of_the_mean_beside_it(record):
    lost = record.model_copy(update={"outcome": record.outcome.model_copy(update={"status": "diverged"})})
    results = results_of(a=[record, record, lost])
    assert report.generalisation(results).loc["a", "runs"] == 2
    assert report.beside_original(results, "test_accuracy", {}, unit="%").loc["a", "runs"] == 2
    assert "60.00 ± 0.00 % (n = 2, 1 of 3 diverged)" in report.describe_runs([record, record, lost])
    assert "— % (n = 0, 2 of 2 diverged)" in report.describe_runs([lost, lost])
    assert results.frame()["train_seconds"].isna().tolist() == [False, False, True]


def test_seconds_of_an_epoch_are_those_of_a_whole_one(record):
    uneven = record.model_copy(update={"epochs": (lasting(record, 3).epochs[0], *record.epochs[1:])})
    part = record_of(record.config.with_changes({"train.epochs": 1.5}), 0.5, 0.6)
    frame = results_of(a=[uneven, part]).frame()
    assert frame["epoch_seconds"].tolist() == pytest.approx([2, 4 / 1.5])
    assert frame["fastest_epoch_seconds"][0] == 2


def test_pace_of_a_part_of_an_epoch(record):
    config = record.config.with_changes({"train.epochs": 1.5})
    part = record_of(config, 0.5, 0.6)
    whole = 0.1 * part.data.train_images
    (paced,) = report.at_pace(results_of(a=[part]), results_of(a=[lasting(part, whole)])).records["a"]
    assert [epoch.train_seconds for epoch in paced.epochs] == pytest.approx([whole, whole / 2])
    assert paced.seconds.train == pytest.approx(1.5 * whole)


def test_choices_count_every_way_of_drawing_one_run_a_variant(record):
    a = [changed(record, accuracies=[value]) for value in (0.60, 0.80)]
    b = [changed(record, accuracies=[value]) for value in (0.70, 0.75)]
    table = selection.choices(results_of(a=a, b=b), "test_accuracy", best="highest")
    assert list(table["chosen by single runs"]) == ["50 %", "50 %"]  # 0.8 beats both, 0.6 none
    table = selection.choices(results_of(a=a, b=b, c=[changed(record, accuracies=[0.72])]), "test_accuracy", best="highest")
    assert list(table["chosen by single runs"]) == ["50 %", "25 %", "25 %"]
    lost = [changed(record, accuracies=[None])]
    for best in ("highest", "lowest"):
        table = selection.choices(results_of(a=a, c=lost), "test_accuracy", best=best)
        assert table["chosen by single runs"].tolist() == ["100 %", "0 %"]
    table = selection.choices(results_of(a=a, b=b), "test_accuracy", best="lowest")
    assert table.loc["a", "mean, %"].startswith("70.00")


def test_selection_bias_is_what_the_best_run_has_over_its_variant_s_others(record):
    a = [changed(record, accuracies=[value]) for value in (0.60, 0.80)]
    b = [changed(record, accuracies=[value]) for value in (0.70, 0.75)]
    # four draws: b's 0.70 and 0.75 beat a's 0.60, a's 0.80 beats both
    assert selection.selection_bias(results_of(a=a, b=b)) == pytest.approx((-0.05 + 0.05 + 0.20 + 0.20) / 4)
    assert math.isnan(selection.selection_bias(results_of(a=a, b=b[:1])))


def test_run_that_diverged_is_never_the_best_and_hides_no_other(record):
    a = [changed(record, accuracies=[value]) for value in (0.60, 0.80)]
    lost = changed(record, accuracies=[None])
    assert selection.selection_bias(results_of(a=a, b=[lost, lost])) == pytest.approx(0)
    # of six draws a's 0.80 wins three, its 0.60 one, b's 0.70 and 0.75 one each
    b = [lost, *(changed(record, accuracies=[value]) for value in (0.70, 0.75))]
    assert selection.selection_bias(results_of(a=a, b=b)) == pytest.approx((3 * 0.20 - 0.20 - 0.05 + 0.05) / 6)
    assert math.isnan(selection.selection_bias(results_of(a=a, b=[lost, b[1]])))
    assert selection.selection_bias(results_of(a=a)) == pytest.approx(0)  # nothing to choose from


def test_draws_that_tie_say_nothing_of_selection_bias(record):
    a = [changed(record, accuracies=[value]) for value in (0.60, 0.80)]
    assert math.isnan(selection.selection_bias(results_of(a=a[:1] * 2, b=a[:1] * 2)))
    # of four draws two tie; where a's 0.80 meets b's 0.60 and the other way round, one is twenty points too good
    assert selection.selection_bias(results_of(a=a, b=a)) == pytest.approx(0.20)


def test_jumps_are_median_moves_between_epochs(record):
    found = results_of(a=[changed(record, accuracies=[0.5, 0.7, 0.6, 0.55]), changed(record, accuracies=[0.5, 0.5, 0.5])])
    assert report.jumps(found, "a") == pytest.approx([0.1, 0.0])
    assert report.jumps(found, "not run") == []


def test_generalisation_is_the_gap_between_training_and_test(record):
    found = results_of(
        a=[changed(record, accuracies=[0.6], train_accuracy=0.7), changed(record, accuracies=[0.5], train_accuracy=0.8)]
    )
    assert report.generalisation(found).loc["a"].tolist() == ["75.00 ± 7.07", "55.00 ± 7.07", "20.00 ± 14.14", 2]


def test_epochs_show_what_the_original_prints_of_any_variant(record):
    runs = [changed(record, accuracies=[0.5, 0.6], train_accuracy=0.4)]
    found = results_of(a=runs, b=runs)
    table = report.epochs_beside_original(found, {"a": (OriginalEpoch(1, 0.51, train_accuracy=0.42),)})
    assert list(table.columns) == [
        ("a", "test accuracy, %", "original"),
        ("a", "test accuracy, %", "here"),
        ("a", "training accuracy, %", "original"),
        ("a", "training accuracy, %", "here"),
        ("b", "test accuracy, %", "here"),
        ("b", "training accuracy, %", "here"),
    ]
    assert table["a", "test accuracy, %", "original"].tolist() == ["51.00", "not printed"]
    assert table["b", "test accuracy, %", "here"].tolist() == ["50.0", "60.0"]
    longer = report.epochs_beside_original(found, {"a": [OriginalEpoch(each, 0.51, train_accuracy=0.42) for each in (1, 2, 3)]})
    assert longer["a", "test accuracy, %", "here"].tolist() == ["50.0", "60.0"]  # the third was not run here


def test_nothing_that_the_original_prints_stands_beside_runs_on_another_data_set(record):
    found = results_of(a=[changed(record, accuracies=[0.5])])
    other = replace(found, experiment=replace(found.experiment, dataset="fashion-mnist"))
    rows = [OriginalEpoch(1, 0.51)]
    assert list(report.beside_original(other, "test_accuracy", {"a": "51"}, unit="%").columns) == ["here, %", "runs"]
    assert [column for *_, column in report.epochs_beside_original(other, {"a": rows}).columns] == ["here"]
    assert [len(figures.train_and_test(each, original=rows).axes[0].texts) for each in (found, other)] == [2, 1]  # named lines
    assert answers.to_report(other, [0.5], 0.51) == "another data set"
    assert answers.to_report(found, [0.5], 0.51) == "fewer images"
    assert captions.brief(other).startswith("*cpu edition on fashion-sample: 120 ")
    assert captions.brief(found).startswith("*cpu edition: 120 ")
    plt.close("all")


@pytest.mark.parametrize(("epochs", "said"), [(10, "+1.00 points against the report"), (15, "other epochs")])
def test_only_runs_of_the_reports_scale_and_epochs_are_compared_with_it(tiny, epochs, said):
    config = tiny.with_changes({"data.name": "fashion-mnist", "data.train_images": 60_000, "train.epochs": epochs})
    assert answers.to_report(results_of(a=[record_of(config, 0.5)]), [0.50, 0.52], 0.50) == said


def test_ratio_of_times_is_that_of_their_geometric_means():
    assert answers.times([1, 4], [1, 1]) == "2.00 times the time"


def test_scale_is_that_of_the_longest_run(record):
    short, long = (record_of(record.config.with_changes({"train.epochs": epochs}), 0.5) for epochs in (1, 3))
    assert answers.scale(results_of(a=[short], b=[long], c=[record])) == "120 x 3, n = 1"


def test_timed_runs_are_extrapolated_from_the_parts_of_their_steps(record):
    found = results_of(a=[record])
    parts = record.step_seconds.model_dump()
    row = report.timed(found, epoch_images=60_000).loc["a"]
    assert row["images per second"] == "160"  # 240 images in 1.5 s
    assert row["steps"] == 8  # two epochs of four batches, the last of which is smaller
    assert float(row["seconds per epoch, extrapolated"]) == pytest.approx(60_000 * sum(parts.values()) / 240, abs=0.06)
    assert float(row["forward, ms"]) == pytest.approx(1e3 * parts["forward"] / 240, abs=0.006)


def test_bars_of_the_parts_are_as_long_as_an_image_takes(record):
    figure, ax = plt.subplots()
    figures.step_parts(results_of(a=[record]), ax)
    ends = [bar.get_x() + bar.get_width() for bar in ax.patches]
    assert max(ends) == pytest.approx(1e3 * sum(record.step_seconds.model_dump().values()) / 240)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(record.step_seconds.model_dump())
    plt.close(figure)


def test_training_and_test_curves_are_drawn_apart(record):
    figure, ax = plt.subplots()
    figures.train_and_test_accuracy(results_of(a=[changed(record, accuracies=[0.5, 0.6], train_accuracy=0.9)]), ax)
    training, test = ax.get_lines()
    assert list(test.get_ydata()) == pytest.approx([50, 60])
    assert list(training.get_ydata()) == pytest.approx([90, 90])
    plt.close(figure)


def test_seconds_of_training_are_counted_run_by_run(record):
    figure, ax = plt.subplots()
    figures.accuracy_by_seconds(results_of(a=[record, record.model_copy(update={"seed": 1})]), ax)
    assert list(ax.get_lines()[0].get_xdata()) == [2, 4]
    plt.close(figure)


def test_finding_names_the_best_and_the_worst_variant_and_counts_their_runs(record):
    a = [changed(record, accuracies=[value]) for value in (0.60, 0.80)]
    b = [changed(record, accuracies=[value]) for value in (0.70, 0.75, 0.74)]
    c = [changed(record, accuracies=[None])]  # diverged: no accuracy to compare
    assert report.finding(results_of(a=a, b=b, c=c), "test_accuracy") == (
        "The highest test accuracy is 73.00 % (“b”), the lowest 70.00 % (“a”), as means of 2 to 3 runs each. "
        "Every run of “c” diverged."
    )
    assert report.finding(results_of(a=a, c=c), "test_accuracy") == (
        "The test accuracy of “a” is 70.00 %, the mean of 2 runs. Every run of “c” diverged."
    )


def test_claims_look_up_the_runs_that_they_compare(record):
    low = [changed(record, accuracies=[value], train_accuracy=0.9) for value in (0.60, 0.61, 0.62)]
    high = [changed(record, accuracies=[value], train_accuracy=0.75) for value in (0.70, 0.71, 0.72)]
    results = results_of(low=low, high=high)
    assert claims.more_accurate(results, "high", "low").outcome == "yes"
    assert claims.more_accurate(results, "low", "high").outcome == "no"
    assert claims.more_accurate(results, "low", "high", margin=-0.2).outcome == "yes"
    assert claims.more_accurate(results, "high", "none").outcome == "not asked"
    assert claims.equally_accurate(results, "high", "low", margin=0.01).outcome == "no"
    assert claims.fits_better(results, "low", "high").outcome == "yes"
    assert claims.overfits(results, "low").outcome == "yes"
    assert claims.overfits(results, "high").outcome == "no"


@pytest.mark.parametrize(
    ("margin", "question"),
    [
        (0.0, "Is “b” more accurate than “a”?"),
        (0.2, "Is “b” more than 20 points more accurate than “a”?"),
        (-0.01, "Is “b” at most 1 point less accurate than “a”?"),
    ],
)
def test_question_says_how_much_more_accurate(record, margin, question):
    runs = [changed(record, accuracies=[0.5])]
    assert claims.more_accurate(results_of(a=runs, b=runs), "b", "a", margin=margin).question == question


def test_quicker_takes_the_first_variant_for_the_fast_one_and_quickest_finds_it(record):
    def timed(*seconds):
        return [record.model_copy(update={"seconds": record.seconds.model_copy(update={"train": value})}) for value in seconds]

    results = results_of(fast=timed(1.0, 1.1, 1.05), slow=timed(3.0, 3.1, 3.05))
    assert claims.quicker(results, "fast", "slow", column="train_seconds").outcome == "yes"
    assert claims.quicker(results, "slow", "fast", column="train_seconds", at_most=2).outcome == "no"
    assert claims.quicker(results, "slow", "fast", column="train_seconds", at_most=4).outcome == "yes"
    assert [report.quickest(results, besides=name) for name in ("-", "fast")] == ["fast", "slow"]
    assert report.quickest(results, besides=["fast", "slow"]) == ""


def test_provenance_sorts_numbers_and_names_the_ends_of_many(record):
    def sizes(*numbers):
        runs = {
            number: record.model_copy(update={"data": record.data.model_copy(update={"train_images": number})})
            for number in numbers
        }
        return results_of(**{f"{number} images": [run] for number, run in runs.items()})

    assert report.provenance(sizes(1024, 900)).startswith("X, cpu edition: ")
    assert "trained on 900 or 1,024 training images" in report.provenance(sizes(1024, 900))
    assert "trained on 64 to 10,192 training images" in report.provenance(sizes(1024, 10192, 64, 2048))


def test_run_is_described_with_its_operations_and_their_rate(record):
    assert "training 4.0 s (6.00 TFLOP, 1500 GFLOP/s)" in report.describe_run(record)


def test_operations_are_numbers_that_can_be_read():
    assert [report.teraflop(operations) for operations in (1.2344e9, 9.674e14, 4.5523e15)] == ["0.00123", "967", "4,552"]


def test_choice_is_held_against_the_best_of_the_others(record):
    runs = {
        name: [changed(record, accuracies=[value]) for value in values]
        for name, values in {"chosen": (0.70, 0.71, 0.72), "other": (0.60, 0.61, 0.62), "rival": (0.75, 0.76, 0.77)}.items()
    }
    answer = answers.choice(results_of(**runs), "chosen", "chosen best", figure=plt.figure)
    assert answer.here == "chosen: 71.0 ± 1.0 %; rival: 76.0 ± 1.0 %"
    assert (answer.difference, [verdict.outcome for verdict in answer.verdicts]) == ("-5.00 points", ["no"])
    assert answer.sentence == (
        "“rival” did best, with 76.0 %. The report's choice, “chosen”, has 71.0 %, more than a point below it."
    )
    best = answers.choice(results_of(**runs), "rival", "rival best", figure=plt.figure)
    assert best.sentence == "The report's choice, “rival”, did best here, too: 76.0 %. Next is “chosen” with 71.0 %."


def test_choice_at_a_constant_rate_is_by_the_last_five_epochs(record):
    steady = changed(record, accuracies=[0.1, 0.70, 0.70, 0.70, 0.70, 0.70])
    lucky = changed(record, accuracies=[0.9, 0.66, 0.66, 0.66, 0.66, 0.72])
    results = results_of(steady=[steady], lucky=[lucky])
    by_end, settled = (
        answers.choice(results, "steady", "best", figure=plt.figure, column=column)
        for column in (report.ACCURACY, report.SETTLED)
    )
    assert (by_end.here, settled.here) == ("steady: 70.0 %; lucky: 72.0 %", "steady: 70.0 %; lucky: 67.2 %")
    assert [each.outcome for each in (*by_end.verdicts, *settled.verdicts)] == ["points to no", "points to yes"]
    assert by_end.sentence.startswith("“lucky” did best, in one run of each, with 72.0 %.")
    assert settled.sentence.endswith("These are means over the evaluations of the last five epochs.")


def test_settled_accuracy_of_a_run_without_one_at_its_end_is_unknown(record):
    assert changed(record, accuracies=[0.5, 0.7]).settled_accuracy == pytest.approx(0.6)
    assert changed(record, accuracies=[0.5, None]).settled_accuracy is None
    sparse = changed(record, accuracies=[0.5, None, None, None, None, 0.7])
    assert sparse.settled_accuracy == 0.7  # of the last five epochs, one was evaluated


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ((0.70, 0.71, 0.72), (0.60, 0.61, 0.62), "“a” is more accurate: 71.0 %, against 61.0 % with “b”."),
        ((0.60, 0.61, 0.62), (0.70, 0.71, 0.72), "“a” is less accurate: 61.0 %, against 71.0 % with “b”."),
        ((0.61, 0.61, 0.611), (0.61, 0.61, 0.611), "“a” is no more accurate: 61.0 %, against 61.0 % with “b”."),
        (
            (0.5, 0.6, 0.7),
            (0.5, 0.6, 0.65),
            "These runs cannot tell whether “a” is more accurate: 60.0 %, against 58.3 % with “b”.",
        ),
        ((0.7,), (0.6,), "So far “a” is more accurate: 70.0 %, against 60.0 % with “b”."),
    ],
)
def test_duel_begins_with_the_answer(record, ours, theirs, said):
    results = results_of(
        a=[changed(record, accuracies=[each]) for each in ours], b=[changed(record, accuracies=[each]) for each in theirs]
    )
    assert answers.duel(results, "a", "b", "-", (), figure=plt.figure, tables=()).sentence == said


def test_choice_without_its_variants_asks_nothing_and_tells_what_was_run(record):
    runs = [changed(record, accuracies=[value]) for value in (0.70, 0.71, 0.72)]
    (chosen, others) = (results_of(chosen=runs), results_of(a=runs, b=runs[:2]))
    alone = replace(answers.choice(chosen, "chosen", "chosen best", figure=plt.figure), results=(chosen,))
    assert (alone.here, alone.difference, alone.asked) == ("chosen: 71.0 ± 1.0 %", "—", [])
    assert alone.sentence == "The test accuracy of “chosen” is 71.00 %, the mean of 3 runs."
    without = replace(answers.choice(others, "chosen", "chosen best", figure=plt.figure), results=(others,))
    assert without.asked == []
    assert without.sentence.startswith("The highest test accuracy is 71.00 % (“a”)")


def test_table_of_answers_has_a_row_each_that_links_to_its_section(record):
    results = results_of(a=[changed(record, accuracies=[0.5])])
    verdict = verdicts.Verdict("Is it so?", "points to yes", "It is.", "n")
    found = {
        name: Answer("<b>", "“a” 50 %", "+1", verdicts=judged, results=(results,))
        for name, judged in {"C1": (verdict,) * 2, "N1": (verdicts.our_own(verdict),) * 2}.items()
    }
    claims, own = overview({"chapter": found}).data.split("</table>")[:2]
    (row,) = re.findall(r"<tr><td.*?</tr>", claims)
    assert re.findall("<td>(.*?)</td>", row) == [
        '<a href="chapter.html#C1">C1</a> ?',
        "&lt;b&gt;",
        "“a” 50 %",
        "+1",
        '<span class="so-far-yes" title="Is it so? It is. Is it so? It is.">so far yes</span>',
        "120 x 2, n = 1",
    ]
    unasked = verdicts.Verdict("Is it so?", "not asked", "", "")
    alone = overview({"chapter": {"C1": Answer("", "", "", verdicts=(unasked,), results=(results,))}}).data
    assert "<td>not asked of these runs</td>" in alone
    assert "What was claimed" in alone
    assert own.count('<span class="points-to-yes" title="Is it so? It is.">points to yes</span>') == 2


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ((), ""),
        (("yes", "yes"), "yes"),
        (("no difference that matters",), "no"),
        (("yes", "no"), "partly"),
        (("yes", "cannot tell"), "partly"),
        (("no", "cannot tell"), "no"),
        (("cannot tell",), "cannot tell"),
        (("points to yes", "no"), "so far partly"),
        (("points to no", "not asked"), "so far no"),
    ],
)
def test_claims_are_borne_out_by_their_verdicts(outcomes, said):
    claimed = tuple(verdicts.Verdict("So?", outcome, "", "") for outcome in outcomes)
    own = verdicts.our_own(verdicts.Verdict("Else?", "no", "", ""))
    assert Answer("", "", "", verdicts=(*claimed, own)).borne_out == said


def test_page_shows_an_experiment_in_one_shape(record, monkeypatch):
    results = results_of(a=[changed(record, accuracies=[0.5])], b=[changed(record, accuracies=[0.6])])
    verdict = claims.more_accurate(results, "b", "a")
    long = pd.DataFrame({"epoch": range(page.LONG + 1)})
    answered = Answer("-", "-", "-", "It is <b>so</b>.", (verdict,), lambda: plt.figure(), (long[1:], long))
    shown = []
    monkeypatch.setattr(page, "display", shown.append)
    page.Page(SimpleNamespace(best_recorded=lambda _: results), {"X": (lambda _: answered,)}).show("X")
    anchor, sentence, figure, table, folded, verdict_list, fold = shown
    assert 'id="X"' in anchor.data
    assert sentence.data.startswith("**In short.** It is &lt;b>so&lt;/b>.\n\n*cpu edition: 120 training images")
    assert isinstance(figure, Figure)
    assert (len(table), "<summary>Table of 13 rows</summary>" in folded.data) == (12, True)
    assert "**Points to yes.**" in verdict_list._repr_markdown_()
    assert "<summary>Runs and statistics</summary>" in fold.data
    assert f"revision {record.source_revision}" in fold.data
    assert figure not in map(plt.figure, plt.get_fignums())


def test_accuracy_of_whoever_chooses_by_one_half_is_that_on_the_other(record):
    a, b = ([record.model_copy(update={"measured": {"test_halves": halves}})] for halves in ((0.9, 0.1), (0.2, 0.8)))
    assert selection.held_out(results_of(a=a, b=b)) == pytest.approx((0.1 + 0.2) / 2)
    assert math.isnan(selection.held_out(results_of(a=a, b=[record])))
    assert selection.held_out(results_of(a=a, b=[changed(record, accuracies=[None])])) == pytest.approx((0.1 + 0.9) / 2)
    assert math.isnan(selection.held_out(results_of(a=[changed(record, accuracies=[None])])))


def test_claims_are_counted_with_what_they_rest_on(record):
    results = results_of(a=[changed(record, accuracies=[0.5])])

    def found(*outcomes):
        judged = tuple(verdicts.Verdict("So?", outcome, "", "") for outcome in outcomes)
        return Answer("", "", "", verdicts=judged, results=(results,))

    each = [found("yes"), found("points to no"), found("yes", "no"), found("cannot tell"), found()]
    said = "1 of 4 is borne out, 1 in part, 1 is not, 1 undecided (of all 4, 1 on one or two runs, 4 on fewer images)"
    assert answers.tally(each) == said
