"""What SECURITY.md promises, each promise attacked once. Archives and pickles of CIFAR, and saved networks: see
their own tests."""

from itertools import pairwise

import numpy as np
import pytest

from fastresnet.config.parsing import parse_assignment, read_yaml
from fastresnet.data import formats
from fastresnet.errors import UserError
from fastresnet.records.store import Store
from fastresnet.report.captions import fold, provenance
from fastresnet.report.verdicts import Verdict
from fastresnet.widgets import RunExplorer

from .conftest import Bomb
from .made_up import MACHINE, record_of, results_of

ATTACK = "<img src=x onerror=attacked=1><script>attacked=1</script>"


def test_yaml_makes_no_objects(tmp_path):
    attack = f"!!python/object/apply:builtins.open ['{tmp_path / 'ran'}', 'w']"
    (tmp_path / "run.yml").write_text(f"data: {attack}\n")
    with pytest.raises(UserError, match="not valid YAML: line 1: could not determine a constructor"):
        read_yaml(tmp_path / "run.yml")
    with pytest.raises(UserError, match="the value is not valid YAML"):
        parse_assignment(f"a={attack}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in pairwise("abcdefghi")),
        "a: &a [*a]\n",
        "a: " + 5_000 * "[" + 5_000 * "]",
        "a: &a {k: 1}\n" + "".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n" for a, b in pairwise("abcdefgh")),
    ],
    ids=["aliases of aliases", "alias of itself", "nested deeply", "merge keys"],
)
def test_small_yaml_does_not_become_large(text, tmp_path):
    (tmp_path / "run.yml").write_text(text)
    with pytest.raises(UserError, match=r"run\.yml: not valid YAML: (more than 10,000 values|maximum recursion depth)"):
        read_yaml(tmp_path / "run.yml")


def test_arrays_are_never_unpickled(tmp_path):
    bomb = np.array([Bomb(tmp_path / "ran")], dtype=object)
    np.savez(tmp_path / "mine.npz", train_images=bomb, train_labels=bomb, test_images=bomb, test_labels=bomb)
    with pytest.raises(UserError, match=r"mine\.npz: not a readable \.npz"):
        formats.read_tensor_file(tmp_path / "mine.npz")
    assert not (tmp_path / "ran").exists()


def test_no_name_leads_out_of_the_folder_of_records(record, tmp_path):
    store = Store([tmp_path / "results"])
    path = store.save(record, "study", "experiment", f"../../../{ATTACK}")
    assert path.parent == tmp_path / "results" / "study" / "experiment"
    for name in ("..", "../other", "/other", "", ".hidden", "a/b"):
        for names in ((name, "experiment"), ("study", name)):
            with pytest.raises(UserError, match="allowed in the name of a study or an experiment"):
                store.save(record, *names, "variant")


def test_names_in_captions_and_verdicts_are_text(tiny):
    runs = results_of(one=[record_of(tiny.with_changes({"data.name": f"folder:{ATTACK}"}), 0.5)])
    shown = fold("Runs", [provenance(runs)])
    assert "folder:&lt;img src=x" in shown
    verdict = Verdict(ATTACK, "yes", "p < 0.001", "")._repr_markdown_()
    assert "p < 0.001" in verdict
    for text in (shown, verdict):
        assert "<img" not in text
        assert "<script" not in text


@pytest.mark.browser
def test_names_in_records_put_no_script_into_the_explorer(show, tiny, tmp_path):
    machine = MACHINE.model_copy(update={"processor": ATTACK})
    config = tiny.with_changes({"data.name": f"folder:{ATTACK}", "data.test_images": 1_000})
    hostile = record_of(config, 0.5, machine=machine, versions={"torch": ATTACK})
    folder = tmp_path / "results" / "<img src=x onerror=attacked=1>" / "<b>"
    folder.mkdir(parents=True)
    for seed in range(2):
        name = f"<img src=x onerror=attacked=1>-{config.hash}-seed{seed}.json"
        (folder / name).write_text(hostile.model_copy(update={"seed": seed}).model_dump_json())
    page = show(RunExplorer(tmp_path / "results"), ".run-explorer tbody tr")
    page.get_by_role("button", name="Show").first.click()
    page.locator("summary").click()
    page.wait_for_selector(".detail .title")
    assert "onerror" in page.locator(".run-explorer").inner_text()  # it is shown, as text
    assert page.evaluate("typeof attacked") == "undefined"
    assert page.locator(".run-explorer img, .run-explorer script").count() == 0
