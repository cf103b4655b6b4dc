"""Records and chapters behind a URL are what they are in a folder: over fsspec's memory, and over HTTP to a real S3 server."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import nbformat
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from fastresnet.book import notebooks
from fastresnet.errors import UserError
from fastresnet.records import folders
from fastresnet.records.folders import LocalFolder, RemoteFolder, open_folder, split_place
from fastresnet.records.store import Store, load_frame

from .conftest import command, command_here, refused, study_of, write_notebook

DUMMY = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}
"""What moto, which checks none, is shown for credentials."""
RUN = ["study", "run", "fashionmnist_speed", "--only", "F8", "-p", "f8_epochs=1", "-p", "f8_stem_channels=[8]"]
RUN += ["--device", "cpu"]


def test_file_that_is_moved_to_a_link_leaves_the_link(tmp_path):
    (tmp_path / "new").write_text("new")
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert LocalFolder(tmp_path).take(tmp_path / "new", "link") == tmp_path / "link"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


@pytest.fixture(scope="module")
def server():
    """The environment in which s3:// is a server on this machine, with a bucket `records`."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    _, port = moto.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (DUMMY | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}).items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("records")
        yield
    s3fs.S3FileSystem.clear_instance_cache()
    moto.stop()


@pytest.fixture(params=["here", "file", "memory", "s3"])
def place(request, tmp_path):
    """An empty folder of every kind."""
    if request.param == "s3":
        request.getfixturevalue("server")
    return {
        "here": tmp_path,
        "file": f"file://{tmp_path}",
        "memory": f"memory://{tmp_path}",
        "s3": f"s3://records{tmp_path}",
    }[request.param]


def test_records_are_kept_and_found(place, record):
    store = Store([place])
    store.check_writable()
    assert store.find(record.config_hash, 0) is None
    where = store.save(record, "s", "e", "A variant")
    assert str(where).endswith(f"s/e/a-variant-{record.config_hash}-seed0.json")
    assert store.find(record.config_hash, 0) == record  # nothing remembers that it was empty
    assert store.find_saved((record.config_hash, 0), "s", "e", "A variant") == record
    assert store.find_saved((record.config_hash, 1), "s", "e", "A variant") is None
    store.save(record.model_copy(update={"seed": 7}), "s", "f", "another")
    frame = load_frame(place)
    assert frame[["study", "experiment", "variant", "seed"]].values.tolist() == [
        ["s", "e", "a-variant", 0],
        ["s", "f", "another", 7],
    ]


def test_a_study_trains_what_is_missing(place, tiny):
    short = tiny.with_changes({"train.epochs": 0.5})
    study = study_of(place, (0, 1), one=short)
    assert len(list(study.train_missing())) == 2
    assert list(study.train_missing()) == []
    assert len(study.recorded("A").records["one"]) == 2


def test_damaged_record_is_named_with_its_place(place, record):
    store = Store([place])
    store.save(record, "s", "e", "v")
    open_folder(place).write(f"s/e/v-{record.config_hash}-seed0.json", b"{")
    for read in (lambda: store.find(record.config_hash, 0), lambda: load_frame(place)):
        with pytest.raises(UserError, match=rf"s/e/v-{record.config_hash}-seed0\.json: not a valid record"):
            read()


def test_what_was_there_stays_until_the_new_is_whole(place, monkeypatch):
    folder = open_folder(place)
    folder.write("a.json", b"old")

    out_of_space = Mock(side_effect=OSError("no space left"))
    with monkeypatch.context() as patch:
        if isinstance(folder, RemoteFolder):
            patch.setattr(folder._system, "pipe_file", out_of_space)
        else:
            patch.setattr(folders.Path, "replace", out_of_space)
        with pytest.raises((UserError, OSError), match="no space left"):
            folder.write("a.json", b"new")
    assert folder.names("*") == ["a.json"]
    assert list(folder.read(["a.json"])) == [("a.json", b"old")]
    folder.remove("a.json")
    folder.remove("a.json")
    assert folder.names("*") == []


