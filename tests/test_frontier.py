"""The frontier chapter's tables say what the committed records hold."""

import re
import statistics
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest

from fastresnet import report
from fastresnet.chapters import findings_answers, frontier_benchmarks, frontier_figures, frontier_ingredients, frontier_page
from fastresnet.config.recipes import RECIPES, find_recipe
from fastresnet.errors import UserError
from fastresnet.records.store import load_frame
from fastresnet.study import declare, edition_parameters, open_study
from fastresnet.study.project import committed_results

from .conftest import ROOT


@pytest.fixture(scope="module")
def results():
    return open_study("frontier").all_best_recorded()


@pytest.fixture(scope="module")
def frame():
    frame = load_frame(committed_results())
    return frame[(frame["study"] == "frontier") & (frame["device"] == "cpu")]


def test_every_recipe_has_a_row_with_the_means_of_its_records(results, frame):
    table = frontier_page.recipes_table(results)
    assert list(table.index) == list(RECIPES)
    for name, row in table.iterrows():
        runs = frame[(frame["experiment"] == name) & (frame["seed"].isin(results[name].experiment.seeds))]
        assert row["test accuracy, %"].startswith(f"{100 * runs['test_accuracy'].mean():.2f}")
        passing = (runs["test_accuracy"] >= RECIPES[name].target).sum()
        assert row["runs that pass"] == f"{passing} of {len(runs)}"


def test_readme_says_what_is_recorded(results):
    readme = (ROOT / "README.md").read_text()
    table = frontier_page.recipes_table(results)[["target, %", "test accuracy, %", "runs that pass", "with evaluation, s"]]
    told = dict(re.findall(r"^\| `(\S+)` \| (.+) \|$", readme, re.MULTILINE))
    assert told == {name: " | ".join(row) for name, row in table.iterrows()}
    for name in ("cifar10-94", "cifar10-96"):
        measured, _, _ = report.describe_runs(frontier_page.gpu_runs(name)).partition(" (medians")
        assert f"`{name}` had {measured}" in " ".join(readme.split())


@pytest.mark.parametrize(
    ("experiment", "rows"),
    [("fashion-ablations", 13), ("cifar10-ablations", 11), ("long-ablations", 3), ("amx-ablations", 2)],
)
def test_ablation_is_compared_with_the_recipe_seed_by_seed(results, experiment, rows):
    records_by_name = results[experiment].records
    table = frontier_ingredients.ablation_table(results[experiment])
    recipe, *others = table.index
    assert (recipe, table.loc[recipe, "change, points"]) == ("recipe", "")
    assert len(table) == rows
    accuracy = {name: [record.test_accuracy for record in records] for name, records in records_by_name.items()}
    for name in others:
        mean, low, high = map(float, re.findall(r"[+-]\d+\.\d+", table.loc[name, "change, points"]))
        differences = [100 * (one - two) for one, two in zip(accuracy[name], accuracy["recipe"], strict=True)]
        assert mean == pytest.approx(sum(differences) / len(differences), abs=0.006)
        assert low < mean < high
        tells = low > 0 or high < 0
        assert (f"“{name}” ({mean:+.2f})" in frontier_ingredients.ablations_finding(results[experiment])) == tells


def test_length_passes_if_its_mean_less_two_standard_errors_reaches_the_target(results):
    lengths = results["lengths"]
    table = frontier_ingredients.lengths_table(lengths)
    for name, row in table.iterrows():
        records = lengths.records[f"{name}, {row['length']}"]
        accuracy = [record.test_accuracy for record in records]
        assert {record.config.data.validation_images for record in records} == {5000}
        surely = statistics.mean(accuracy) - 2 * statistics.stdev(accuracy) / len(accuracy) ** 0.5
        assert row["passes?"] == ("yes" if surely >= RECIPES[name].target else "no")
        assert row["less two standard errors"] == f"{100 * surely:.2f}"
    own = table[table["the recipe's?"] == "yes"]
    assert set(own.index) == set(table.index)
    confirmed = (own["passes?"] == "yes").sum()
    assert f"the length of {confirmed} of {len(own)} recipes" in frontier_ingredients.lengths_finding(lengths)


