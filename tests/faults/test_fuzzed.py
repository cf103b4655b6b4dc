"""Anything at all as a configuration, a parameter or an argument: served, or refused with one line and exit code 2."""

import contextlib
import math

import pytest
import typer
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fastresnet.cli import app
from fastresnet.config import DataConfig, TrainConfig
from fastresnet.config.models import DavidNetConfig, ResNetConfig, SpeedNetConfig
from fastresnet.study import STUDIES, find_study

from ..conftest import command, command_here, refused

REFUSED = "One line that starts with `fastresnet:`, exit code 2, no traceback; or served"
HEAVY = (
    "training.runs.train",
    "study.train_all",
    "book.notebooks.run_chapter",
    "book.side_by_side.run_side_by_side",
    "data.official.fetch",
    "training.tuning.search",
    "book.build.build_book",
    "report.verification.recheck",
    "report.export.write_export",
)
"""What a request comes to once it has been accepted."""


class Accepted(BaseException):
    """The request was found good, and its work would begin."""


@pytest.fixture
def light(monkeypatch, tmp_path):
    """Requests are checked in full, but what is asked for is not done."""

    def accept(*_, **__):
        raise Accepted

    for name in HEAVY:
        monkeypatch.setattr(f"fastresnet.{name}", accept)
    monkeypatch.chdir(tmp_path)


def check_here(*arguments):
    """A request is served, would be, or is refused as the promise says."""
    with contextlib.suppress(Accepted):
        check(command_here(*arguments))


def check(done):
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 2), done.stderr
    if done.returncode and "Usage: " not in done.stdout:  # a group named without a command shows its help
        refused(done)


def try_each(attempts, strategy, full, sample, one):
    """Tries examples of a strategy, each of them counted."""

    @settings(
        max_examples=attempts.times(full, sample),
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(example):
        with attempts.attempt(repr(example)[:300]):
            one(example)

    each()


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 300),
    st.floats(),
    st.sampled_from([math.inf, -math.inf, math.nan, 10**400, -(2**63), 1e-320, 0.0, -0.0]),
    st.text(max_size=20),
    st.sampled_from(
        ["", "cifar10", "folder:", "folder:\0", "tensors:x", "../..", "<script>", "resnet", "fp16", "5e-4", "é\ud800"]
    ),
    st.dates(),
    st.binary(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.integers() | st.text(max_size=8), each, max_size=3),
    max_leaves=8,
)
MODELS = (ResNetConfig, SpeedNetConfig, DavidNetConfig)
KEYS = {
    "data": sorted(DataConfig.model_fields),
    "train": sorted(TrainConfig.model_fields),
    "model": sorted({key for model in MODELS for key in model.model_fields}),
}
SCHEDULES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["constant", "linear", "one-cycle", "plateau", "cosine-restarts", "piecewise-linear", "?"])},
    optional=dict.fromkeys(("lr", "max_lr", "points", "milestones", "patience", "num_cycles"), VALUES),
)


def section(name):
    special = {"kind": st.sampled_from(["resnet", "speednet", "davidnet", 3, "x"]), "schedule": SCHEDULES | VALUES}
    return st.dictionaries(st.sampled_from(KEYS[name]) | st.text(max_size=6), VALUES, max_size=4).flatmap(
        lambda values: st.fixed_dictionaries({key: special.get(key, st.just(value)) for key, value in values.items()})
    )


CONFIGS = st.fixed_dictionaries({}, optional={name: section(name) | VALUES for name in KEYS} | {"x": VALUES})
FILES = st.one_of(
    CONFIGS.map(lambda values: yaml.safe_dump(values, allow_unicode=False).encode()),
    VALUES.map(lambda values: yaml.safe_dump(values).encode()),
    st.binary(max_size=60),
    st.text(alphabet="{}[]:,-&*!|>#'\"%@` \n\tab1", max_size=40).map(str.encode),
)


