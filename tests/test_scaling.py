"""What handing out runs costs is measured by a command and shown from its record."""

import json
from importlib import metadata

import pytest

from fastresnet.chapters import scaling
from fastresnet.errors import UserError

from .conftest import command


def test_table_follows_from_the_record(tmp_path, monkeypatch):
    rows = [
        {"where": "dask local", "trials": 1_000, "workers": 2, "seconds": 4.0},
        {"where": "in process", "trials": 1_000, "workers": 1, "seconds": 0.5},
    ]
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "scheduling.json").write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr(scaling, "committed_results", lambda: tmp_path)
    table = scaling.scheduling_table()
    assert table.index.tolist() == ["in process", "dask local, 2 workers"]
    assert table["milliseconds each"].tolist() == ["0.50", "4.00"]
    assert table["trials a second"].tolist() == ["2,000", "250"]


def test_missing_record_and_example_are_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"no example 'x'; allowed: kubernetes.yml, slurm.yml, tls.yml"):
        scaling.example("x")
    monkeypatch.setattr(scaling, "committed_results", lambda: tmp_path)
    with pytest.raises(UserError, match="made by: fastresnet study scheduling --json"):
        scaling.scheduling_table()


def test_cost_is_measured_by_a_command(tmp_path):
    done = command("study", "scheduling", "-n", 20, "--json", tmp_path / "rows.json")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["where"], row["trials"]) for row in record["rows"]] == [("in process", 20), ("dask local", 20)]
    assert all(row["seconds"] > 0 for row in record["rows"])
    assert {"machine", "versions", "source_revision"} < set(record)
    assert record["versions"]["dask"] == metadata.version("dask")
