"""Data sets whose files are cut off, altered, exchanged or labelled wrongly: refused by name, whatever was decoded before."""

import random

import pytest

from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError

from ..test_sources import batches, cache, cifar_arrays, fashion, shards, write_shard  # noqa: F401

REFUSED = "One line that names a file and the command that mends it; or the images as published, where a byte carries none"
SOURCES = {"fashion": "fashion-mnist", "shards": "cifar10", "batches": "cifar10"}


def check_refused(name, folder, digests):
    """The data set is refused, or what it gives is what was published."""
    try:
        dataset = load_dataset(name, folder)
    except UserError as error:
        message = str(error)
    else:
        assert (dataset.train.digest, dataset.test.digest) == digests
        return
    assert str(folder) in message
    assert "fastresnet data fetch" in message
    assert "\n" not in message


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.faults("Damaged data", "Files cut off, one bit flipped, two exchanged: IDX, Parquet, pickles", REFUSED)
def test_damaged_files_are_refused(attempts, source, request):
    folder, name = request.getfixturevalue(source), SOURCES[source]
    dataset = load_dataset(name, folder)
    digests = dataset.train.digest, dataset.test.digest
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = {file: file.read_bytes() for file in files}
    generator = random.Random(9)
    for number in range(attempts.times(60, 6)):
        file, other = generator.sample(files, 2)
        content = bytearray(whole[file])
        if number % 3 == 0:
            del content[generator.randrange(len(content)) :]
        elif number % 3 == 1:
            content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        else:
            content = whole[other]
            other.write_bytes(whole[file])
        file.write_bytes(content)
        with attempts.attempt(f"{file.name} {('cut off', 'flipped', f'exchanged with {other.name}')[number % 3]}"):
            check_refused(name, folder, digests)
        for each in (file, other):
            each.write_bytes(whole[each])


@pytest.mark.faults("Damaged data", "One label of a Parquet shard changed, the file itself being well formed", REFUSED)
def test_wrong_label_is_noticed(attempts, shards):  # noqa: F811
    images, labels = cifar_arrays()["test"]
    for index in range(attempts.times(20, 2)):
        wrong = labels.copy()
        wrong[index] = (wrong[index] + 1) % 10
        write_shard(shards / "cifar10" / "test-00000-of-00001.parquet", images, wrong)
        with attempts.attempt(f"label {index}"), pytest.raises(UserError, match="altered: these are not the published test"):
            load_dataset("cifar10", shards)
