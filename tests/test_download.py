"""Fetching from a real server on this machine that breaks off, lies or is not there."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastresnet.config.datasets import SPECS
from fastresnet.data.download import fetch_file, official_files
from fastresnet.errors import UserError

CONTENT = bytes(range(256)) * 4096
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server():
    """A file server with a list of what it was asked; `break_after` cuts the next answer short."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if server.ranges else 0
            server.starts.append(start)
            body = server.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            cut, server.break_after = server.break_after, None
            self.wfile.write(body[:cut])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.ranges, server.break_after, server.starts = CONTENT, True, None, []
    server.address = f"http://127.0.0.1:{server.server_port}/file"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path, ranges):
    server.ranges, server.break_after = ranges, 300_000
    file = tmp_path / "file"
    with pytest.raises(UserError, match=r"broke off after 300000 of 1048576 bytes.*Ways out: .*--data-dir or FASTRESNET_DATA"):
        fetch_file(file, MD5, (server.address,), progress=False)
    assert not file.exists()
    assert fetch_file(file, MD5, (server.address,), progress=False).read_bytes() == CONTENT
    assert server.starts == [0, 300_000 if ranges else 0]
    assert [child.name for child in tmp_path.iterdir()] == ["file"]


def test_a_file_that_is_right_is_not_fetched_again(server, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    fetch_file(tmp_path / "file", MD5, (server.address,), progress=False)
    assert server.starts == []


def test_an_altered_file_is_fetched_again(server, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT[:-1])
    assert fetch_file(tmp_path / "file", MD5, (server.address,), progress=False).read_bytes() == CONTENT


def test_the_next_mirror_serves_when_the_first_lies(server, tmp_path):
    with pytest.raises(UserError, match="md5 .*, expected 0000"):
        fetch_file(tmp_path / "file", "0" * 32, (server.address,), progress=False)
    fetched = fetch_file(tmp_path / "file", MD5, ("http://127.0.0.1:9/file", server.address), progress=False)
    assert fetched.read_bytes() == CONTENT


def test_no_server_names_the_ways_out(tmp_path):
    with pytest.raises(UserError, match=r"could not be fetched .*Connection refused.*Ways out"):
        fetch_file(tmp_path / "file", MD5, ("http://127.0.0.1:9/file",), progress=False)


def test_official_files_are_those_that_torchvision_knows():
    assert len(official_files(SPECS["fashion-mnist"]).downloads) == 4
    for name, batches in (("cifar10", 5), ("cifar100", 1)):
        official = official_files(SPECS[name])
        assert len(official.train) == batches
        assert len(official.test) == 1
        assert official.archive in official.downloads
