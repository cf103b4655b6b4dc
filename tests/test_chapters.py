"""A chapter's output exists only if every cell ran with the parameters asked for, whatever papermill says."""

import ast
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import papermill
import pytest
import torch
from papermill.exceptions import PapermillExecutionError

from fastresnet.book import notebooks, side_by_side
from fastresnet.book.notebooks import CHAPTERS, ChapterFailed, chapter_parameters, check_executed, check_source, run_chapter
from fastresnet.errors import UserError
from fastresnet.study import STUDIES, edition_parameters, find_study, parameter_lines

from .conftest import ROOT, command, command_here, refused, started, wait_for, write_notebook


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """Makes a chapter of the code given and runs it."""

    def run(*cells, time_limit=None, parameters=None):
        write_notebook(tmp_path / "source.ipynb", "number = 1", *cells, tags=["parameters"])
        monkeypatch.setattr(notebooks, "chapter_file", lambda name: tmp_path / "source.ipynb")
        return run_chapter("trial", tmp_path / "out.ipynb", parameters or {"number": 2}, time_limit=time_limit)

    return run


def test_failed_chapter_leaves_the_earlier_output_alone(chapter, tmp_path):
    out = chapter("number * 21")
    assert nbformat.read(out, 4).cells[-1].outputs[0].data["text/plain"] == "42"
    before = out.read_bytes()
    for cell, message in (("1 / 0", "ZeroDivisionError: division by zero"), ("import os; os._exit(3)", "[Kk]ernel died")):
        with pytest.raises(ChapterFailed, match=rf"trial: .*{message}.*as far as it got: .*out\.failed\.ipynb"):
            chapter(cell)
        assert out.read_bytes() == before
        assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.failed.ipynb", "out.ipynb"]
    chapter("number")
    assert not (tmp_path / "out.failed.ipynb").exists()


def test_disk_without_room_is_named_and_nothing_half_written_stays(chapter, tmp_path, monkeypatch):
    def fill(source, output, *_, **__):
        Path(output).write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("papermill.execute_notebook", fill)
    with pytest.raises(OSError, match=f"{os.strerror(errno.ENOSPC)}: '{tmp_path}/out.ipynb'"):
        chapter("number")
    assert not list(tmp_path.glob("out*"))


def test_time_limit_is_for_the_whole_chapter(chapter, tmp_path):
    start = time.monotonic()
    with pytest.raises(ChapterFailed, match="trial: not done after 4 s, stopped"):
        chapter(*["import time; time.sleep(3)"] * 20, time_limit=4)
    assert time.monotonic() - start < 30
    assert not (tmp_path / "out.ipynb").exists()


def test_error_of_a_kernel_that_can_format_no_traceback_is_named():
    error = PapermillExecutionError(0, 1, "open('/dev/null')", "OSError", "[Errno 24] Too many open files", [])
    assert notebooks._last_line(error) == "OSError: [Errno 24] Too many open files"


def test_time_limit_holds_where_interruptions_were_ignored_before():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), notebooks._limit(0.1) as expired:
            time.sleep(5)
        assert expired.is_set()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_stopped_chapter_leaves_no_output_and_no_kernel(tmp_path, how):
    output = tmp_path / "out.ipynb"
    process = started("chapter", "run", "findings", "-o", output)
    kernel = wait_for(lambda: _children(process.pid, "ipykernel"))
    time.sleep(1)
    process.send_signal(how)
    _, error = process.communicate(timeout=60)
    assert process.returncode == (130 if how != signal.SIGKILL else -signal.SIGKILL), error
    assert how == signal.SIGKILL or not list(tmp_path.glob("*.partial.ipynb"))
    assert not output.exists()
    wait_for(lambda: _state(kernel[0]) in ("gone", "Z"))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_sweep_leaves_no_worker_and_no_kernel(seed_files, tmp_path, monkeypatch, how):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    process = started("chapter", "sweep", "findings", *(part for file in seed_files for part in ("-f", file)), "-o", tmp_path)
    workers = wait_for(lambda: len(found := _children(process.pid, "spawn_main")) == 2 and found)
    kernels = [wait_for(lambda worker=worker: _children(worker, "ipykernel"))[0] for worker in workers]
    share = f"OMP_NUM_THREADS={max(os.cpu_count() // 2, 1)}"
    assert all(share in Path(f"/proc/{kernel}/environ").read_text().split("\0") for kernel in kernels)
    process.send_signal(how)
    process.communicate(timeout=60)
    wait_for(lambda: all(_state(pid) in ("gone", "Z") for pid in (*workers, *kernels)))
    assert not list(tmp_path.glob("findings-seed?.ipynb"))


