"""Checkpoints, networks and records that are damaged, of another run or of another version: refused by name."""

import json
import pickle
import random

import pytest
import torch

from fastresnet.errors import UserError
from fastresnet.models.saved import load_model, save_model
from fastresnet.records.store import read_record, write_record
from fastresnet.records.torch_files import read_state
from fastresnet.training.loop import _Loop
from fastresnet.training.runs import train

from ..conftest import Bomb

REFUSED = "One line that names the file and the way out, and no code from it is run"


@pytest.fixture
def state(tiny, tmp_path, monkeypatch):
    """A checkpoint of `tiny` after its first epoch, and where it lies."""
    path = tmp_path / "run.pt"
    with monkeypatch.context() as patch:
        patch.setattr(_Loop, "restore", lambda *_: None)
        train(tiny, checkpoint=path)
    return read_state(path.read_bytes()), path


def refused(call, path):
    """None if a call refuses a file by name, on one line; else what it gives."""
    try:
        return call()
    except UserError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return None


@pytest.mark.faults("Foreign checkpoint", "Cut off anywhere, or another type of file, or of another run", REFUSED)
def test_foreign_checkpoint_is_refused(attempts, tiny, state, tmp_path):
    good, path = state
    content = path.read_bytes()
    lengths = random.Random(3).sample(range(len(content)), attempts.times(40, 2))
    contents = [content[:length] for length in lengths] + [b"", b"text", b"PK\x03\x04", pickle.dumps(good["step"])]
    for each in contents:
        path.write_bytes(each)
        with attempts.attempt(f"{len(each)} bytes"):
            assert refused(lambda: train(tiny, checkpoint=path), path) is None
    exploded = tmp_path / "exploded"
    for each in (Bomb(exploded), good | {"step": Bomb(exploded)}, [], {}, good | {"identity": "another"}, torch.zeros(3)):
        torch.save(each, path)
        with attempts.attempt(str(type(each))):
            assert refused(lambda: train(tiny, checkpoint=path), path) is None
            assert not exploded.exists()


@pytest.mark.faults("Foreign checkpoint", "A part missing, or of another type: another version's", REFUSED)
def test_checkpoint_of_another_version_is_refused(attempts, tiny, state):
    good, path = state
    # by this run: whatever is there instead is no loss
    unused = ("average", "lookahead", "scaler", "image_losses", "device_random")
    for key in good:
        without = {name: value for name, value in good.items() if name != key}
        for altered in (without, *([] if key in unused else [{**good, key: "7"}])):
            torch.save(altered, path)
            with attempts.attempt(f"{key}: {altered.get(key, 'missing')}"):
                assert refused(lambda: train(tiny, checkpoint=path), path) is None or key in unused


@pytest.mark.faults("Foreign checkpoint", "One bit of a saved network flipped", "Refused, or the values as they were")
def test_flipped_bit_is_noticed(attempts, tiny, tmp_path):
    result = train(tiny)
    path = save_model(result.saved, tmp_path / "model.pt")
    content, digest = path.read_bytes(), result.saved.weights_digest
    generator = random.Random(4)
    for _ in range(attempts.times(300, 20)):
        position, bit = generator.randrange(len(content)), generator.randrange(8)
        altered = bytearray(content)
        altered[position] ^= 1 << bit
        path.write_bytes(altered)
        with attempts.attempt(f"bit {bit} of byte {position}"):
            loaded = refused(lambda: load_model(path), path)
            assert loaded is None or loaded.weights_digest == digest


@pytest.mark.faults("Foreign record", "Cut off; of another schema; keys missing, unknown or of another type", REFUSED)
def test_foreign_record_is_refused(attempts, tiny, tmp_path):
    path = tmp_path / "record.json"
    write_record(train(tiny).record, path)
    content = path.read_text()
    good = json.loads(content)
    lengths = random.Random(5).sample(range(len(content) - 2), attempts.times(100, 5))
    others = [good | {"schema_version": version} for version in (0, 2, 99, "1", None)]
    others += [{key: value for key, value in good.items() if key != name} for name in ("seed", "epochs", "machine")]
    others += [good | {key: []} for key in ("seed", "config", "outcome", "seconds")] + [good | {"colour": "red"}, [], "x", 3]
    for each in [content[:length] for length in lengths] + [json.dumps(other) for other in others]:
        path.write_text(each)
        with attempts.attempt(each[:60]):
            assert refused(lambda: read_record(path), path) is None
    path.write_text(json.dumps(good | {"schema_version": 2}))
    with (
        attempts.attempt("the way out"),
        pytest.raises(UserError, match="a record of schema 2; this version reads 1: use"),
    ):
        read_record(path)
