"""Every way in which a data set can come, and every way in which it can be damaged."""

import dataclasses
import gzip
import hashlib
import io
import pickle
import tarfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from fastresnet.config import datasets
from fastresnet.data import sources
from fastresnet.data.builtin import read_sample
from fastresnet.data.images import canonical_order, content_digest
from fastresnet.data.sources import load_dataset, verify
from fastresnet.data.vision import import_torchvision
from fastresnet.errors import UserError

from .conftest import Bomb

CIFAR10 = import_torchvision("datasets").CIFAR10
CIFAR_COUNTS = {"train": 100, "test": 20}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, so that nothing decoded before is found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTRESNET_DATA", raising=False)
    return tmp_path / "cache" / "fastresnet"


def pin(monkeypatch, name, arrays, **facts):
    """Lets a small made-up set pass for a published one, digest and all."""
    digests = {}
    for split, (images, labels) in arrays.items():
        order = canonical_order(images, labels)
        digests |= {f"num_{split}": len(labels), f"{split}_digest": content_digest(images[order], labels[order])}
    spec = dataclasses.replace(datasets.SPECS[name], **digests, **facts)
    monkeypatch.setitem(datasets.SPECS, name, spec)
    return spec


def idx(array, ndim):
    header = bytes((0, 0, 8, ndim)) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


@pytest.fixture
def fashion(tmp_path, monkeypatch, cache):
    """A folder with FashionMNIST's four files, holding the embedded sample."""
    arrays = {split: read_sample(split) for split in ("train", "test")}
    pin(monkeypatch, "fashion-mnist", arrays)
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = arrays[split]
        (raw / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[:, 0], 3), 1))
        (raw / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels.astype(np.uint8), 1)))
    return tmp_path / "data"


def cifar_arrays():
    generator = np.random.default_rng(0)
    return {
        split: (generator.integers(0, 256, (count, 3, 32, 32), np.uint8), np.arange(count) % 10)
        for split, count in CIFAR_COUNTS.items()
    }


def write_shard(path, images, labels):
    def encode(image):
        buffer = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
        return {"bytes": buffer.getvalue(), "path": None}

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({"img": [encode(image) for image in images], "label": labels.tolist()})
    pyarrow.parquet.write_table(table, path)


@pytest.fixture
def shards(tmp_path, monkeypatch, cache):
    """A folder with CIFAR-10 as Hugging Face shards, 120 made-up images."""
    arrays = cifar_arrays()
    pin(monkeypatch, "cifar10", arrays)
    folder = tmp_path / "data"
    (images, labels), test = arrays["train"], arrays["test"]
    write_shard(folder / "cifar10" / "train-00000-of-00002.parquet", images[:60], labels[:60])
    write_shard(folder / "cifar10" / "train-00001-of-00002.parquet", images[60:], labels[60:])
    write_shard(folder / "cifar10" / "test-00000-of-00001.parquet", *test)
    return folder


def pack(folder):
    """The archive as it is published, of a folder's batches; torchvision is told its md5."""
    archive = folder / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / CIFAR10.base_folder, CIFAR10.base_folder)
    CIFAR10.tgz_md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    return archive


@pytest.fixture
def batches(tmp_path, monkeypatch, cache):
    """A folder with CIFAR-10's official batches, the same 120 images in another order, which torchvision takes for published."""
    arrays = cifar_arrays()
    pin(monkeypatch, "cifar10", arrays)
    parts = {f"data_batch_{index + 1}": ("train", slice(80 - 20 * index, 100 - 20 * index)) for index in range(5)}
    folder, md5 = tmp_path / "data", {}
    (folder / CIFAR10.base_folder).mkdir(parents=True)
    for name, (split, part) in {**parts, "test_batch": ("test", slice(None)), "batches.meta": (None, None)}.items():
        batch = {"label_names": []}
        if split:
            images, labels = (array[part] for array in arrays[split])
            batch = {"data": images.reshape(20, -1), "labels": labels.tolist()}
        content = pickle.dumps(batch)
        (folder / CIFAR10.base_folder / name).write_bytes(content)
        md5[name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [(name, md5[name]) for name in parts])
    monkeypatch.setattr(CIFAR10, "test_list", [("test_batch", md5["test_batch"])])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", "")
    return folder


def test_idx_files_are_read_and_named_as_the_source(fashion, monkeypatch):
    monkeypatch.setenv("FASTRESNET_DATA", str(fashion))
    dataset = load_dataset("fashion-mnist")
    assert dataset.source == "official IDX files"
    assert dataset.train.images.shape == (4000, 1, 28, 28)


