"""Converts YAML files and `-p KEY=VALUE` options to checked models, with errors that say what is allowed."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from fastresnet.errors import UserError

_MOST_VALUES = 10_000

Model = TypeVar("Model", bound=BaseModel)


def load_yaml(path: str | Path, model: type[Model]) -> Model:
    """Reads a YAML file into a checked model. Raises UserError that names the file, the key and what is allowed."""
    return parse(read_yaml(Path(path)), model, str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping. Raises UserError that names the file and, for invalid YAML, the line."""
    try:
        values = _safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # an impossible date is a ValueError
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of keys to values, got {type(values).__name__}")
    return values


def _safe_load(text: str) -> Any:
    """Parses YAML into plain values. Raises ValueError if nested or recursive aliases expand to more than `_MOST_VALUES`."""
    values = yaml.safe_load(text)
    left = [values]
    for _ in range(_MOST_VALUES):
        if not left:
            return values
        each = left.pop()
        left += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    raise ValueError(f"more than {_MOST_VALUES:,} values, each use of an alias counted")


def parse_assignment(text: str) -> tuple[str, Any]:
    """Splits `key=value` and parses the value as YAML: `flag=true` gives a bool and `sizes=[1, 2]` a list.

    Raises UserError if there is no key or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"\w+(\.\w+)*", key):
        raise UserError(f"-p {text}: expected KEY=VALUE")
    if re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):  # YAML 1.1 reads 5e-4 as text
        return key, float(value)
    try:
        return key, _safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"-p {text}: the value is not valid YAML: {' '.join(str(error).split())}") from error


def parse(values: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """Checks values with pydantic's strict rules for JSON: 2 is accepted as a float, "2" only as a string.

    Raises UserError with one line that names each bad key and what is allowed there.
    """
    try:
        return model.model_validate_json(json.dumps(values, default=_plain))
    except (TypeError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise UserError("; ".join(f"{where}: {_explain(line, model)}" for line in error.errors())) from error
        raise UserError(f"{where}: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__}: not a number, a string, or a list or mapping of these")


def _explain(error: Any, model: type[BaseModel]) -> str:
    path, beside = _follow(model, [str(part) for part in error["loc"]])
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(path[-1], beside, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"{key}: unknown key{hint}; allowed: {', '.join(beside)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "float_type" and isinstance(error["input"], str):
        message += f", got the text {error['input']!r} (YAML reads 5e-4 as text: write 5.0e-4)"
    elif "input" in error and not isinstance(error["input"], dict):
        message += f", got {error['input']!r}"
    return f"{key}: {message}" if key else message


def _follow(model: type[BaseModel], location: list[str]) -> tuple[list[str], list[str]]:
    """The path of keys to an error, as the user wrote them, and the keys allowed at its last level.

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
                kinds = {each.model_fields["kind"].default: each for each in found}
    return path, beside


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
