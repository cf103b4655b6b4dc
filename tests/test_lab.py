"""The explorers in JupyterLab with a kernel: what is moved there is what the next cell works with."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from urllib.request import urlopen

import pytest

from .conftest import ROOT, accessibility_findings, free_port, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab of its own with copies of notebooks: call it with a notebook's name."""
    tmp_path = tmp_path_factory.mktemp("lab")
    for name in (*EXPLORERS, "myrtle_notes"):
        shutil.copy(ROOT / "book" / f"{name}.ipynb", tmp_path)
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

    def answers():
        assert server.poll() is None, (tmp_path / "lab.log").read_text()[-2000:]
        with suppress(OSError):
            return urlopen(f"{address}/api/status?token={token}", timeout=5).read()

    try:
        wait_for(answers)
        yield lambda name: f"{address}/lab/tree/{name}.ipynb?reset&token={token}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
        log.close()


def move_schedule(widget):
    rate = widget.get_by_label("Maximal rate", exact=True)
    rate.fill("0.25")
    rate.press("Tab")


EXPLORERS = {
    "explorer": (".schedule-explorer", move_schedule, "print(repr(explorer.schedule))", r"OneCycle\(.*max_lr=0\.25"),
    "runs": (
        ".run-explorer",
        lambda widget: widget.get_by_label("Step through the runs").press("ArrowRight"),
        "explorer.record.model_dump_json",
        r'"config_hash": "\w+"',
    ),
    "architectures": (
        ".architecture-picker",
        lambda widget: widget.get_by_label("Depth").select_option("34"),
        "picker.model_config.model_dump(",
        r"'depth': 34",
    ),
    "throughput": (
        ".throughput-explorer",
        lambda widget: widget.get_by_label("Measured sizes").press("ArrowRight"),
        "explorer.config.model_dump(",
        r"'batch_size': 256",
    ),
}
"""By notebook: the widget, what moves it, the cell that reads its trait, and what that cell then shows and did not before."""


@pytest.fixture
def run_all(browser, lab):
    """Opens a notebook in JupyterLab, runs all its cells, and fails at the end if a widget's script did."""
    errors, pages = [], []

    def open_notebook(name):
        page = browser.new_page(viewport={"width": 1400, "height": 1600})
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(f"{error}\n{error.stack}"))
        page.goto(lab(name))
        page.get_by_text("| Idle").wait_for(timeout=60_000)  # until there is a kernel, the menu cannot run anything
        page.locator(".jp-Notebook .jp-MarkdownCell").first.click()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.locator(EXPLORERS[name][0]).wait_for(state="attached", timeout=60_000)
        assert page.locator("[data-widget]").count() == 0  # the live widget, not the page left without a kernel
        executed = page.locator(".jp-CodeCell").last.locator(".jp-InputPrompt", has_text=re.compile(r"\d"))
        executed.wait_for(timeout=120_000)
        return page

    yield open_notebook
    for page in pages:
        page.close()
    assert not [error for error in errors if "anywidget" in error or "blob:" in error]


def run_cell(page, source):
    page.locator(".jp-CodeCell", has_text=source).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")


@pytest.mark.browser
@pytest.mark.parametrize("name", EXPLORERS)
def test_what_is_moved_in_jupyterlab_is_the_kernel_s(run_all, name):
    place, move, source, wanted = EXPLORERS[name]
    page = run_all(name)
    shown = page.locator(".jp-CodeCell", has_text=source).locator(".jp-OutputArea-output").filter(has_text=re.compile(wanted))
    assert shown.count() == 0
    move(page.locator(place))
    run_cell(page, source)
    shown.wait_for(timeout=30_000)


@pytest.mark.browser
def test_laboratory_trains_stops_and_saves_while_other_cells_run(run_all):
    page = run_all("explorer")
    move_schedule(page.locator(".schedule-explorer"))
    page.get_by_text("explorer, now: one-cycle (max_lr 0.25)").wait_for(state="attached", timeout=30_000)
    epochs = page.locator(".widget-text", has_text="Epochs").locator("input")
    epochs.fill("500")
    epochs.press("Tab")
    page.get_by_role("button", name="Train", exact=True).click()
    runs = page.locator(".laboratory")
    runs.get_by_role("cell", name="training").wait_for(timeout=60_000)
    runs.locator("path.curve[d*=L]").nth(1).wait_for(timeout=60_000)  # rate and loss are drawn as they come
    run_cell(page, "print(repr(explorer.schedule))")
    page.locator(".jp-OutputArea-output", has_text="max_lr=0.25").first.wait_for(timeout=60_000)
    assert runs.get_by_role("cell", name="training").count() == 1
    page.get_by_role("button", name="Stop", exact=True).click()
    runs.get_by_role("cell", name=re.compile(r"stopped after \d+ steps")).wait_for(timeout=60_000)
    page.get_by_label("Schedules").select_option("Report: F8, constant 0.1")
    epochs.fill("0.1")
    epochs.press("Tab")
    page.get_by_role("button", name="Train", exact=True).click()
    finished = runs.get_by_role("row", name="2 Report: F8, constant 0.1")
    finished.get_by_role("cell", name="finished").wait_for(timeout=60_000)
    page.get_by_role("button", name="Save as YAML").click()
    page.get_by_text("It trains the same with: fastresnet train run.yml").wait_for(timeout=60_000)
    assert not accessibility_findings(page, ".laboratory")


@pytest.mark.browser
def test_chapter_shows_its_text_as_the_book_does_and_folds_its_code(browser, lab):
    page = browser.new_page(viewport={"width": 1400, "height": 1600})
    page.goto(lab("myrtle_notes"))
    page.get_by_text("| Idle").wait_for(timeout=60_000)  # a server whose kernel is still starting does not end
    page.locator(".jp-MarkdownCell p").get_by_role("link", name="Page 2019").wait_for(timeout=60_000)
    assert not re.search(r"\{\w+\}`|page2019", page.locator(".jp-Notebook").inner_text())
    assert page.locator(".jp-CodeCell .jp-InputArea-editor").count() == 1  # the parameters
    page.close()