def test_unpacked_idx_files_are_read_too(fashion):
    for file in (fashion / "FashionMNIST" / "raw").iterdir():
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert load_dataset("fashion-mnist", fashion).train.digest == datasets.SPECS["fashion-mnist"].train_digest


def test_second_opening_is_served_from_the_cache_and_equal(shards, cache, monkeypatch):
    first = load_dataset("cifar10", shards)
    monkeypatch.setattr(sources, "decode", lambda *_, **__: pytest.fail("decoded again"))
    second = load_dataset("cifar10", shards)
    assert second.source == "Hugging Face Parquet shards, decoded before"
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.train.labels, second.train.labels)


def test_every_source_gives_the_same_images_in_the_same_order(shards, batches, tmp_path):
    pickled = load_dataset("cifar10", batches)
    assert pickled.source == "official pickled batches"
    archive = tmp_path / "other" / CIFAR10.filename
    archive.parent.mkdir()
    pack(batches).rename(archive)
    packed = load_dataset("cifar10", archive.parent)
    assert list(archive.parent.iterdir()) == [archive]
    (batches / "cifar-10-batches-py").rename(tmp_path / "elsewhere")
    parquet = load_dataset("cifar10", shards)
    assert parquet.source == "Hugging Face Parquet shards"
    for split in ("train", "test"):
        assert getattr(pickled, split).digest == getattr(packed, split).digest == getattr(parquet, split).digest


def test_parquet_shards_without_a_pinned_digest_need_a_list_of_sums(shards):
    for split in ("train", "test"):
        datasets.SPECS["cifar10"] = dataclasses.replace(datasets.SPECS["cifar10"], **{f"{split}_digest": None})
    with pytest.raises(UserError, match=r"SHA256SUMS: missing; CIFAR-10 as Parquet shards can only be checked"):
        load_dataset("cifar10", shards)
    files = sorted((shards / "cifar10").iterdir())
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  cifar10/{file.name}\n" for file in files]
    (shards / "SHA256SUMS").write_text("".join(lines))
    assert len(load_dataset("cifar10", shards).train) == 100
    other_form = [f"{line[:64].upper()} *./{line[66:]}" for line in lines]  # as `sha256sum --binary ./*` writes, in capitals
    (shards / "SHA256SUMS").write_text("".join(other_form))
    assert len(load_dataset("cifar10", shards).train) == 100
    (shards / "SHA256SUMS").write_text(lines[0])
    with pytest.raises(UserError, match=r"SHA256SUMS: does not list cifar10/"):
        load_dataset("cifar10", shards)
    (shards / "SHA256SUMS").write_text("".join("01"[line[0] == "0"] + line[1:] for line in lines))
    with pytest.raises(UserError, match=r"parquet: altered: sha256"):
        load_dataset("cifar10", shards)
    for content in (b"digest\n", b"\xff\n"):
        (shards / "SHA256SUMS").write_bytes(content)
        with pytest.raises(UserError, match=r"SHA256SUMS: expected a digest and a name"):
            load_dataset("cifar10", shards)


def damage(file, how):
    content = bytearray(file.read_bytes())
    if how == "missing":
        file.unlink()
        return
    if how == "truncated":
        content = content[: len(content) // 2]
    if how == "altered":
        content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


@pytest.mark.parametrize("how", ["missing", "truncated", "altered"])
@pytest.mark.parametrize(
    ("fixture", "name", "file"),
    [
        ("fashion", "fashion-mnist", "FashionMNIST/raw/t10k-images-idx3-ubyte.gz"),
        ("shards", "cifar10", "cifar10/train-00001-of-00002.parquet"),
        ("batches", "cifar10", "cifar-10-batches-py/data_batch_3"),
    ],
)
def test_damaged_file_is_named_with_the_command_that_mends_it(fixture, name, file, how, request):
    folder = request.getfixturevalue(fixture)
    load_dataset(name, folder)  # a decoded copy of the whole files must not hide the damage
    damage(folder / file, how)
    for attempt in (load_dataset, verify):
        with pytest.raises(UserError, match=f"fastresnet data fetch {name} --data-dir {folder}") as caught:
            attempt(name, folder)
        assert file in str(caught.value)


def test_well_formed_files_with_other_images_are_refused(shards):
    images, labels = cifar_arrays()["test"]
    images[3, 0, 5, 5] ^= 1
    write_shard(shards / "cifar10" / "test-00000-of-00001.parquet", images, labels)
    with pytest.raises(UserError, match=r"test-00000-of-00001\.parquet: altered: .*published test images of CIFAR-10: digest"):
        load_dataset("cifar10", shards)


def test_cache_that_cannot_be_used_is_done_without(shards, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ("x" * 300)))
    with pytest.warns(UserWarning, match="not kept .*: the next start has to decode cifar10 again"):
        assert load_dataset("cifar10", shards).source == "Hugging Face Parquet shards"