def test_growth_is_measured_once_for_all_that_is_multiplied(results):
    measured = frontier_ingredients.growth(results["growth"])
    once = measured[measured["factor"] == 1]
    seeds = len(results["growth"].seeds)
    assert sorted(once["what"]) == sorted(["images", "epochs", "width"] * seeds)
    assert once["epoch_seconds"].nunique() == seeds
    table = frontier_ingredients.growth_table(results["growth"])
    assert list(table.index) == list(results["growth"].records)
    sixteen = measured[(measured["what"] == "images") & (measured["factor"] == 16)]
    assert table.loc["images, 16 times", "seconds per epoch"].startswith(f"{sixteen['epoch_seconds'].mean():.2f}")


def test_findings_say_what_the_records_hold(results, frame):
    last = frame[frame["experiment"] == "cifar10-96"]
    seconds = statistics.median(frontier_page.total_seconds(record) for record in results["cifar10-96"].records["recipe"])
    finding = frontier_page.recipes_finding(results, "cifar10")
    assert f"*cifar10-96* reaches {100 * last['test_accuracy'].mean():.2f} % in {seconds:,.0f} s" in finding
    assert "fashion" not in finding
    assert frontier_page.recipes_finding({"cifar10-96": results["cifar10-96"]}, "cifar10") == ""
    assert frontier_page.recipes_finding({}, "cifar10") == ""
    medians = frontier_ingredients.growth(results["growth"]).groupby(["what", "factor"])["epoch_seconds"].median()
    ratio = medians["images", 16] / medians["images", 1]
    assert f"{ratio:.1f} times as long in a run with 16 times the images" in frontier_ingredients.growth_finding(
        results["growth"]
    )


def test_machines_are_named_by_recipe_and_their_seconds_not_compared_in_silence(results):
    shown = frontier_page.runs_fold(results)
    machines = {name: results[name].records["recipe"][0].machine.processor for name in RECIPES if name in results}
    for name, processor in machines.items():
        assert re.search(
            rf"<li>{name}, cpu edition: [^<]*; {re.escape(processor)}, 2 threads;[^<]* revision [0-9a-f]{{12}}", shown
        )
    (last,) = results["cifar10-95"].records.values()
    machine = last[0].machine.model_copy(update={"processor": "<another>"})
    elsewhere = tuple(record.model_copy(update={"machine": machine}) for record in last)
    two = {"cifar10-83": results["cifar10-83"], "cifar10-95": replace(results["cifar10-95"], records={"recipe": elsewhere})}
    assert "; &lt;another&gt;, 2 threads;" in frontier_page.runs_fold(two)
    apart = frontier_page.recipes_finding(two, "cifar10")
    assert " s on another machine. That is " in apart
    assert "times the seconds" not in apart
    alike = frontier_page.recipes_finding(two | {"cifar10-95": results["cifar10-95"]}, "cifar10")
    assert "another machine" not in alike
    assert "times the seconds" in alike


def test_recipe_can_be_asked_for_in_a_variant_of_its_own():
    parameters = edition_parameters("frontier", "cpu") | {"variants": {"cifar10-90": "cpu-amx"}}
    _, experiments = declare("frontier", parameters, "here")
    configs = {one.id: config for one in experiments for name, config in one.variants.items() if name == "recipe"}
    assert configs["cifar10-90"] == find_recipe("cifar10-90").config("cpu-amx")
    assert configs["cifar10-91"] == find_recipe("cifar10-91").config(parameters["variant"])
    with pytest.raises(UserError, match="here: .*variants"):
        declare("frontier", parameters | {"variants": {"cifar10-97": "cpu"}}, "here")


def test_recipe_of_another_length_has_its_image_sizes_in_the_same_shares():
    parameters = edition_parameters("frontier", "cpu")
    own = find_recipe("cifar10-90").config(parameters["variant"])
    _, experiments = declare("frontier", parameters | {"epochs": own.train.epochs / 2}, "here")
    (half,) = (one.variants["recipe"] for one in experiments if one.id == "cifar10-90")
    assert half.train.epochs == own.train.epochs / 2
    assert half.data.size_curriculum == tuple((start / 2, size) for start, size in own.data.size_curriculum)


