"""Fetching from a server on this machine that breaks off, lies or is not there; torchvision is told to ask that one."""

import hashlib
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastresnet.cli.data import data_fetch
from fastresnet.config.datasets import SPECS
from fastresnet.data import official, sources
from fastresnet.data.vision import import_torchvision
from fastresnet.errors import UserError

from .conftest import no_more_than
from .test_sources import CIFAR10, batches, cache, damage, fashion, pack, shards  # noqa: F401

FashionMNIST = import_torchvision("datasets").FashionMNIST


@pytest.fixture
def server(fashion, batches, monkeypatch):  # noqa: F811
    """A server of both data sets' packed files, with a list of those it was asked for; `cut` answers are cut short."""
    raw = fashion / "FashionMNIST" / "raw"
    files = {file.name: file.read_bytes() for file in (pack(batches), *raw.iterdir())}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip("/")
            server.asked.append(name)
            body = files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if server.cut else body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.cut = [], False
    address = f"http://127.0.0.1:{server.server_port}/"
    resources = [(name, hashlib.md5(files[name]).hexdigest()) for name, _ in FashionMNIST.resources]
    monkeypatch.setattr(FashionMNIST, "mirrors", [address])
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    monkeypatch.setattr(CIFAR10, "url", address + CIFAR10.filename)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def target(tmp_path):
    """An empty folder to fetch into."""
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def fetched(name, folder):
    return official.fetch(SPECS[name], folder, progress=False)


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_a_data_set_is_fetched_whole_and_once(name, server, target, capsys):
    files = fetched(name, target)
    assert files_in(target) == sorted(file.name for file in files) == sorted(set(server.asked))
    dataset = sources.verify(name, target)
    assert dataset.train.digest == SPECS[name].train_digest
    server.asked.clear()
    before = [file.stat().st_mtime_ns for file in files]
    assert fetched(name, target) == files
    assert server.asked == []
    assert [file.stat().st_mtime_ns for file in files] == before  # else the decoded copy would not be used
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fashion-mnist", "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz"),
        ("cifar10", "cifar-10-python.tar.gz"),
        ("cifar10", "cifar-10-batches-py/data_batch_3"),
        ("cifar10", "cifar10/train-00001-of-00002.parquet"),
    ],
)
def test_the_command_that_mends_does(name, file, server, target, request, capsys):
    if file.endswith("parquet"):
        target = request.getfixturevalue("shards")
        for other in ("cifar-10-python.tar.gz", "cifar-10-batches-py"):
            (target / other).rename(target.parent / other)
    elif "batches" in file:
        target = request.getfixturevalue("batches")
        (target / "cifar-10-python.tar.gz").unlink()
    else:
        fetched(name, target)
    damage(target / file, "altered")
    with pytest.raises(UserError, match=f"fastresnet data fetch {name} --data-dir {target}"):
        sources.load_dataset(name, target)
    data_fetch(name, target)
    assert "content as published (official" in capsys.readouterr().out
    assert sources.load_dataset(name, target).train.digest == SPECS[name].train_digest


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_a_download_that_breaks_off_leaves_nothing_and_is_one_line(name, server, target):
    server.cut = True
    with pytest.raises(
        UserError, match=r"could not be fetched into .*corrupted.*Ways out: .*--data-dir or FASTRESNET_DATA"
    ) as raised:
        fetched(name, target)
    assert "\n" not in str(raised.value)
    assert files_in(target) == []
    server.cut = False
    assert fetched(name, target)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_no_server_is_one_line(name, server, target, monkeypatch):
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/file")
    with pytest.raises(UserError, match=r"could not be fetched .*Connection refused.*Ways out") as raised:
        fetched(name, target)
    assert "\n" not in str(raised.value)


def test_full_disk_is_one_line_and_leaves_nothing(server, target):
    with no_more_than(10_000), pytest.raises(UserError, match=f"could not be fetched into {target} .*File too large"):
        fetched("cifar10", target)
    assert files_in(target) == []


def test_no_room_to_unpack_is_told_from_damage(fashion):  # noqa: F811
    with no_more_than(10_000), pytest.raises(UserError, match=r"ubyte\.gz: cannot be unpacked into .*File too large"):
        sources.verify("fashion-mnist", fashion)


def test_processes_that_start_at_once_fetch_once(server, cache):  # noqa: F811
    spec, folder = SPECS["cifar10"], cache / "data"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: sources.fetched_source(spec, folder, progress=False), range(4)))
    assert {source.folder for source in found} == {folder}
    assert set(server.asked) == {CIFAR10.filename}
    assert len(server.asked) == 2  # torchvision asks for redirections first


def test_what_a_killed_fetch_left_is_not_taken_for_whole(server, target):
    raw = target / "cifar10.partial" / CIFAR10.base_folder
    raw.mkdir(parents=True)
    (raw / "data_batch_1").write_bytes(pickle.dumps({}))
    assert official.find(SPECS["cifar10"], target) is None
    fetched("cifar10", target)
    assert files_in(target) == [CIFAR10.filename]
