"""A file is replaced in one move; names of unfinished ones are taken over from the dead and left to the living."""

import errno
import fcntl
import multiprocessing
import os
import signal
import stat
import warnings
from unittest.mock import Mock

import pytest

from fastresnet.errors import UserError
from fastresnet.records.atomic import replacing

from .conftest import no_more_than


def fill(path, content, connection):
    with replacing(path) as partial:
        partial.write_text(content)
        connection.send("written")
        connection.recv()


@pytest.fixture
def writer(tmp_path):
    """A process that has written to a partial file and waits."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=fill, args=(tmp_path / "file", "the other's", there))
    process.start()
    assert here.recv() == "written"
    yield process, here
    process.kill()
    process.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_is_there_once_the_block_is_done_with_its_permissions(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["file"]


def test_block_that_raises_leaves_what_was(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("limit", [0, 100])
def test_disk_without_room_is_an_error_that_names_the_file(tmp_path, limit):
    path = tmp_path / "file"
    path.write_text("old")
    with no_more_than(limit), pytest.raises(OSError, match="File too large") as raised, replacing(path) as partial:
        partial.write_bytes(bytes(200))
    assert raised.value.filename == str(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / "nowhere" / "file"
    with pytest.raises(FileNotFoundError) as raised, replacing(path):
        pass
    assert raised.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as raised, replacing(tmp_path / "file"):
        (tmp_path / "source").read_bytes()
    assert raised.value.filename == str(tmp_path / "source")


def test_link_stays_one_and_what_it_names_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    file, link = tmp_path / "far" / "file", tmp_path / "link"
    link.symlink_to("far/file")
    for content in ("new", "newer"):
        with replacing(link) as partial:
            assert partial.parent == file.parent
            partial.write_text(content)
        assert link.is_symlink()
        assert file.read_text() == content
    assert names(tmp_path) == ["far", "link"]


def test_what_is_no_file_is_refused_and_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "folder", "circle", "link"):
        with pytest.raises(UserError, match=f"{name}: must name a file"), replacing(tmp_path / name):
            pass
    assert names(tmp_path) == ["circle", "folder", "link", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_what_a_killed_writer_left_is_taken_over(tmp_path, writer):
    os.kill(writer[0].pid, signal.SIGKILL)
    writer[0].join()
    assert names(tmp_path) == ["file.0.lock", "file.0.partial"]
    with replacing(tmp_path / "file") as partial:
        assert partial.read_text() == ""
        partial.write_text("mine")
    assert names(tmp_path) == ["file"]


def test_another_writer_at_work_is_left_alone(tmp_path, writer):
    path = tmp_path / "file"
    with replacing(path) as partial:
        assert names(tmp_path) == ["file.0.lock", "file.0.partial", "file.1.lock", "file.1.partial"]
        partial.write_text("mine")
    assert path.read_text() == "mine"
    writer[1].send("go on")
    writer[0].join()
    assert path.read_text() == "the other's"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("reason", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_written_to_as_well(tmp_path, monkeypatch, reason):
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(reason, os.strerror(reason))))
    with warnings.catch_warnings(action="ignore"), replacing(tmp_path / "file") as partial:
        partial.write_text("mine")
        with replacing(tmp_path / "file") as other:
            other.write_text("the other's")
        assert (tmp_path / "file").read_text() == "the other's"
    assert (tmp_path / "file").read_text() == "mine"
    assert names(tmp_path) == ["file"]
