"""Records in a folder or behind a URL: one JSON file per run, found by configuration hash and seed. Does not import torch."""

import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import pandas as pd
from pydantic import ValidationError

from fastresnet.errors import UserError
from fastresnet.records.folders import LocalFolder, Place, check_length, check_path, open_folder, split_place
from fastresnet.records.record import RunRecord

Key = tuple[str, int]
"""Configuration hash and seed, which identify a run."""
RECORDS = "*/*/*.json"
_LONG_NAME = "/".join(["n" * 80] * 3)
"""As long as the name of any record and of the temporary file beside it."""
_LONGEST_SLUG = 40
"""Letters of a variant in the name of its record; the hash tells variants apart."""
_NAME = re.compile(r"-([0-9a-f]{12})-seed(\d+)\.json$")


class Store:
    """Finds and keeps records in folders, each at STUDY/EXPERIMENT/VARIANT-HASH-seedN.json. New ones go into the first folder.

    A folder is a path or a URL; there may be one or several. Raises UserError if there is none.

    >>> data = {"name": "fashion-sample", "train_images": 100, "test_images": 100}
    >>> config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"epochs": 1})
    >>> store = fr.Store(["records"])
    >>> _ = store.save(fr.train(config).record, "mine", experiment="first", variant="plain")
    >>> store.find(config.hash, seed=0).outcome.status
    'finished'
    """

    def __init__(self, folders: Place | Sequence[Place]) -> None:
        one = isinstance(folders, str | Path) or not isinstance(folders, Iterable)
        self.folders: tuple[Place, ...] = tuple(dict.fromkeys(cast(Sequence[Place], [folders] if one else folders)))
        for folder in self.folders:
            check_path(folder)
        if not self.folders:
            raise UserError("Store: there is no folder; allowed: one, or a list of them")

    def __repr__(self) -> str:
        return f"Store({', '.join(map(str, self.folders))})"

    def find(self, config_hash: str, seed: int) -> RunRecord | None:
        """The record of one run that finished or diverged; None if there is none. Raises UserError like `find_all`."""
        return self.find_all([(config_hash, seed)]).get((config_hash, seed))

    def find_all(self, wanted: Iterable[Key]) -> dict[Key, RunRecord]:
        """The records of the wanted runs that finished or diverged. Failed runs are left out.

        Each folder is listed once, and only files whose names match a wanted run are read. Raises UserError that names a file
        among these if it is not a whole record or holds another run.
        """
        missing, found = set(wanted), {}
        for folder in map(open_folder, self.folders if missing else ()):
            keys = {name: key for name in folder.names(RECORDS) if (key := _key(name)) in missing}
            for name, content in folder.read(keys):
                key = keys[name]
                if key not in missing:  # an earlier file held the same run
                    continue
                record = _ended(content, key, folder.place(name))
                if record:
                    found[key] = record
                    missing.remove(key)
        return found

    def find_saved(self, key: Key, study: str, experiment: str, variant: str) -> RunRecord | None:
        """Like `find`, but only for a record that `save` wrote under these names, so that no folder need be listed."""
        folder, name = open_folder(self.folders[0]), _name(key, study, experiment, variant)
        content = folder.get(name)
        return None if content is None else _ended(content, key, folder.place(name))

    def save(self, record: RunRecord, study: str, experiment: str, variant: str) -> Place:
        """Writes a record atomically into the first folder and returns its place."""
        name = _name((record.config_hash, record.seed), study, experiment, variant)
        return open_folder(self.folders[0]).write(name, _text(record))

    def check_writable(self) -> None:
        """Raises UserError unless new records can be written."""
        folder = open_folder(self.folders[0])
        folder.check_writable()
        if isinstance(folder, LocalFolder):
            check_length(folder.path / _LONG_NAME, folder.path)