def test_published_points_are_those_of_their_data_set():
    assert {point.dataset for point in frontier_page.published_for("cifar10")} == {"cifar10"}
    assert frontier_page.recipes_in({"cifar10-83": 1, "fashion-80": 2, "ablations": 3}) == {"fashion-80": 2, "cifar10-83": 1}
    assert list(frontier_page.recipes_in({"cifar10-83": 1, "fashion-80": 2}, "cifar10")) == ["cifar10-83"]


def test_first_table_has_the_reports_seconds_ours_and_a_peers(results):
    table = frontier_page.beside_report(results)
    assert len(table) == 5
    row = table.loc["83.06 % of CIFAR-10"]
    seconds = [frontier_page.total_seconds(record) for record in results["cifar10-83"].all_records]
    assert row[["the report, s", "n", "reached?"]].tolist() == ["262", len(seconds), "yes"]
    assert row["report / here"] == f"{262 / statistics.mean(seconds):.0f}"
    assert row["peer / here"] == "41.9 (tutorial, which ended at 83.7 %; whole runs, n = 1)"
    assert table.loc["94 % of CIFAR-10", ["the report, s", "report / here"]].tolist() == ["—", "—"]
    finding = frontier_page.report_finding(results)
    assert f"all 4 accuracies for which the report prints a time, {412 / 85:.0f} to " in finding
    assert "Images held out of training confirm that 2 of these 4 recipes are long enough." in finding
    assert "41.9 times as long to 83.06 % of CIFAR-10 (tutorial, which ended at 83.7 %; whole runs, n = 1)" in finding
    assert frontier_page.report_finding({"cifar10-83": results["cifar10-83"]}) == ""


def test_recipes_on_other_data_claim_nothing_of_their_targets(results):
    others = {
        name: replace(found, experiment=replace(found.experiment, dataset="another"))
        for name, found in frontier_page.recipes_in(results).items()
    }
    assert frontier_page.report_finding(others).startswith("**Other data.** Recipes trained on cifar10 and fashion-mnist here")
    assert frontier_page.beside_report(others).empty
    assert frontier_page.target_verdicts(others).verdicts == ()


def test_peer_is_beside_recipes_as_they_are(results):
    found = results["cifar10-83"]
    longer = found.all_records[0].model_copy(update={"config": found.all_records[0].config.with_changes({"train.epochs": 2})})
    assert "tutorial" in frontier_page._peer(found)
    assert frontier_page._peer(replace(found, records={"recipe": (longer,)})) == ""


def test_headlines_of_the_first_page_follow_the_records(results):
    answers = findings_answers.all_answers()
    score, first, second, third = findings_answers.headlines(results, answers).splitlines()
    assert findings_answers.score(answers) in score
    assert first.startswith(f"2. **{frontier_page.report_verdict(results)}** 83.06 % of CIFAR-10 took ")
    found = r"(Yes|Points to yes)\.\*\* "  # by the number of seeds that are recorded so far
    assert re.match(rf"3\. \*\*Do half the channels reach 80 % sooner\? {found}The narrow network reaches 80 % after ", second)
    assert re.match(rf"4\. \*\*Do flips in training help\? {found}", third)
    record = results["cifar10-83"].all_records[0]
    short = record.epochs[-1].model_copy(update={"test_accuracy": 0.8})
    missed = replace(results["cifar10-83"], records={"recipe": (record.model_copy(update={"epochs": (short,)}),)})
    assert "reach 3 of the 4 accuracies" in findings_answers.headlines(results | {"cifar10-83": missed}, answers)


