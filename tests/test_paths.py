"""Names that mean something elsewhere, outputs that would replace what they are made from, folders that cannot be written to."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path
from unittest.mock import Mock

import nbformat
import pytest

from fastresnet.book import build, notebooks
from fastresnet.book.notebooks import chapter_parameters, check_request, run_chapter
from fastresnet.compute.surroundings import git
from fastresnet.errors import UserError
from fastresnet.records.folders import check_file
from fastresnet.records.store import Store
from fastresnet.study import project, study
from fastresnet.study.project import is_committed

from .conftest import ROOT, TINY, command_here, refused, write_notebook

ODD = "{4f2a} a{b} #%$HOME'\"\né"
RUN = TINY.with_changes({"train.epochs": 0.5}).to_yaml()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The working folder: a small checkout with one committed chapter and one committed file of parameters."""
    root = tmp_path / "checkout"
    (root / "book").mkdir(parents=True)
    (root / "_toc.yml").touch()
    (root / "book" / "preface.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook()))
    shutil.copytree(ROOT / "params", root / "params")
    git = ["git", "-C", root, "-c", "user.name=n", "-c", "user.email=e"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *arguments], check=True)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def read_only(monkeypatch):
    """Makes the system say of a folder and all below it that they cannot be written to: permissions do not bind the superuser."""

    def make(folder):
        access = os.access
        monkeypatch.setattr(
            os, "access", lambda path, mode: access(path, mode) and not (mode & os.W_OK and Path(path).is_relative_to(folder))
        )

    return make


def test_chapter_runs_in_and_into_any_name(tmp_path, monkeypatch):
    root = tmp_path / ODD
    root.mkdir()
    write_notebook(root / "source.ipynb", "import os; os.getcwd()")
    monkeypatch.setattr(notebooks, "chapter_file", lambda _: root / "source.ipynb")
    monkeypatch.setattr(notebooks, "project_root", lambda: root)
    done = run_chapter("trial", root / f"mine{ODD}.ipynb", {})
    assert nbformat.read(done, 4).cells[0].outputs[0].data["text/plain"] == repr(str(root))
    assert sorted(path.name for path in root.iterdir()) == sorted(["source.ipynb", f"mine{ODD}.ipynb"])


def test_files_of_any_name_are_read_and_written(tmp_path):
    for name in (ODD, os.fsdecode(b"l\xe9")):
        folder = tmp_path / name
        folder.mkdir()
        run = folder / f"{name}.yml"
        run.write_text(RUN)
        done = command_here("train", run, "--record", folder / f"{name}.json", "--save", folder / f"{name}.pt")
        assert done.returncode == 0, done.stderr
        assert json.loads((folder / f"{name}.json").read_bytes())["outcome"]["status"] == "finished"
        assert (folder / f"{name}.pt").is_file()


def test_name_that_no_notebook_can_hold_is_refused(tmp_path):
    output = tmp_path / os.fsdecode(b"l\xe9.ipynb")
    assert "allowed: a path that is UTF-8 text" in refused(command_here("chapter", "run", "preface", "-o", output))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--record", "--save", "--checkpoint", "-o"])
@pytest.mark.parametrize("length", [241, 255])
def test_too_long_a_name_is_refused_before_any_work(tmp_path, option, length):
    name = "n" * (length - 6) + ".ipynb"
    start = ["chapter", "run", "preface"] if option == "-o" else ["train", "nothing"]
    for folder in (tmp_path, tmp_path / "new") if option == "--checkpoint" else (tmp_path,):
        line = refused(command_here(*start, option, folder / name))
        assert os.strerror(errno.ENAMETOOLONG) in line or (length == 241 and "neither a recipe" in line)
    assert not list(tmp_path.iterdir())


def test_too_long_a_path_is_refused_before_any_work(tmp_path):
    folder = tmp_path
    while len(str(folder)) < 3_900:
        folder /= "n" * 95
    folder.mkdir(parents=True)
    check_file(folder / "run.json")
    Store([folder.parents[3]]).check_writable()
    with pytest.raises(UserError, match="File name too long"):
        Store([folder]).check_writable()
    with pytest.raises(UserError, match="File name too long"):
        check_file(folder / ("n" * (4_090 - len(str(folder)))))


