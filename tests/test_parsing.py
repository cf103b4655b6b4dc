"""YAML as version 1.2 reads it, and assignments: every value as it is written, or refused with what is wrong with it."""

import json

import pytest
import yaml

from fastresnet.config.parsing import parse_assignment, read_yaml
from fastresnet.errors import UserError

from .conftest import ROOT, command_here, refused


@pytest.fixture
def read(tmp_path):
    """Reads a YAML file of the content given."""

    def read(content):
        file = tmp_path / "run.yml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_yaml(file)

    return read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0100", 100),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("1e-3", 0.001),
        ("1.5e3", 1500.0),
        ("1E+2", 100.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", float("-inf")),
        ("True", True),
        ("~", None),
        ("[1e-3, null]", [0.001, None]),
        *(
            (text, text)
            for text in ("1:30", "1_000", "0b11", "yes", "No", "on", "OFF", "y", "2026-11-28", "=", "<<", "0o9", "1e")
        ),
    ],
)
def test_yaml_words_are_what_version_1_2_says(read, text, value):
    assert read(f"key: {text}\n") == {"key": value}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train:\n  epochs: 1\n  epochs: 2\n", "line 3: the key 'epochs' comes twice"),
        ("train: {}\n'train': {}\n", "line 2: the key 'train' comes twice"),
        ("a: [{b: 1, b: 1}]\n", "line 1: the key 'b' comes twice"),
        ("a: 1\n2: 3\n", "line 2: a key is not a text; put it in quotes"),
        ("? [a]\n: 1\n", "line 1: a key is not a text"),
        ("a: 1\nnull: 3\n", "line 2: a key is not a text"),
        ("a:\n\tb: 1\n", r"line 2: found character '\\t' that cannot start any token"),
        ("a: 1\n---\na: 2\n", "line 2: but found another document"),
        ("train: [", "line 1"),
        ("a: 1\n  b: 2\n", "line 2: mapping values are not allowed here"),
        ("caf\xe9: 1\n".encode("latin-1"), "'utf-8' codec can't decode byte 0xe9 in position 3"),
        ("a: 1\n".encode("utf-16"), "'utf-8' codec can't decode byte 0xff in position 0"),
        ("a: \x07\n", "special characters are not allowed"),
        ("a: " + 5_000 * "9", "Exceeds the limit"),
        ("a: &a {x: 1}\nb: *c\n", "line 2: found undefined alias 'c'"),
    ],
)
def test_yaml_that_says_two_things_or_none_is_refused_by_line(read, content, message):
    with pytest.raises(UserError, match=rf"run\.yml: not valid YAML: .*{message}") as refusal:
        read(content)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "found"), [("", "nothing"), ("# only this\n", "nothing"), ("- 1\n", "list"), ("5\n", "int"), ("text", "str")]
)
def test_yaml_that_is_no_mapping_is_refused(read, content, found):
    with pytest.raises(UserError, match=rf"run\.yml: expected a mapping of keys to values, got {found}$"):
        read(content)


def test_byte_order_mark_and_windows_lines_are_read(read):
    assert read(b"\xef\xbb\xbftrain:\r\n  epochs: 2\r\n") == {"train": {"epochs": 2}}


@pytest.mark.parametrize(
    "file", sorted((ROOT / "params").rglob("*.yml")), ids=lambda file: str(file.relative_to(ROOT / "params"))
)
def test_committed_parameters_mean_the_same_to_every_reader_of_yaml(file):
    """Papermill's own command line reads version 1.1."""
    assert json.dumps(read_yaml(file)) == json.dumps(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr", "-p lr: expected KEY=VALUE"),
        ("lr==1", "-p lr==1: expected KEY=VALUE, with one = and no space before it"),
        ("lr =1", "-p lr =1: expected KEY=VALUE"),
        ("=1", "-p =1: expected KEY=VALUE"),
        ("a b=1", "-p a b=1: expected KEY=VALUE"),
        ("a=[", "-p a=[: the value is not valid YAML"),
        ("lr=", "-p lr=: has no value; allowed: lr=null"),
        ("lr= ", "has no value"),
        ("lr={a: 1, a: 2}", "the value is not valid YAML: line 1: the key 'a' comes twice"),
        ("data.name=folder:a #1", "# begins a comment"),
    ],
)
def test_assignment_is_refused_for_what_is_wrong_with_it(text, message):
    with pytest.raises(UserError) as refusal:
        parse_assignment(text)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("a=1", 1), ("a=true", True), ("a=5e-4", 5e-4), ("a=2E1", 20.0), ("a=[1, 2]", [1, 2]), ("a=null", None)),
        *(("a=x=y", "x=y"), ("a=folder:a#1", "folder:a#1"), ('a="folder:a #1"', "folder:a #1")),  # neither # begins a comment
    ],
)
def test_assignments_are_read_as_yaml(text, expected):
    assert parse_assignment(text) == ("a", expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "fashion-80", "-p", "train.epochs", "0.1"], "-p train.epochs: expected KEY=VALUE"),
        (["train", "fashion-80", "-p", "train.epochs=1", "-p", "train.epochs=2"], "-p train.epochs=2: train.epochs comes twice"),
        (["chapter", "run", "findings", "-p", "epochs", "1"], "-p epochs: expected KEY=VALUE"),
        (["chapter", "run", "cifar10_accuracy", "-p", "seeds=0"], "seeds: must be a list, such as [0]"),
        (["chapter", "run", "findings", "-p", "data-set=x"], "data-set: unknown key (did you mean dataset?)"),
        (["train", "fashion-80", "-p", "epochs=1"], "epochs: unknown key (did you mean train.epochs?)"),
        (["train", "fashion-80", "-p", "trian.epochs=1"], "trian.epochs: unknown key (did you mean train.epochs?)"),
        (["train", "fashion-80", "-p", "train.schedul.lr=1"], "train.schedul: unknown key (did you mean schedule?)"),
        (["train", "fashion-80", "-p", "train.epochs=1.5.0"], "should be a valid number, got the text '1.5.0'"),
        (["train", "fashion-80", "-p", "train.test_flip=yes"], "should be a valid boolean, got the text 'yes'"),
    ],
)
def test_misspelt_assignment_is_named_with_what_was_meant(arguments, message):
    assert message in refused(command_here(*arguments))
