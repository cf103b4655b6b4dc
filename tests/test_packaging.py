"""The files that say what is installed agree with each other and with what is installed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import fastresnet
from fastresnet.cli import app
from fastresnet.config import RunConfig
from fastresnet.config.parsing import parse

from .conftest import ROOT, command_here, refused

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCK = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
}


def test_lock_satisfies_the_project_and_is_what_is_installed():
    # peers are what the benchmark compares with: nothing here needs them
    lines = [*PROJECT["dependencies"], *(line for extra, lines in EXTRAS.items() if extra != "peers" for line in lines)]
    for requirement in (Requirement(line) for line in lines if not line.startswith("fastresnet")):
        name = canonicalize_name(requirement.name)
        assert LOCK[name] in requirement.specifier, name
        assert metadata.version(name).partition("+")[0] == LOCK[name], name


def test_conda_environment_is_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert pip == {"pip": ["-r requirements.lock", "--editable .[dev]"]}
    (python,) = (line for line in conda if line.startswith("python"))
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])


def test_version_is_the_same_everywhere():
    assert metadata.version("fastresnet") == fastresnet.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == fastresnet.__version__
    assert f"## {fastresnet.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("page", "code", "printed"),
    [("README.md", r'python -c "(.+)"$', "mean"), ("book/api.md", r"```python\n(?s:(.+?))```", r"^0\.\d+$")],
)
def test_example_of_a_page_runs(page, code, printed):
    (example,) = re.findall(code, (ROOT / page).read_text(), re.MULTILINE)
    done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(printed, done.stdout)


PAGES = ("README.md", "book/reproduce.md", "book/scaling.md")
BLOCKS = [block for page in PAGES for block in re.findall(r"```\n(.+?)```", (ROOT / page).read_text(), re.DOTALL)]
COMMANDS = re.findall(r"^(?:\.venv/bin/)?fastresnet (.+?)(?: +#.*)?$", "\n".join(BLOCKS), re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_command_of_a_page_has_the_options_that_it_names(line):
    found, words = typer.main.get_command(app), shlex.split(line)
    while hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    found.make_context("fastresnet", words)  # parses, or raises


def test_run_of_a_page_is_a_configuration():
    for block in re.findall(r"```yaml\n(.+?)```", (ROOT / "book" / "reproduce.md").read_text(), re.DOTALL):
        parse(yaml.safe_load(block), RunConfig, "reproduce.md")


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("papermill", "chapter run preface -o x.ipynb"), ("nbformat", "chapter list"), ("scipy", "study verify")],
)
def test_missing_extra_is_named_in_one_line(monkeypatch, package, arguments):
    monkeypatch.setitem(sys.modules, package, None)
    for module in [name for name in sys.modules if name.startswith(("fastresnet.book", "fastresnet.report"))]:
        monkeypatch.delitem(sys.modules, module)  # as in a process that has not loaded it yet
    said = f"fastresnet: {package} is not installed; get it with: pip install 'fastresnet[book]'"
    assert refused(command_here(*arguments.split())) == said


@pytest.mark.slow
def test_wheel_in_an_empty_environment_trains_predicts_and_lists_recipes(tmp_path):
    """As somebody has it who installs the package alone, outside any checkout."""

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "FASTRESNET_DATA")}
    source = tmp_path / "source"  # a build leaves files behind
    shutil.copytree(ROOT / "fastresnet", source / "fastresnet", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source)
    run(sys.executable, *build)
    (wheel,) = tmp_path.glob("fastresnet-*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    programs = tmp_path / "venv" / "bin"
    run(programs / "pip", "install", "--quiet", "--constraint", ROOT / "requirements.lock", wheel)
    assert "cifar10-94" in run(programs / "fastresnet", "recipes")
    tiny = ("-p", "data.name=fashion-sample", "-p", "data.train_images=200", "-p", "train.epochs=1")
    run(programs / "fastresnet", "train", "fashion-80", *tiny, "--save", "model.pt")
    code = "from PIL import Image; Image.new('L', (28, 28)).save('black.png')"
    run(programs / "python", "-c", code)
    assert run(programs / "fastresnet", "predict", "model.pt", "black.png").startswith("black.png\t")


def make(*arguments, tmp_path, **variables):
    """What make prints, with a target `show` that prints the variables of its commands."""
    (tmp_path / "show.mk").write_text("show:\n\t@env\n")
    command = ["make", "--silent", "-f", "Makefile", "-f", tmp_path / "show.mk", *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_make_installs_where_it_says_from_where_the_user_says(tmp_path):
    theirs = {"PIP_INDEX_URL": "https://mirror.invalid/simple", "PIP_CACHE_DIR": "/cache"}
    elsewhere = {"PIP_USER": "1", "PIP_TARGET": "/elsewhere", "PIP_REQUIRE_HASHES": "1"}
    shown = make("show", tmp_path=tmp_path, **theirs, **elsewhere, PYTHONPATH="/elsewhere", PYTHONSTARTUP="/elsewhere.py")
    assert {f"{name}={value}" for name, value in theirs.items()} | {"PIP_USER=0"} <= set(shown)
    assert not [line for line in shown if line.startswith(("PIP_TARGET", "PIP_REQUIRE", "PYTHONPATH", "PYTHONSTARTUP"))]


def test_make_lab_takes_its_own_kernel_and_is_for_root_too_on_loopback(tmp_path):
    shown = make("show", tmp_path=tmp_path, JUPYTER_PATH="/elsewhere")
    assert f"JUPYTER_PATH={ROOT}/.venv/share/jupyter" in shown
    (command,) = (
        line for line in make("--just-print", "--assume-old=.venv/installed", "lab", tmp_path=tmp_path) if "lab" in line
    )
    assert command.endswith("--allow-root --ServerApp.ip=127.0.0.1")