def _name(key: Key, study: str, experiment: str, variant: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", variant.lower()).strip("-")[:_LONGEST_SLUG]
    for part in (study, experiment):
        if not re.fullmatch(r"\w[\w.-]*", part):  # else it could name a folder elsewhere
            raise UserError(f"{part!r}: allowed in the name of a study or an experiment: letters, digits, . and -")
    return f"{study}/{experiment}/{slug}-{key[0]}-seed{key[1]}.json"


def _key(name: str) -> Key | None:
    match = _NAME.search(name)
    return (match[1], int(match[2])) if match else None


def write_record(record: RunRecord, place: Place) -> None:
    """Writes a record atomically. An older file of that name stays until the new one is whole."""
    folder, name = split_place(place)
    open_folder(folder).write(name, _text(record))


def read_record(path: Path) -> RunRecord:
    """Reads one record. Raises UserError that names the file if it is not a whole, valid record."""
    return _parse(path.read_bytes(), path)


def _text(record: RunRecord) -> bytes:
    return record.model_dump_json(indent=1).encode() + b"\n"


def _parse(content: bytes, place: Place) -> RunRecord:
    try:
        record = RunRecord.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("schema_version",):
            raise UserError(
                f"{place}: a record of schema {first['input']!r}; this version reads 1: use the one that wrote it, or remove it"
            ) from error
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{place}: not a valid record: {where}: {first['msg']}") from error
    if record.config_hash != record.config.hash:
        raise UserError(f"{place}: not a valid record: its configuration was changed; remove it, or undo the change")
    return record


def _of_run(key: Key, content: bytes, place: Place) -> RunRecord:
    """The record in a file's content. Raises UserError if it is invalid or of another run than `key`."""
    record = _parse(content, place)
    if (record.config_hash, record.seed) != key:
        raise UserError(f"{place}: holds another run than its name says; remove it or give it back its name")
    return record


def _ended(content: bytes, key: Key, place: Place) -> RunRecord | None:
    """Like `_of_run`, but None for a failed run."""
    record = _of_run(key, content, place)
    return None if record.outcome.status == "failed" else record


class Kept(NamedTuple):
    """A record in a folder, and where it lies there: STUDY/EXPERIMENT/VARIANT-HASH-seedN.json."""

    name: str
    record: RunRecord

    @property
    def study(self) -> str:
        """Name of the study's folder."""
        return self.name.split("/")[0]

    @property
    def experiment(self) -> str:
        """Name of the experiment's folder."""
        return self.name.split("/")[1]

    @property
    def variant(self) -> str:
        """The variant's name, as files are named: in lower case, with "-" for all that is no letter or digit."""
        return self.name.split("/")[2].rsplit("-", 2)[0]


def check_records(folder: Place) -> None:
    """Raises UserError for a folder that does not exist."""
    opened = open_folder(folder)
    if isinstance(opened, LocalFolder) and not opened.path.is_dir():
        opened.names(RECORDS)  # says so if a file is in its place
        raise UserError(f"{folder}: no such folder of records")


def read_all(folder: Place) -> list[Kept]:
    """All records below a folder or URL. A copy of a record under another name, such as `… (conflicted copy).json`, is left out,
    with a warning. Raises UserError for a folder that does not exist or holds no records, or a file that is not a record."""
    check_records(folder)
    opened = open_folder(folder)
    found: dict[tuple[str, str, Key], Kept] = {}
    copies = []
    for name, content in opened.read(sorted(opened.names(RECORDS), key=lambda name: (_key(name) is None, name))):
        key, place = _key(name), opened.place(name)
        kept = Kept(name, _of_run(key, content, place) if key else _parse(content, place))
        run = kept.study, kept.experiment, (kept.record.config_hash, kept.record.seed)
        if found.setdefault(run, kept) is not kept:
            copies.append(opened.place(name))
    if not found:
        raise UserError(f"{folder}: holds no records; expected STUDY/EXPERIMENT/*.json")
    if copies:
        warnings.warn(f"{', '.join(map(str, copies))}: left out, since another file records the same run", stacklevel=3)
    return list(found.values())


def load_frame(folder: Place) -> pd.DataFrame:
    """A table of all records below a folder or URL, one row per run: study, experiment, variant, seed, results, and the
    configuration as `data.*`, `model.*` and `train.*` columns. If an interrupted run went on elsewhere, both machines, versions
    or revisions are named.

    Where `data.validation_images` is not 0, `test_accuracy` is that on images held out of the training data. Copies of a record
    are left out, with a warning. Raises UserError like `read_all`.

    >>> data = {"name": "fashion-sample", "train_images": 100, "test_images": 100}
    >>> config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"epochs": 1})
    >>> _ = fr.Store(["records"]).save(fr.train(config).record, "mine", "first", "plain")
    >>> fr.load_frame("records")[["experiment", "variant", "outcome"]].values.tolist()
    [['first', 'plain', 'finished']]
    """
    return pd.DataFrame(
        {"study": each.study, "experiment": each.experiment, "variant": each.variant, **_row(each.record)}
        for each in read_all(folder)
    )


def _row(record: RunRecord) -> dict[str, object]:
    config = record.config.model_dump(mode="json")
    return {
        "seed": record.seed,
        "config_hash": record.config_hash,
        "outcome": record.outcome.status,
        "epochs": len(record.epochs),
        "test_accuracy": record.test_accuracy,
        "train_accuracy": record.train_accuracy,
        **{f"{phase}_seconds": seconds for phase, seconds in record.seconds.model_dump().items()},
        "training_flops": record.training_flops,
        "peak_memory_bytes": record.peak_memory_bytes,
        "parameters": record.parameters,
        "processor": _joined(each.machine.processor for each in record.origins),
        "device": _joined(each.machine.device for each in record.origins),
        "gpu": _joined(each.machine.gpu for each in record.origins),
        "torch": _joined(each.versions.get("torch") for each in record.origins),
        "source_revision": _joined(each.source_revision for each in record.origins),
        "started": record.started,
        **{f"{section}.{key}": value for section, values in config.items() for key, value in values.items()},
    }


def _joined(values: Iterable[str | None]) -> str | None:
    return " and ".join(dict.fromkeys(value for value in values if value is not None)) or None