def test_committed_benchmarks_have_a_caption_and_a_table_with_our_time_first():
    for record in ("cpu-quick", "cpu-quick-amx", "cpu-quick-avx2"):
        assert re.search(r"2 threads; torch 2\.\d+.*revision [0-9a-f]{12}", frontier_benchmarks.caption(record))
        table = frontier_benchmarks.table(record)
        assert set(table.loc[table["contender"] == "ours", "times ours"]) == {"1"}
        peers = frontier_benchmarks.peers([record])
        known = 1 if record == "cpu-quick-avx2" else 2  # where its epochs are
        assert (peers["peer"] == "original report").sum() == known
        muon = table.loc["cifar10-94, 94.00 %"].set_index("contender").loc["airbench94 with Muon"]
        beside = peers[peers["peer"] == "airbench94 with Muon"][["peer / ours", "measured", "n"]]
        assert beside.values.tolist() == [[muon["times ours"], "steps", 3]]
        assert not peers["peer"].str.startswith("ours").any()
    assert "AMX" in frontier_benchmarks.caption("cpu-quick-amx")
    assert "one round" in frontier_benchmarks.caption("cpu-full-cifar10-83")
    assert "medians and ranges of 2 rounds" in frontier_benchmarks.caption("cpu-full-cifar10-94")


def test_parts_of_a_step_are_shown_with_their_speed():
    table = frontier_benchmarks.parts("cpu-quick-cifar10-94", "cifar10-94")
    *parts, whole = table["of the time"].str.rstrip(" %").astype(float)
    assert whole == 100
    assert sum(parts) == pytest.approx(100, abs=1)
    assert table.loc["batch norm", "GFLOP/s"] == "—"
    convolutions = table[table.index.str.startswith("convolution")]["of the time"].str.rstrip(" %").astype(float).sum()
    said = re.search(r"Convolutions take (\d+) %", frontier_benchmarks.parts_finding("cpu-quick-cifar10-94", "cifar10-94"))
    assert float(said[1]) == pytest.approx(convolutions, abs=1)


@pytest.mark.parametrize(
    ("benchmark", "contender", "shown"),
    [
        ("gpu-cifar10-96", "ours", {"times ours": "1", "how": "whole runs", "seconds": "over .+"}),
        ("gpu-cifar10-96", "airbench96", {"times ours": "under .+"}),
        ("cpu-full-cifar10-83", "tutorial", {"seconds": "over 926", "how": "whole runs", "epochs": "10"}),
        ("cpu-full-cifar10-83", "tutorial", {"accuracy, %": "82.08", "times ours": "over .+"}),
        ("cpu-full-cifar10-83-longer", "tutorial", {"seconds": "1,000", "epochs": "11", "accuracy, %": "83.72"}),
        ("cpu-full-cifar10-83-longer", "original report", {"epochs": "30", "runs that pass": "0 of 1", "times ours": "over .+"}),
        ("cpu-full-cifar10-94", "airbench94 with Muon", {"times ours": "1.49", "how": "whole runs"}),
    ],
)
def test_benchmark_shows_ratios_and_their_bounds_where_somebody_never_got_there(benchmark, contender, shown):
    row = frontier_benchmarks.table(benchmark).set_index("contender").loc[contender]
    assert {name: row[name] for name in shown if not re.fullmatch(shown[name], row[name])} == {}


def test_benchmark_on_a_gpu_names_card_and_energy():
    table = frontier_benchmarks.table("gpu-cifar10-94").set_index("contender")
    assert table.loc["ours", ["times ours", "how"]].tolist() == ["1", "whole runs"]
    assert all(joules.replace(",", "").isdigit() for joules in table["energy, J"])
    assert "NVIDIA" in frontier_benchmarks.caption("gpu-cifar10-94")


def test_time_for_epochs_that_nobody_recorded_is_not_shown():
    table = frontier_benchmarks.table("cpu-quick-avx2").set_index("contender")
    assert table.loc["tutorial", "seconds"].tolist()[0] == "unknown"
    assert table.loc["original report", "seconds"].tolist()[1] == "unknown"  # the report's were too few
    peers = frontier_benchmarks.peers(["cpu-quick-avx2"])
    assert "tutorial" not in set(peers["peer"])
    whole = frontier_benchmarks.table("cpu-full-fashion-80").set_index("contender")
    assert whole.loc["tutorial", ["seconds", "epochs"]].tolist() == ["148 (142 to 154)", "1"]