def _children(parent, word):
    listing = subprocess.run(["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    return [int(pid) for pid, ppid, arguments in rows if int(ppid) == parent and word in arguments]


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "gone"


def test_unexecuted_or_failed_notebooks_do_not_pass(chapter, tmp_path):
    good = chapter("number", "number + 1")
    parameters = {"number": 2}
    check_executed(good, parameters)
    error = nbformat.v4.new_output("error", ename="E", evalue="v", traceback=[])
    for spoil, message in (
        (lambda nb: nb.cells[-1].update(execution_count=None), "was never executed"),
        (lambda nb: nb.cells[-1].outputs.append(error), "ended in E: v"),
        (lambda nb: nb.metadata.papermill.parameters.update(number=3), "other parameters"),
    ):
        notebook = nbformat.read(good, 4)
        spoil(notebook)
        nbformat.write(notebook, tmp_path / "spoiled.ipynb")
        with pytest.raises(ChapterFailed, match=message):
            check_executed(tmp_path / "spoiled.ipynb", parameters)


@pytest.mark.parametrize("num_cells", [0, 2])
def test_exactly_one_parameters_cell_is_allowed(tmp_path, num_cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("a = 1") for _ in range(3)])
    for cell in notebook.cells[:num_cells]:
        cell.metadata["tags"] = ["parameters"]
    nbformat.write(notebook, tmp_path / "n.ipynb")
    with pytest.raises(UserError, match=f"{num_cells} cells are tagged 'parameters', exactly one"):
        check_source(tmp_path / "n.ipynb", {"a": 1})


def test_later_parameters_win(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text("f8_epochs: 7\nseeds: [5]\n")
    parameters = chapter_parameters("fashionmnist_speed", "quick", {"f8_epochs": 9}, file)
    assert (parameters["f8_epochs"], parameters["seeds"]) == (9, [5])


def test_misspelt_parameter_gives_one_line_before_any_work(tmp_path):
    (tmp_path / "mine.yml").write_text("f8_epoch: 3\n")
    arguments = ("chapter", "run", "fashionmnist_speed", "-f", tmp_path / "mine.yml", "-o", tmp_path / "out.ipynb")
    expected = f"{tmp_path / 'mine.yml'}: f8_epoch: unknown key (did you mean f8_epochs?); allowed: edition, "
    assert expected in refused(command_here(*arguments))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yml"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_code_that_the_book_folds_is_folded_in_jupyterlab(name):
    for cell in nbformat.read(ROOT / "book" / f"{name}.ipynb", 4).cells:
        folded = {"hide-input", "remove-input"} & set(cell.metadata.get("tags", [])) and "parameters" not in cell.metadata.tags
        assert cell.metadata.get("jupyter", {}).get("source_hidden", False) == bool(folded)


@pytest.mark.parametrize("name", STUDIES)
def test_committed_chapter_is_clean_and_overwrites_no_parameter(name):
    """Else its cells could not be run twice."""
    cells = [cell for cell in nbformat.read(ROOT / "book" / f"{name}.ipynb", 4).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    code = "\n".join(cell.source for cell in cells if "parameters" not in cell.metadata["tags"])
    tree = ast.parse(code.replace("%matplotlib", "# matplotlib"))
    assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.For | ast.While) for node in ast.walk(tree))
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imported = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert stored
    assert not (stored | imported) & set(find_study(name).Parameters.model_fields)


@pytest.mark.parametrize("name", STUDIES)
def test_parameters_cell_is_the_quick_edition(name):
    notebook = nbformat.read(ROOT / "book" / f"{name}.ipynb", 4)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    assert [line for line in cell.source.splitlines() if line != "# fmt: off"] == parameter_lines(name)
    names = {}
    exec(cell.source, names)
    del names["__builtins__"]
    assert names == edition_parameters(name, "quick")


@pytest.mark.parametrize("name", STUDIES)
def test_papermill_documents_every_parameter(name):
    found = papermill.inspect_notebook(ROOT / "book" / f"{name}.ipynb")
    assert list(found) == list(find_study(name).Parameters.model_fields)
    for each in found.values():
        assert each["inferred_type_name"] not in ("None", "")
        assert each["help"]


@pytest.mark.parametrize("assignment", ["f1_batch_sizes=[100000]", "test_images=20000", "device=cuda:99", "device=tpu"])
def test_value_that_its_data_or_this_machine_cannot_serve_is_refused_by_name(assignment, monkeypatch, tmp_path):
    """Before anything runs: not even the runner of chapters is loaded."""
    monkeypatch.setitem(sys.modules, "papermill", None)
    arguments = ("chapter", "run", "fashionmnist_speed", "-p", assignment, "-o", tmp_path / "out.ipynb")
    assert assignment.partition("=")[0] in refused(command_here(*arguments))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is the device")
def test_edition_for_a_device_that_is_not_here_is_refused_if_runs_are_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "papermill", None)
    monkeypatch.setattr("fastresnet.study.study.committed_results", lambda: tmp_path)
    assert "cannot use 'cuda' here" in refused(command_here("chapter", "run", "findings", "--edition", "gpu"))


