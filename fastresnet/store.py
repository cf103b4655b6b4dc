"""Records on a disk: one JSON file a run, written in one move, found by configuration hash and seed. Free of torch."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from fastresnet.atomic import replacing
from fastresnet.errors import UserError
from fastresnet.records import RunRecord


class Store:
    """Folders of records, STUDY/EXPERIMENT/VARIANT-HASH-seedN.json below each. New ones go into the first folder."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(dict.fromkeys(folders))

    def find(self, config_hash: str, seed: int) -> RunRecord | None:
        """The record of a run that has ended by itself, `finished` or `diverged`; None if there is none.

        Raises UserError naming a file that is no whole record, or one of another run.
        """
        for folder in self.folders:
            for path in sorted(folder.glob(f"*/*/*-{config_hash}-seed{seed}.json")):
                record = read_record(path)
                if (record.config_hash, record.config.hash, record.seed) != (config_hash, config_hash, seed):
                    raise UserError(f"{path}: holds another run than its name says; remove it or give it back its name")
                if record.outcome.status != "failed":
                    return record
        return None

    def save(self, record: RunRecord, study: str, experiment: str, variant: str) -> Path:
        """Writes a record so that a reader finds all of it or none."""
        slug = re.sub(r"[^a-z0-9]+", "-", variant.lower()).strip("-")
        for name in (study, experiment):
            if not re.fullmatch(r"\w[\w.-]*", name):  # else it could name a folder elsewhere
                raise UserError(f"{name!r}: allowed in the name of a study or an experiment: letters, digits, . and -")
        path = self.folders[0] / study / experiment / f"{slug}-{record.config_hash}-seed{record.seed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_record(record, path)


def write_record(record: RunRecord, path: Path) -> Path:
    """Writes a record in one move: whatever had its name before is there until it is whole."""
    with replacing(path) as partial:
        partial.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path


def read_record(path: Path) -> RunRecord:
    """Reads one record. Raises UserError naming the file if it is not a whole, valid one."""
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("schema_version",):
            raise UserError(
                f"{path}: a record of schema {first['input']!r}; this version reads 1: use the one that wrote it, or remove it"
            ) from error
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path}: not a valid record: {place}: {first['msg']}") from error


def load_frame(folder: Path | str) -> pd.DataFrame:
    """Every record below a folder as one row: study, experiment, variant, seed, figures, and the configuration as
    `data.*`, `model.*` and `train.*` columns."""
    rows, folder = [], Path(folder)
    for path in sorted(folder.glob("*/*/*.json")):
        study, experiment = path.relative_to(folder).parts[:2]
        variant = path.name.rsplit("-", 2)[0]
        rows.append({"study": study, "experiment": experiment, "variant": variant, **_row(read_record(path))})
    return pd.DataFrame(rows)


def _row(record: RunRecord) -> dict[str, object]:
    config = record.config.model_dump(mode="json")
    return {
        "seed": record.seed,
        "config_hash": record.config_hash,
        "outcome": record.outcome.status,
        "epochs": len(record.epochs),
        "test_accuracy": record.test_accuracy,
        "train_accuracy": record.epochs[-1].train_accuracy if record.epochs else None,
        **{f"{phase}_seconds": seconds for phase, seconds in record.seconds.model_dump().items()},
        "training_flops": record.training_flops,
        "peak_memory_bytes": record.peak_memory_bytes,
        "parameters": record.parameters,
        "processor": record.machine.processor,
        "device": record.machine.device,
        "gpu": record.machine.gpu,
        "torch": record.versions.get("torch"),
        "source_revision": record.source_revision,
        "started": record.started,
        **{f"{section}.{key}": value for section, values in config.items() for key, value in values.items()},
    }