@pytest.mark.parametrize(
    "output", ["book/preface.ipynb", "./params/../book/preface.ipynb", "link.ipynb", "file://ROOT", "local://ROOT"]
)
def test_chapter_does_not_replace_a_committed_one(checkout, monkeypatch, output):
    source = checkout / "book" / "preface.ipynb"
    before = source.read_bytes()
    (checkout / "link.ipynb").symlink_to(source)
    line = refused(command_here("chapter", "run", "preface", "-o", output.replace("ROOT", str(source))))
    assert line.endswith("would replace a file of the checkout; allowed: another name, or --force")
    (checkout / "findings-quick.ipynb").symlink_to(source)
    assert "would replace a file of the checkout" in refused(command_here("chapter", "sweep", "findings", "-o", "."))
    assert source.read_bytes() == before
    monkeypatch.setattr(notebooks, "run_chapter", lambda _, place, *__, **___: place)
    assert command_here("chapter", "run", "preface", "-o", output.replace("ROOT", str(source)), "--force").returncode == 0


def test_what_git_does_not_know_may_be_replaced(checkout):
    for name in ("mine.ipynb", "book/[p]reface.ipynb", "_build/x.ipynb", "*.yml"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).touch()
        assert not is_committed(checkout / name), name
    assert not is_committed(checkout / "book" / "new.ipynb")
    assert is_committed(checkout / "_toc.yml")
    assert is_committed(checkout / "book")


def test_without_git_all_outside_the_build_folder_counts_as_committed(checkout):
    shutil.rmtree(checkout / ".git")
    (checkout / "_build").mkdir()
    for name, committed in (("book/preface.ipynb", True), ("mine.ipynb", True), ("_build/x.ipynb", False)):
        (checkout / name).touch()
        assert is_committed(checkout / name) == committed


@pytest.mark.parametrize("option", ["--record", "--save", "--checkpoint"])
@pytest.mark.parametrize(
    "how", ["own.yml", "./sub/../own.yml", "symbolic", "hard", "images/train/a/0.png", "images/train/a/new", "link/a/new"]
)
def test_train_does_not_change_what_it_reads(tmp_path, monkeypatch, option, how):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fastresnet.training.runs.train", None)
    Path("link").symlink_to("images/train")
    Path("sub").mkdir()
    Path("own.yml").write_text(RUN.replace("fashion-sample", "'folder:images'"))
    Path("symbolic").symlink_to("own.yml")
    Path("hard").hardlink_to("own.yml")
    Path("images/train/a").mkdir(parents=True)
    Path("images/train/a/0.png").touch()
    line = refused(command_here("train", "own.yml", option, how))
    assert line == f"fastresnet: {option} {Path(how)}: would change what the command reads; allowed: another name, or --force"
    monkeypatch.setattr("fastresnet.training.runs.train", Mock(side_effect=KeyboardInterrupt))
    assert command_here("train", "own.yml", option, how, "--force").returncode == 130


def test_what_lies_beside_the_pictures_of_a_folder_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("fastresnet.training.runs.train", Mock(side_effect=KeyboardInterrupt))
    Path("own.yml").write_text(RUN.replace("fashion-sample", "'folder:~/images'"))
    Path("images/train").mkdir(parents=True)
    Path("images/state").touch()
    assert command_here("train", "own.yml", "--checkpoint", "images/state").returncode == 130
    assert "would change what" in refused(command_here("train", "own.yml", "--checkpoint", "images/train/state"))


def test_train_and_export_do_not_replace_a_committed_file(checkout, record):
    (checkout / "table.csv").touch()
    for arguments in (["add", "table.csv"], ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "table"]):
        subprocess.run(["git", *arguments], check=True)
    line = refused(command_here("train", "params/example.yml", "--record", "params/quick/findings.yml"))
    assert "--record params/quick/findings.yml: would replace a file of the checkout" in line
    assert "FILE table.csv: would replace a file of the checkout" in refused(command_here("study", "export", "table.csv"))
    assert not subprocess.run(["git", "status", "--porcelain"], capture_output=True, cwd=checkout, check=True).stdout
    Store(["records"]).save(record, "s", "e", "a variant")
    assert command_here("study", "export", "table.csv", "--results", "records", "--force").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser gives files away")