@pytest.mark.parametrize(
    ("name", "assignment"),
    [
        *(("fashionmnist_speed", each) for each in ("edition=cpu", "dataset=mnist", "f4_image_sizes=[4]")),
        ("frontier", "fashion_ablated={recipe: fashion-80, changes: [recipe, nothing]}"),
        ("frontier", "cifar10_ablated={recipe: cifar10-83, changes: [ReLU]}"),
        ("frontier", "recipes={fashion-81: [0]}"),
    ],
)
def test_values_that_do_not_go_together_are_refused_before_any_work(name, assignment, tmp_path):
    refused(command_here("chapter", "run", name, "-p", assignment, "-o", tmp_path / "out.ipynb"))
    refused(command_here("study", "run", name, "-p", assignment, "--results", tmp_path / "results"))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def seed_files(tmp_path):
    """Two files of parameters, for a chapter with seed 0 and one with seed 1, that train for one epoch on few built-in images."""
    files = [tmp_path / f"seed{seed}.yml" for seed in (0, 1)]
    few = "dataset: cifar10-standin\ntrain_images: 500\ntimed_images: 500\ntest_images: 200\nbatch_size: 100\nepochs: 1\n"
    for seed, file in enumerate(files):
        file.write_text(f"seeds: [{seed}]\n{few}")
    return files


@pytest.mark.slow
def test_sweep_runs_a_chapter_once_a_file(seed_files, tmp_path):
    one, two = seed_files
    done = command("chapter", "sweep", "findings", "-f", one, "-f", two, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    outputs = [tmp_path / "out" / f"findings-seed{seed}.ipynb" for seed in (0, 1)]
    assert sorted(done.stdout.split()) == [str(path) for path in outputs]
    for seed, path in enumerate(outputs):
        assert nbformat.read(path, 4).metadata.papermill.parameters["seeds"] == [seed]


def test_sweep_is_refused_before_any_version_runs(seed_files, tmp_path):
    one, two = seed_files
    two.write_text("sedes: [1]\n")
    assert "sedes: unknown key" in refused(
        command_here("chapter", "sweep", "findings", "-f", one, "-f", two, "-o", tmp_path / "out")
    )
    assert "two versions would have one name" in refused(command_here("chapter", "sweep", "findings", "-f", one, "-f", one))
    assert not (tmp_path / "out").exists()


def test_sweep_says_first_what_it_will_train(seed_files, tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "run_side_by_side", lambda versions, **_: ())
    seed_files[1].write_text("epochs: 3\n")
    done = command_here("chapter", "sweep", "findings", "-f", seed_files[1], "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("findings: 1 of 2 experiments have runs to train\n  final, ")


@pytest.mark.slow
def test_a_version_that_fails_does_not_stop_the_others(tmp_path):
    good, bad = ({**chapter_parameters("findings", "quick", {}), "seeds": seeds} for seeds in ([0], ["x"]))
    versions = [
        side_by_side.ChapterRun("findings", values, tmp_path / f"{name}.ipynb") for name, values in (("bad", bad), ("good", good))
    ]
    with pytest.raises(ChapterFailed, match=r"^bad\.ipynb: .*findings: seeds"):
        list(side_by_side.run_side_by_side(versions, jobs=2))
    assert (tmp_path / "good.ipynb").exists()
    assert not (tmp_path / "bad.ipynb").exists()


@pytest.mark.parametrize("name", [name for name in CHAPTERS if name not in STUDIES])
def test_chapter_without_a_study_takes_no_parameters(name):
    assert chapter_parameters(name, "quick", {}) == {}
    with pytest.raises(UserError, match=f"chapter {name}: takes no parameters, got seeds"):
        chapter_parameters(name, "quick", {"seeds": [0]})
    with pytest.raises(UserError, match=f"--edition gpu: chapter {name} has no editions; leave it out"):
        chapter_parameters(name, "gpu", {})