@pytest.mark.faults("Senseless input", "A random YAML file given to `train`: wrong types, values, keys, syntax, bytes", REFUSED)
def test_any_file_is_served_or_refused(attempts, light, tmp_path):
    file = tmp_path / "run.yml"

    def one(content):
        file.write_bytes(content)
        check_here("train", "run.yml")

    try_each(attempts, FILES, 4_000, 60, one)


TEXTS = st.one_of(
    VALUES.map(lambda value: yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()),
    st.text(max_size=20),
    st.text(alphabet="{}[]:,-&*!|>#'\"%@` 1e", max_size=12),
).map(lambda text: text.replace("\0", "").encode(errors="replace").decode())
PATHS = st.one_of(*(st.sampled_from([f"{name}.{key}" for key in keys]) for name, keys in KEYS.items()), st.text(max_size=8))
ASSIGNMENTS = st.lists(st.tuples(PATHS, TEXTS).map("=".join) | TEXTS, min_size=1, max_size=3)


@pytest.mark.faults("Senseless input", "Random `-p SECTION.KEY=VALUE` given to `train` on a good file", REFUSED)
def test_any_assignment_is_served_or_refused(attempts, light, tmp_path):
    (tmp_path / "run.yml").write_text("data: {name: fashion-sample}\nmodel: {in_channels: 1}\n")

    def one(assignments):
        check_here("train", "run.yml", *(part for each in assignments for part in ("-p", each)))

    try_each(attempts, ASSIGNMENTS, 3_000, 60, one)


def parameter_requests():
    names = {name: sorted(find_study(name).Parameters.model_fields) for name in STUDIES}
    return st.sampled_from(STUDIES).flatmap(
        lambda name: st.tuples(
            st.sampled_from([("study", "run", name, "--results", "results"), ("chapter", "run", name)]),
            st.lists(st.tuples(st.sampled_from(names[name]) | st.text(max_size=6), TEXTS).map("=".join), min_size=1, max_size=2),
        )
    )


@pytest.mark.faults("Senseless input", "Random `-p KEY=VALUE` given to `study run` and `chapter run`", REFUSED)
def test_any_parameter_is_served_or_refused(attempts, light):
    def one(request):
        start, assignments = request
        check_here(*start, *(part for each in assignments for part in ("-p", each)))

    try_each(attempts, parameter_requests(), 2_000, 40, one)


def words(group):
    """The names and the options of all commands of a group."""
    for name, each in getattr(group, "commands", {}).items():
        yield name
        yield from words(each)
    yield from (option for parameter in group.params for option in parameter.opts if option.startswith("-"))


VALUES = """
explorer fashion-80 cifar10-90 cifar10 cifar100 fashion-sample run.yml model.pt out.json out.ipynb cpu quick F8 0 1 -1 nan
. .. / = a=b - -- /dev/null é
"""
WORDS = st.sampled_from([*sorted({*words(typer.main.get_command(app))}), "--help", *VALUES.split(), *STUDIES, ""])
ARGUMENTS = st.lists(WORDS | st.text(max_size=6).map(lambda text: text.replace("\0", "")), max_size=7)


@pytest.mark.faults("Senseless input", "Random words and options of the command line", REFUSED)
def test_any_arguments_are_served_or_refused(attempts, light):
    try_each(attempts, ARGUMENTS, 2_000, 60, lambda arguments: check_here(*arguments))


SAMPLES = (
    ["train", "nowhere.yml"],
    ["train", "fashion-80", "-p", "train.epochs=[1"],
    ["train", "fashion-80", "-p", "data=5", "-p", "x"],
    ["study", "run", "findings", "-p", "edition=cpu"],
    ["chapter", "run", "frontier", "-p", "seeds={}"],
    ["--nothing"],
    ["predict"],
    ["train", "fashion-80", "--seed", "x\udcff"],
)


@pytest.mark.faults("Senseless input", "Some of these as processes of their own", REFUSED)
def test_processes_answer_as_the_function_does(attempts, tmp_path):
    for arguments in SAMPLES[: attempts.times(None, 2)]:
        with attempts.attempt(str(arguments)):
            done = command(*arguments, cwd=tmp_path)
            check(done)
            assert done.returncode == 2