def test_every_file_is_read_however_many_are_at_once(place, monkeypatch):
    monkeypatch.setattr(folders, "_FILES_AT_ONCE", 2)
    folder, files = open_folder(place), [(f"{name}.json", name.encode()) for name in "abcde"]
    for name, content in files:
        folder.write(name, content)
    assert list(folder.read(folder.names("*"))) == files


@pytest.mark.usefixtures("server")
def test_what_others_write_is_seen_at_once(tmp_path):
    folder = open_folder(f"s3://records{tmp_path}")
    folder.write("a.json", b"")
    assert folder.names("*") == ["a.json"]
    s3fs.S3FileSystem(skip_instance_cache=True).pipe_file(f"records{tmp_path}/b.json", b"")
    assert folder.names("*") == ["a.json", "b.json"]


def test_only_names_of_as_many_parts_match_and_none_that_is_hidden(place):
    folder = open_folder(place)
    for name in ("a.json", "b/a.json", "b/c/a.json", "b/c/a.txt", "b/c/d/a.json", "b/c/._a.json", ".b/c/a.json"):
        folder.write(name, b"")
    assert folder.names("*/*/*.json") == ["b/c/a.json"]


WRITER = """
import sys
from fastresnet.records.store import Store, read_record
from pathlib import Path
from unittest.mock import Mock
record, store = read_record(Path(sys.argv[1])), Store([sys.argv[2]])
for seed in [0, 1, int(sys.argv[3])] * 4:
    own = record.model_copy(update={"seed": seed})
    store.save(own, "s", "e", "v")
    assert store.find(record.config_hash, seed) == own
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["here", "s3"], indirect=True)
def test_eight_processes_write_to_one_store(place, tmp_path, record):
    """Each its own run and two that all of them have, over and over, and reads them in between."""
    (file := tmp_path / "record.json").write_text(record.model_dump_json())
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), str(place), str(10 + number)], stderr=subprocess.PIPE, text=True
        )
        for number in range(8)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=200)
        assert writer.returncode == 0, errors
    assert sorted(load_frame(place)["seed"]) == [0, 1, *range(10, 18)]
    assert len(open_folder(place).names("*/*/*")) == 10  # nothing half-written is left


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_executed_chapter_is_kept_and_a_failed_one_beside_it(place, tmp_path, monkeypatch):
    source = tmp_path / "source.ipynb"
    monkeypatch.setattr(notebooks, "chapter_file", lambda name: source)

    def run(code):
        write_notebook(source, code)
        return notebooks.run_chapter("trial", f"{place}/out.ipynb", {})

    assert str(run("6 * 7")).endswith("out.ipynb")
    ((_, content),) = open_folder(place).read(["out.ipynb"])
    assert nbformat.reads(content.decode(), 4).cells[0].outputs[0].data["text/plain"] == "42"
    with pytest.raises(notebooks.ChapterFailed, match=r"division by zero; as far as it got: .*out\.failed\.ipynb"):
        run("1 / 0")
    assert set(open_folder(place).names("out*")) == {"out.ipynb", "out.failed.ipynb"}
    run("1")
    assert open_folder(place).names("out*") == ["out.ipynb"]


def test_reason_of_a_failed_chapter_is_said_where_its_remains_cannot_be_kept(place, tmp_path, monkeypatch):
    out_of_reach = Mock(side_effect=(UserError if isinstance(open_folder(place), RemoteFolder) else OSError)("out of reach"))
    monkeypatch.setattr(RemoteFolder, "write", out_of_reach)
    monkeypatch.setattr(folders.Path, "replace", out_of_reach)
    source = notebooks.chapter_file("preface")
    monkeypatch.setattr(notebooks, "chapter_file", lambda name: source)
    monkeypatch.setattr(notebooks, "project_root", lambda: tmp_path)
    monkeypatch.setattr("papermill.execute_notebook", half_done)
    with pytest.raises(
        notebooks.ChapterFailed, match=r"the cell raised; as far as it got: .*, not kept at .*out of reach"
    ) as raised:
        notebooks.run_chapter("preface", f"{place}/out.ipynb", {})
    (remains,) = tmp_path.rglob("*.partial.ipynb")
    assert str(remains) in str(raised.value)
    assert remains.read_text() == "half"


def half_done(source, output, *_, **__):
    Path(output).write_text("half")
    raise RuntimeError("the cell raised")


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_command_line_keeps_and_counts_records_in_a_bucket(tmp_path):
    url = f"s3://records{tmp_path}"
    first, second = (command(*RUN, "--results", url) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert "1 runs wanted, 1 to train" in first.stdout
    assert "1 runs wanted, 0 to train" in second.stdout
    done = command("study", "export", tmp_path / "runs.csv", "--results", url)
    assert done.stdout.endswith("runs.csv: 1 runs\n"), done.stderr
    assert command("study", "status", "--results", url).returncode == 0


@pytest.mark.slow
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("url", "environment", "reason"),
    [
        ("s3://nowhere/x", {}, "The specified bucket does not exist"),
        ("s3://No_Bucket!/x", {}, "Invalid bucket name"),
        ("s3://records/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect to the endpoint URL"),
        ("s3://records/x", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials"),
    ],
    ids=["bucket", "name", "network", "credentials"],
)
def test_a_bucket_that_cannot_be_used_is_refused_before_any_training(url, environment, reason):
    environment = {"AWS_EC2_METADATA_DISABLED": "true", **environment}
    line = refused(command(*RUN, "--results", url, **environment))
    assert line.startswith(f"fastresnet: {url}: cannot be used: ")
    assert reason in line
    assert reason in refused(command("chapter", "run", "explorer", "-o", f"{url}/out.ipynb", **environment))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense://x/y", "cannot be used: Protocol not known: nonsense"),
        ("s3://x/y", "Install s3fs to access S3; for S3, pip install 'fastresnet[cloud]'"),
    ],
)
def test_missing_package_is_named(url, reason):
    code = "import sys; sys.modules['s3fs'] = None; from fastresnet.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "study", "status", "--results", url], capture_output=True, text=True)
    line = refused(done)
    assert line.startswith(f"fastresnet: {url}: ")
    assert line.endswith(reason)


def test_a_file_is_no_folder_for_results(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below", file / "far" / "below"):
        for command_line in (RUN, ("study", "status")):
            line = refused(command_here(*command_line, "--results", place))
            assert line == f"fastresnet: {place}: must name a folder; {file} is none"


def test_folder_that_may_not_be_read_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))
    monkeypatch.setattr(os, "scandir", Mock(side_effect=denied))
    done = command_here("study", "status", "--results", tmp_path)
    assert (done.returncode, done.stderr) == (1, f"fastresnet: {tmp_path}: Permission denied\n")


def test_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    """By what the system says of it, on behalf of a disk mounted read-only: permissions do not bind the superuser."""
    folder = LocalFolder(tmp_path / "a" / "b")
    folder.check_writable()
    LocalFolder(Path("a")).check_writable()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path or not mode & os.W_OK)
    with pytest.raises(UserError, match=rf"{tmp_path}/a/b: must name a folder that can be written to; {tmp_path} cannot"):
        folder.check_writable()
    with pytest.raises(UserError, match="must name a folder that can be written to"):
        folders.check_file(tmp_path / "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://", "s3://: must name a folder after s3://"),
        ("memory:///", "memory:///: must name a folder after memory://"),
        ("file://localhost/tmp/x", "file://localhost/tmp/x: allowed after file:// is a path that begins with /"),
        ("file://x", "file://x: allowed after file:// is a path that begins with /"),
    ],
)
def test_url_that_names_no_folder_is_refused_and_makes_none_here(url, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^{reason}"):
        Store([url]).check_writable()
    assert not list(tmp_path.iterdir())


def test_file_in_no_folder_of_a_url_is_refused():
    with pytest.raises(UserError, match="^s3://: must name a folder after s3://"):
        notebooks.run_chapter("preface", "s3://mine.ipynb", {})
    where, name = split_place("file:///mine.ipynb")
    assert (open_folder(where).path, name) == (Path("/"), "mine.ipynb")


def test_paths_need_no_fsspec(tmp_path):
    code = (
        "import sys\nfrom fastresnet.records.store import Store\n"
        f"assert Store([{str(tmp_path)!r}]).find('0' * 12, 0) is None\nassert 'fsspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert isinstance(open_folder(os.fspath(tmp_path)), LocalFolder)
