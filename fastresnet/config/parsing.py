"""Converts YAML files and `-p KEY=VALUE` options to checked models, with errors that say what is allowed."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from fastresnet.errors import UserError

_MOST_VALUES = 10_000

Model = TypeVar("Model", bound=BaseModel)
_TAG = "tag:yaml.org,2002:"
_CORE_SCHEMA = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
"""What a word without quotes stands for by YAML 1.2.2, section 10.3.2. Any other is a text."""


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2, in which 1e-3 is a number, 0100 is a hundred, and 1:30, 1_000 and yes are texts. Refuses a key that comes
    twice or is not a text.

    PyYAML alone reads YAML 1.1 and takes the last of equal keys.
    """

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if key.tag != f"{_TAG}str" or not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is not a text; put it in quotes", problem_mark=key.start_mark)
            if key.value in keys:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} comes twice", problem_mark=key.start_mark)
            keys.add(key.value)
        return node

    def construct_integer(self, node: Any) -> int:
        text = self.construct_scalar(node)
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


for _name, _pattern in _CORE_SCHEMA.items():  # in this order: each whole number would also do as a float
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), None)
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_integer)


def load_yaml(path: str | Path, model: type[Model]) -> Model:
    """Reads a YAML file as checked settings of the class `model`. Raises UserError that names file, key and what is allowed.

    >>> from pathlib import Path
    >>> _ = Path("run.yml").write_text("train: {epochs: 5}")
    >>> fr.load_yaml("run.yml", fr.RunConfig).train.epochs
    5.0
    """
    return parse(read_yaml(Path(path)), model, str(path))


_NOT_YAML = (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError)
"""What PyYAML raises for a text that is not YAML: also errors of its own readers of tags, such as KeyError for `!!bool maybe`."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping. Raises UserError that names the file and, for invalid YAML, the line."""
    try:
        values = _safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except _NOT_YAML as error:  # bytes that are not UTF-8 are a ValueError
        raise UserError(f"{path}: not valid YAML: {_reason(error)}") from error
    if not isinstance(values, dict):
        found = "nothing" if values is None else type(values).__name__
        raise UserError(f"{path}: expected a mapping of keys to values, got {found}")
    return values


def _reason(error: Exception) -> str:
    """What is wrong with a YAML text, and in which line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split()).replace('in "<unicode string>",', "at")


def _safe_load(text: str) -> Any:
    """Parses YAML into plain values. Raises ValueError if nested or recursive aliases expand to more than `_MOST_VALUES`."""
    values = yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    left = [values]
    for _ in range(_MOST_VALUES):
        if not left:
            return values
        each = left.pop()
        left += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    raise ValueError(f"more than {_MOST_VALUES:,} values, each use of an alias counted")


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Values by key from texts `key=value`, each parsed by `parse_assignment`. Raises UserError if a key comes twice."""
    values: dict[str, Any] = {}
    for text in texts:
        key, value = parse_assignment(text)
        if key in values:
            raise UserError(f"-p {text}: {key} comes twice")
        values[key] = value
    return values


def parse_assignment(text: str) -> tuple[str, Any]:
    """Splits `key=value` and parses the value as YAML: `flag=true` gives a bool and `sizes=[1, 2]` a list.

    Raises UserError if there is no key or no value, or if the value is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"\S+", key) or value.startswith("="):
        raise UserError(f"-p {text}: expected KEY=VALUE, with one = and no space before it")
    if not value.strip():
        raise UserError(f"-p {text}: has no value; allowed: {key}=null for none, {key}='\"\"' for an empty text")
    try:
        parsed = _safe_load(value)
    except _NOT_YAML as error:
        raise UserError(f"-p {text}: the value is not valid YAML: {_reason(error)}") from error
    if "#" in value and "#" not in str(parsed):
        raise UserError(f"-p {text}: # begins a comment; put a text that has one in quotes of its own: {key}='\"...\"'")
    return key, parsed


def parse(values: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """Checks values with pydantic's strict rules for JSON: 2 is accepted as a float, "2" only as a string.

    Raises UserError with one line that names each bad key and what is allowed there.
    """
    try:
        return model.model_validate_json(json.dumps(values, default=_plain, ensure_ascii=False).encode())
    except ValidationError as error:
        # pydantic counts the values of a list without those that it has refused
        lines = (line for line in error.errors() if line["type"] != "too_short" or len(line["input"]) < line["ctx"]["min_length"])
        raise UserError("; ".join(f"{where}: {_explain(line, model)}" for line in lines)) from error
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: a text is not UTF-8, as records are, in {error.object[: error.end][-80:]!r}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error


def _plain(value: Any) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    if getattr(value, "ndim", None) == 0:  # a number of numpy or torch
        return value.item()
    raise TypeError(f"{type(value).__name__}: not a number, a string, or a list or mapping of these")


def _explain(error: Any, model: type[BaseModel]) -> str:
    path, beside = _follow(model, [str(part) for part in error["loc"]])
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{suggestion(path[-1], beside)}; allowed: {', '.join(beside)}"
    if error["type"].startswith("union_tag"):
        found = error["ctx"].get("tag")
        problem = f"no such kind{suggestion(found, beside)}, got {found!r}" if found else "has no kind"
        return f"{key}: {problem}; allowed: {', '.join(beside)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("list_type", "tuple_type") and not isinstance(error["input"], dict):
        message = f"must be a list, such as {[error['input']]}"
    if error["type"] in ("bool_type", "int_type", "float_type") and isinstance(error["input"], str):
        message += f", got the text {error['input']!r}"
    elif error["type"] == "string_type" and isinstance(error["input"], dict):
        message += ", got a mapping, since it has a colon at its end or before a space; put it in quotes"
    elif "input" in error and not isinstance(error["input"], dict):
        message += f", got {error['input']!r}"
    return f"{key}: {message}" if key else message


def suggestion(word: str, words: Iterable[str]) -> str:
    """The text " (did you mean WORD?)" with the word closest to a misspelt one; "" if none is close."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _follow(model: type[BaseModel], location: list[str]) -> tuple[list[str], list[str]]:
    """The path of keys to an error, as the user wrote them, and the keys or the kinds allowed at its last level.

    For a field that allows several models, pydantic's location also contains the model's `kind`, which is left out here.
    """
    path: list[str] = []
    kinds: dict[str, type[BaseModel]] = {}
    beside = list(model.model_fields)
    for part in location:
        if part in kinds:
            model, kinds = kinds[part], {}
            continue
        path.append(part)
        beside = list(model.model_fields)
        if part in model.model_fields:
            found = list(_models_in(model.model_fields[part].annotation))
            if len(found) == 1:
                model = found[0]
            else:
                beside = list(kinds := {each.model_fields["kind"].default: each for each in found})
    return path, beside


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