def test_best_measurement_of_each_peer_is_shown_and_all_others_in_one_fold():
    names = [name for name in frontier_benchmarks.names() if name.startswith("cpu")]
    peers = frontier_benchmarks.peers(names)
    assert not peers.duplicated(["machine", "recipe", "peer", "measured"]).any()
    muon = peers[peers["peer"] == "airbench94 with Muon"].set_index("machine")[["peer / ours", "measured", "n"]]
    assert muon.loc["Xeon (AVX512, AMX)"].values.tolist() == [["1.49", "whole runs", 2], ["0.949", "steps", 9]]
    assert muon.loc["AMD EPYC (AVX512)"].tolist() == ["1.11", "steps", 3]  # rather than the older steps
    shown = frontier_benchmarks.shown("cpu")
    best, _, fold = shown.partition("<details")
    assert best.count("<table") == best.count("<p>") == 3
    assert fold.count("revision ") == fold.count("<table") == len(names) > 5
    assert (
        frontier_benchmarks.peer_of("cifar10-94", "Intel(R) Xeon(R) Processor (AVX512, AMX)")
        == "1.49 (airbench94 with Muon, which ended at 94.0 %; whole runs, n = 2)"
    )
    assert frontier_benchmarks.peer_of("cifar10-94", "another") == ""


def test_names_in_a_figure_stand_on_the_free_side_of_their_marks(results):
    _, ax = plt.subplots()
    ours, others = frontier_page.recipes_in(results, "cifar10"), frontier_page.published_for("cifar10")
    cost = frontier_page.training_petaflops
    frontier_figures.frontier(ours, others, ax, cost=cost, published_cost="petaflops", label="PFLOP")
    side = {text.get_text(): text.get_ha() for text in ax.texts}
    assert (side["cifar10-94"], side["airbench94"]) == ("right", "left")  # ours costs less
    assert (side["cifar10-96"], side["airbench96, faster"]) == ("left", "right")
    plt.close()


def test_benchmark_that_was_not_recorded_is_refused():
    with pytest.raises(UserError, match=r"no benchmark 'no-suite'; recorded: cpu-full-cifar10-83, cpu-full"):
        frontier_benchmarks.table("no-suite")


def test_first_page_draws_every_run_and_the_reports_seconds_and_says_how_many(results):
    finals = frontier_page.report_finals(results)
    _, ax = plt.subplots()
    frontier_figures.beside_report(finals, ax)
    drawn = sorted(float(x) for line in ax.lines if line.get_marker() == "o" for x in line.get_xdata())
    runs = [record for _, found in finals.values() for records in found.records.values() for record in records]
    assert drawn == pytest.approx(sorted(frontier_page.total_seconds(record) for record in runs))
    assert [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "s"] == pytest.approx([16.44, 80.2, 262, 412])
    text, _, fold = frontier_page.report_finals_caption(results).partition("<details")
    assert "our runs, 5 to 10 per accuracy" in text
    assert "EPYC" not in text
    assert fold.count("EPYC") == 3
    plt.close()


@pytest.mark.parametrize("percent", [94, 96])
def test_page_counts_the_runs_on_a_gpu_that_reach_the_target(percent):
    records = frontier_page.gpu_runs(f"cifar10-{percent}")
    assert {record.machine.device for record in records} == {"cuda"}
    passed = sum(record.test_accuracy >= percent / 100 for record in records)
    finding = frontier_page.gpu_finding(f"cifar10-{percent}")
    assert finding.endswith(f"torch 2.11.0. {passed} of {len(records)} runs reach {percent} %.")
    assert frontier_page.gpu_runs("cifar10-83") == ()


def test_run_far_slower_than_the_others_is_told_apart():
    records = frontier_page.gpu_runs("cifar10-94")
    slowest = max(record.seconds.train for record in records)
    assert f"(medians; {slowest:.1f} s in the slowest run)" in report.describe_runs(records)
    assert "medians" not in report.describe_runs([record for record in records if record.seconds.train < slowest])
