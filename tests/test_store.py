"""Records are found by what names them, and only those that are asked for are read."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fastresnet.errors import UserError
from fastresnet.records.folders import LocalFolder
from fastresnet.records.record import Outcome
from fastresnet.records.store import RECORDS, Store, load_frame, read_all, read_record
from fastresnet.study import STUDIES, open_study
from fastresnet.study.project import committed_results, editions_of
from fastresnet.study.status import status

from .made_up import record_of


@pytest.fixture
def work(monkeypatch):
    """Counts the listings of folders and the files that are read."""
    done = {"listed": 0, "read": 0}
    names, read = LocalFolder.names, LocalFolder.read

    def counted_names(folder, pattern):
        done["listed"] += 1
        return names(folder, pattern)

    def counted_read(folder, wanted):
        for each in read(folder, wanted):
            done["read"] += 1
            yield each

    monkeypatch.setattr(LocalFolder, "names", counted_names)
    monkeypatch.setattr(LocalFolder, "read", counted_read)
    return done


@pytest.mark.parametrize("others", [0, 300])
def test_only_the_records_that_answer_are_read_and_folders_listed_once(record, tmp_path, work, others):
    store = Store([tmp_path])
    for seed in range(3 + others):
        store.save(record.model_copy(update={"seed": seed}), "s", f"e{seed % 7}", "v")
    found = store.find_all([(record.config_hash, seed) for seed in range(3)] + [("0" * 12, 0)])
    assert sorted(found) == [(record.config_hash, seed) for seed in range(3)]
    assert work == {"listed": 1, "read": 3}


def test_damaged_or_misnamed_records_are_noticed_where_they_are_used(record, tmp_path):
    store = Store([tmp_path])
    damaged = store.save(record, "s", "e", "v")
    damaged.write_bytes(damaged.read_bytes()[:300])
    other = store.save(record.model_copy(update={"seed": 1}), "s", "e", "v")
    renamed = other.rename(other.with_name(other.name.replace("seed1", "seed2")))
    store.save(record.model_copy(update={"seed": 3}), "s", "e", "v")
    assert store.find(record.config_hash, 3)
    with pytest.raises(UserError, match=f"{damaged}: not a valid record"):
        store.find(record.config_hash, 0)
    damaged.unlink()
    with pytest.raises(UserError, match=f"{renamed}: holds another run than its name says"):
        load_frame(tmp_path)
    with pytest.raises(UserError, match=f"{renamed}: holds another run than its name says"):
        store.find_all([(record.config_hash, 3), (record.config_hash, 2)])


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('"momentum":0.0', '"momentum":0.5', "its configuration was changed"),
        (r'"epochs":\[\{.*?\}\]', '"epochs":[]', "a run that finished has epochs, and seconds of training"),
        (r'"train":[\d.]+', '"train":0.0', "a run that finished has epochs, and seconds of training"),
    ],
)
def test_record_edited_by_hand_is_refused(record, tmp_path, before, after, reason):
    path = Store([tmp_path]).save(record, "s", "e", "v")
    edited, times = re.subn(before, after, record.model_dump_json())
    assert times == 1
    path.write_text(edited)
    for read in (read_record, lambda _: read_all(tmp_path), lambda _: load_frame(tmp_path)):
        with pytest.raises(UserError, match=f"{path}: not a valid record: .*{reason}"):
            read(path)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path.with_name("nowhere"))])
def test_what_is_no_file_among_records_is_named(record, tmp_path, make):
    place = Store([tmp_path]).save(record, "s", "e", "v").with_name("other.json")
    make(place)
    with pytest.raises(UserError, match=f"{place}: cannot be read: "):
        load_frame(tmp_path)


def test_a_table_of_runs_names_all_machines_of_a_run_that_was_interrupted(record, tmp_path):
    slower = record.origins[0].model_copy(update={"machine": record.machine.model_copy(update={"processor": "another one"})})
    Store([tmp_path]).save(record.model_copy(update={"earlier": (slower,)}), "s", "e", "v")
    row = load_frame(tmp_path).iloc[0]
    assert row["processor"] == f"another one and {record.machine.processor}"
    assert (row["device"], row["gpu"], row["torch"]) == ("cpu", None, record.versions["torch"])


def test_an_earlier_folder_and_a_run_that_ended_come_first(record, tmp_path):
    here, there = Store([tmp_path / "here", tmp_path / "there"]), Store([tmp_path / "there"])
    failed = record.model_copy(update={"outcome": Outcome(status="failed", reason="?")})
    here.save(failed, "s", "e", "v")
    assert here.find(record.config_hash, 0) is None
    there.save(record, "s", "e", "v")
    assert here.find(record.config_hash, 0) == record
    diverged = record.model_copy(update={"outcome": Outcome(status="diverged")})
    here.save(diverged, "s", "e", "w")
    assert here.find(record.config_hash, 0) == diverged


def test_a_record_under_its_own_name_is_found_without_a_listing(record, tmp_path, work):
    store, key = Store([tmp_path / "here", tmp_path / "there"]), (record.config_hash, record.seed)
    Store([tmp_path / "there"]).save(record, "s", "e", "v")
    assert store.find_saved(key, "s", "e", "v") is None  # it is not there that `save` writes
    store.save(record.model_copy(update={"outcome": Outcome(status="failed", reason="?")}), "s", "e", "v")
    assert store.find_saved(key, "s", "e", "v") is None
    path = store.save(record, "s", "e", "v")
    assert store.find_saved(key, "s", "e", "v") == record
    long = store.save(record, "s", "long", "v" * 260)  # longer than a file's name may be
    assert (len(long.name) < 100, store.find_saved(key, "s", "long", "v" * 260)) == (True, record)
    assert store.find_saved(key, "s", "e", "w") is None
    path.rename(path.with_name(path.name.replace("seed0", "seed1")))
    with pytest.raises(UserError, match=r"seed1\.json: holds another run than its name says"):
        store.find_saved((record.config_hash, 1), "s", "e", "v")
    assert work == {"listed": 0, "read": 0}


def fill(folder, unwanted):
    """Writes a record of every wanted run, and `unwanted` more, into a folder; returns how many are wanted."""
    template = read_record(next(committed_results().glob(RECORDS)))
    runs = [run for name in STUDIES for edition in editions_of(name) for run in open_study(name, edition=edition).runs()]
    wanted = list({run.key: run for run in runs}.values())
    # seeds that no study asks for
    others = [replace(wanted[0], config=template.config, seed=1_000_000 + extra) for extra in range(unwanted)]
    for run in (*wanted, *others):
        file = folder / run.study / run.experiment / f"variant-{run.config.hash}-seed{run.seed}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        update = {"config": run.config, "config_hash": run.config.hash, "seed": run.seed}
        file.write_text(template.model_copy(update=update).model_dump_json())
    return len(wanted)


def test_status_reads_what_is_wanted_of_a_large_store(tmp_path, work):
    wanted = fill(tmp_path, unwanted=200)
    rows = status([open_study(name, edition=edition, results=tmp_path) for name in STUDIES for edition in editions_of(name)])
    assert all(row["missing"] == 0 for row in rows)
    assert work == {"listed": 1, "read": wanted}


def test_status_counts_runs_that_experiments_share_once_in_all(tmp_path, record):
    study = open_study("findings", edition="cpu", results=tmp_path)
    shared = study.experiment("final")
    study = replace(study, experiments={"final": shared, "again": replace(shared, id="again")})
    fast = record.model_copy(update={"config": shared.variants["fast"], "config_hash": shared.variants["fast"].hash})
    half_an_hour = {"seconds": record.seconds.model_copy(update={"train": 1800.0, "evaluate": 0.0})}
    study.store.save(fast.model_copy(update=half_an_hour), "findings", "final", "fast")
    for row in status([study]):
        assert (row["wanted"], row["recorded"], row["missing"], row["hours"], row["hours left"]) == (6, 1, 5, 0.5, 2.5)


@pytest.mark.parametrize(
    ("images", "batch_size", "epochs", "steps", "seen"),
    [(100, 40, 2, 6, 200), (100, 40, 0.4, 1, 40), (100, 40, 1.34, 4, 140), (100, 40, 0.001, 1, 40), (100, 200, 1, 1, 100)],
)
def test_steps_and_images_of_a_run_are_those_of_its_batches(tiny, images, batch_size, epochs, steps, seen):
    changes = {"data.train_images": images, "data.batch_size": batch_size, "train.epochs": epochs}
    record = record_of(tiny.with_changes(changes), *[0.5] * math.ceil(epochs))
    assert (record.steps, record.images_trained) == (steps, seen)
