"""The explorer in JupyterLab with a kernel: what is moved there is what the next cell trains with."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest

from .conftest import ROOT

START_SECONDS = 60
"""Within which a JupyterLab answers, on a machine that is busy."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab of its own that shows a copy of the explorer's notebook."""
    shutil.copy(ROOT / "book" / "explorer.ipynb", tmp_path)
    port, token = free_port(), secrets.token_hex(16)
    own = {
        name: str(tmp_path / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME")
    }
    options = [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--no-browser", "--allow-root"]
    options += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={tmp_path}", "--LabApp.news_url=None"]
    environment = {**os.environ, **own, "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONPATH": str(ROOT)}
    log = (tmp_path / "lab.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=log, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    try:
        while True:
            try:
                urlopen(f"{address}/api/status?token={token}", timeout=5).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail((tmp_path / "lab.log").read_text()[-2000:])
                time.sleep(0.3)
        yield f"{address}/lab/tree/explorer.ipynb?reset&token={token}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
        log.close()


@pytest.mark.browser
def test_schedule_moved_in_jupyterlab_is_the_kernel_s(browser, lab):
    page = browser.new_page(viewport={"width": 1400, "height": 1600})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(lab)
    page.get_by_text("| Idle").wait_for(timeout=60_000)  # until there is a kernel, the menu cannot run anything
    page.locator(".jp-Notebook .jp-MarkdownCell").first.click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_selector(".schedule-explorer path.curve[d]", state="attached", timeout=60_000)
    assert page.locator("[data-widget]").count() == 0  # the live widget, not the page left without a kernel
    page.get_by_text(re.compile(r"^test accuracy")).wait_for(timeout=60_000)
    rate = page.locator(".schedule-explorer").get_by_label("Maximal rate", exact=True)
    rate.fill("0.25")
    rate.press("Tab")
    page.locator(".jp-CodeCell", has_text="print(repr(explorer.schedule))").locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    page.locator(".jp-OutputArea-output", has_text="OneCycle(").filter(has_text="max_lr=0.25").wait_for(timeout=30_000)
    assert not [error for error in errors if "schedule" in error.lower()]
    page.close()