def test_checkout_of_another_user_has_a_revision_and_its_own_committed_files(checkout):
    for path in (checkout, checkout / ".git"):
        os.chown(path, 65534, 65534)
    assert subprocess.run(["git", "status"], capture_output=True, check=False).returncode != 0
    assert git(checkout, "rev-parse", "HEAD").returncode == 0
    (checkout / "mine.csv").touch()
    assert is_committed(checkout / "_toc.yml")
    assert not is_committed(checkout / "mine.csv")


def test_table_of_records_may_lie_beside_them_and_be_written_again(tmp_path, record):
    Store([tmp_path]).save(record, "s", "e", "a variant")
    for _ in range(2):
        done = command_here("study", "export", tmp_path / "table.csv", "--results", tmp_path)
        assert (done.returncode, done.stdout) == (0, f"{tmp_path}/table.csv: 1 runs\n")


def test_book_of_a_read_only_checkout_is_refused_before_any_chapter_runs(checkout, read_only):
    read_only(checkout)
    with pytest.raises(UserError, match=f"_build: must name a folder that can be written to; {checkout} cannot"):
        list(build.build_book())


def test_build_folder_that_leads_to_committed_files_is_not_emptied(checkout):
    (checkout / "_build").symlink_to(checkout / "params")
    monkeyed = checkout / "params" / "html"
    monkeyed.mkdir()
    (monkeyed / "page").touch()
    subprocess.run(["git", "add", "."], check=True)
    with pytest.raises(UserError, match="_build/html: leads to files of the checkout"):
        list(build.build_book())
    assert (monkeyed / "page").exists()


def test_relative_data_folder_is_that_of_the_folder_a_command_starts_in(checkout, monkeypatch):
    """A chapter's kernel starts in the checkout, whatever folder below it the command starts in."""
    monkeypatch.chdir(checkout / "book")
    monkeypatch.setenv("FASTRESNET_DATA", "data")
    monkeypatch.setenv("XDG_CACHE_HOME", "../cache")
    seen = {}
    monkeypatch.setattr(notebooks, "run_chapter", lambda *_, **__: seen.update(os.environ))
    assert command_here("chapter", "run", "preface").returncode == 0
    assert seen["FASTRESNET_DATA"] == str(checkout / "book" / "data")
    assert seen["XDG_CACHE_HOME"] == f"{checkout}/book/../cache"
    (checkout / "book" / "data").mkdir()
    line = refused(command_here("data", "verify", "cifar10", "--data-dir", "data"))
    assert line.startswith(f"fastresnet: cifar10: not found in {checkout}/book/data; ")


def test_chapter_whose_runs_cannot_be_kept_is_refused_before_it_starts(tmp_path, monkeypatch, read_only):
    monkeypatch.setattr(study, "own_results", lambda: tmp_path / "disk" / "results")
    (tmp_path / "disk").mkdir()
    read_only(tmp_path / "disk")
    changed = chapter_parameters("findings", "quick", {"seeds": [7]})
    with pytest.raises(UserError, match=f"{tmp_path}/disk/results: must name a folder that can be written to"):
        check_request("findings", tmp_path / "out.ipynb", changed)
    with pytest.raises(UserError, match="must name a folder that can be written to"):
        list(study.open_study("findings", parameters={"seeds": [7]}).train_missing())
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


def test_chapter_that_trains_nothing_needs_no_folder_for_records(tmp_path, monkeypatch, read_only):
    """The unchanged quick page shows records of stronger editions."""
    monkeypatch.setattr(study, "live_results", lambda: tmp_path / "disk" / "live")
    (tmp_path / "disk").mkdir()
    read_only(tmp_path / "disk")
    check_request("findings", tmp_path / "out.ipynb", chapter_parameters("findings", "quick", {}))
    assert project.live_results() != study.live_results()