def test_damaged_cache_is_made_anew(shards, cache):
    expected = load_dataset("cifar10", shards).train.digest
    (cached,) = (cache / "decoded").iterdir()
    damage(cached, "altered")
    assert load_dataset("cifar10", shards).train.digest == expected


def test_pickle_of_unknown_content_is_never_opened(batches, tmp_path):
    (batches / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(UserError, match="data_batch_1: truncated or altered: its md5"):
        load_dataset("cifar10", batches)
    assert not (tmp_path / "exploded").exists()


def test_archive_of_unknown_content_is_never_unpacked(batches, tmp_path):
    pack(batches)
    with tarfile.open(batches / CIFAR10.filename, "w:gz") as tar:
        tar.add(batches / CIFAR10.base_folder / "data_batch_1", "../../escaped")
    with pytest.raises(UserError, match=r"cifar-10-python\.tar\.gz: truncated or altered: its md5"):
        load_dataset("cifar10", batches)
    assert not list(tmp_path.rglob("escaped"))


def test_place_of_your_own_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("folder:~/pets", "tensors:~/pets.npz"):
        with pytest.raises(UserError, match=rf"^{tmp_path}/pets"):
            load_dataset(name)


def test_tensor_file_of_your_own(tmp_path):
    arrays = {
        f"{split}_{kind}": array
        for split in ("train", "test")
        for kind, array in zip(("images", "labels"), read_sample(split), strict=True)
    }
    file, labels = tmp_path / "mine.npz", arrays["train_labels"]
    np.savez(file, **arrays)
    assert len(load_dataset(f"tensors:{file}").train) == 4000
    for changes, message in (
        ({"test_labels": None}, r"mine\.npz: not a readable \.npz with arrays train_images"),
        ({"test_labels": np.array(["a"] * 1000)}, "test_labels whole numbers"),
        ({"train_labels": labels[:0]}, "train_labels whole"),
        ({"train_labels": np.array(3)}, "train_labels whole"),
        ({"train_labels": labels + 10**9}, "exceeds"),
        ({"train_labels": labels[1:]}, r"^.*/mine\.npz: .*; got uint8 \[4000, 1, 28, 28\] and int64 \[3999\]$"),
        ({"train_labels": labels - 1}, r"^.*/mine\.npz: .*train_labels whole numbers from 0"),
        ({"test_labels": np.full(1000, 2**63 + 5, np.uint64)}, r"^.*/mine\.npz: .*test_labels whole numbers from 0"),
    ):
        np.savez(file, **{name: array for name, array in (arrays | changes).items() if array is not None})
        with pytest.raises(UserError, match=message):
            load_dataset(f"tensors:{file}")
    file.write_bytes(b"")
    with pytest.raises(UserError, match=r"mine\.npz: not a readable"):
        load_dataset(f"tensors:{file}")


def test_sample_ships_within_its_size_and_is_stratified():
    sample = load_dataset("fashion-sample")
    assert torch.bincount(sample.train.labels).tolist() == [400] * 10
    assert torch.bincount(sample.test.labels).tolist() == [100] * 10
    from importlib import resources

    assert len(resources.files("fastresnet.data").joinpath("fashion_sample.npz").read_bytes()) < 4 * 2**20


@pytest.mark.slow
def test_full_data_sets_are_the_published_ones(real_data, tmp_path, cache):
    for name, counts in (("fashion-mnist", (60_000, 10_000)), ("cifar10", (50_000, 10_000))):
        dataset = load_dataset(name, real_data)
        assert (len(dataset.train), len(dataset.test)) == counts
        spec = datasets.SPECS[name]
        pixels = dataset.train.images.float() / 255
        assert pixels.mean(dim=(0, 2, 3)).tolist() == pytest.approx(spec.mean, abs=1e-4)
        assert pixels.std(dim=(0, 2, 3)).tolist() == pytest.approx(spec.std, abs=1e-4)


def test_shipped_sample_is_made_from_the_full_data_set(real_data, cache):
    full = load_dataset("fashion-mnist", real_data)
    for split, number in (("train", 4000), ("test", 1000)):
        images, labels = read_sample(split)
        first = getattr(full, split).subset(number)
        assert np.array_equal(first.images, images)
        assert np.array_equal(first.labels, labels)


def test_user_without_a_home_is_told_what_to_set(monkeypatch, tmp_path):
    for variable in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["no such user"])
    with pytest.raises(UserError, match="no folder for a cache: .*HOME"):
        load_dataset("cifar10", tmp_path)
