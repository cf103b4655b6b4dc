"""What several test modules share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.model_config import ResNetConfig
from fastresnet.schedules import Constant

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory):
    """Keeps decoded data and checkpoints of the tests out of the user's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def tiny():
    """A run of about a second on the embedded sample."""
    return RunConfig(
        data=DataConfig(name="fashion-sample", train_images=128, test_images=50, batch_size=32),
        model=ResNetConfig(depth=10, channels=(8, 8, 16, 16), in_channels=1),
        train=TrainConfig(epochs=2, schedule=Constant(lr=0.05)),
    )


@pytest.fixture
def real_data():
    """The folder of the full data sets; tests that need it are skipped where there is none."""
    folder = os.environ.get("FASTRESNET_DATA")
    if not folder:
        pytest.skip("FASTRESNET_DATA names no folder with the full data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-sync", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


def command(*arguments, cwd=ROOT, **environment):
    """Runs the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-c", "from fastresnet.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=300,
    )


def refused(done):
    """The one line of an answer that refuses a request."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("fastresnet: ")
    return done.stderr.strip()
