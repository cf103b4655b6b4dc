"""A network in a file: kept, loaded without running code, used on images, trained further."""

import pickle
import shutil

import pytest
import torch
from PIL import Image
from torch import nn

from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError
from fastresnet.models.build import build_model
from fastresnet.models.saved import load_model, save_model, transfer
from fastresnet.records.store import read_record
from fastresnet.training.fit import fit
from fastresnet.training.runs import train

from .conftest import TINY, Bomb, command, command_here, no_more_than, refused


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small network trained on the sample, and the file that holds it."""
    changes = {"data.train_images": 1_000, "data.test_images": 100, "data.batch_size": 50, "train.momentum": 0.9}
    changes |= {"model.kind": "speednet", "model.widths": (8, 16), "model.in_channels": 1, "train.schedule.lr": 0.1}
    result = train(TINY.with_changes(changes))
    return result, save_model(result.saved, tmp_path_factory.mktemp("models") / "new" / "model.pt")


def test_loaded_network_gives_the_logits_of_the_trained_one(saved):
    result, path = saved
    loaded = load_model(path)
    images = load_dataset("fashion-sample").test.images[:50]
    expected = result.saved.predict(images)
    torch.testing.assert_close(loaded.predict(images), expected)
    assert loaded.class_names == load_dataset("fashion-sample").train.class_names
    assert loaded.weights_digest == result.saved.weights_digest


def test_record_counts_all_parameters_those_that_are_not_trained_too(saved):
    result, _ = saved
    assert not all(parameter.requires_grad for parameter in result.model.parameters())
    assert result.record.parameters == sum(parameter.numel() for parameter in result.model.parameters())


def test_file_that_would_run_code_is_refused_and_runs_none(tmp_path):
    path = tmp_path / "evil.pt"
    torch.save({"format": 1, "weights": Bomb(tmp_path / "ran")}, path, pickle_module=pickle)
    with pytest.raises(UserError, match="evil.pt: not a model that fastresnet saved"):
        load_model(path)
    assert not (tmp_path / "ran").exists()


def test_damaged_or_foreign_file_is_refused_by_name(saved, tmp_path):
    _, path = saved
    cut = tmp_path / "cut.pt"
    cut.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="cut.pt: not a model"):
        load_model(cut)
    torch.save({"weights": {}}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="other.pt: not a model that this version"):
        load_model(tmp_path / "other.pt")
    with pytest.raises(UserError, match="none.pt: no such file"):
        load_model(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("class_names", 5),
        ("class_names", ["a"]),
        ("image_shape", [1]),
        ("mean", []),
        ("mean", ["x"]),
        ("mean", [0.1, 0.2, 0.3]),
        ("std", [0.0]),
        ("weights", None),
    ],
)
def test_network_with_a_damaged_part_is_refused_before_it_predicts(saved, tmp_path, field, value):
    state = torch.load(saved[1], weights_only=True)
    if field == "weights":
        next(iter(state["weights"].values())).fill_(torch.nan)
    else:
        state[field] = value
    torch.save(state, tmp_path / "damaged.pt")
    with pytest.raises(UserError, match="damaged.pt: "):
        load_model(tmp_path / "damaged.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: setattr(model.head, "weight", nn.Parameter(torch.zeros(5, 16))), "do not fit its configuration: size mis"),
        (lambda model: model.add_module("extra", nn.Linear(2, 2)), "do not fit its configuration: Unexpected key.*extra"),
        (lambda model: nn.init.constant_(model.head.weight, torch.inf), "its weights are not all finite numbers"),
    ],
)
def test_network_that_could_not_be_loaded_is_not_saved_over_one_that_can(saved, tmp_path, change, message):
    path = save_model(saved[0].saved, tmp_path / "model.pt")
    changed = load_model(path)
    change(changed.model)
    with pytest.raises(
        UserError, match=f"save_model: {message}" if "finite" in message else f"save_model: its weights {message}"
    ):
        save_model(changed, path)
    assert load_model(path).weights_digest == saved[0].saved.weights_digest


def test_network_whose_weights_are_no_numbers_predicts_nothing(saved):
    broken = load_model(saved[1])
    nn.init.constant_(broken.model.head.weight, torch.nan)
    with pytest.raises(UserError, match="predict: the network's logits are not all finite numbers; its weights are damaged"):
        broken.predict(torch.zeros(2, 1, 28, 28, dtype=torch.uint8))


def test_network_in_half_precision_predicts_and_is_saved(saved, tmp_path):
    half = load_model(saved[1])
    images = load_dataset("fashion-sample").test.images[:20]
    expected = half.predict(images)
    half.model.bfloat16()
    found = half.predict(images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.1, rtol=0)
    assert half.weights_digest != saved[0].saved.weights_digest
    kept = load_model(save_model(half, tmp_path / "half.pt"))
    torch.testing.assert_close(kept.predict(images), found, atol=0.1, rtol=0)


@pytest.mark.parametrize("file", [None, b"image.png", 3, "a\0b", Image.new("L", (2, 2))])
def test_what_is_no_path_spoils_no_other_file(saved, tmp_path, file):
    Image.new("L", (28, 28)).save(tmp_path / "good.png")
    (_, error), (_, found) = saved[0].saved.predict_files([file, tmp_path / "good.png"])
    assert "is no path" in str(error)
    assert found.shape == (10,)
    for call in (load_model, saved[0].saved.read_image):
        with pytest.raises(UserError, match="is no path; allowed: a text"):
            call(file)


@pytest.mark.parametrize("files", ["image.png", b"image.png", 3, None])
def test_single_file_in_place_of_a_list_is_refused(saved, files):
    with pytest.raises(UserError, match="files: must be a list of paths, got"):
        list(saved[0].saved.predict_files(files))


def test_disk_without_room_is_an_error_that_names_the_file(saved, tmp_path):
    path = tmp_path / "model.pt"
    with no_more_than(64), pytest.raises(OSError, match="File too large") as raised:
        save_model(saved[0].saved, path)
    assert raised.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_network_of_a_run_that_diverged_is_not_kept(tiny, tmp_path):
    diverging = {"train.schedule": {"kind": "constant", "lr": 1e30}}
    result = train(tiny.with_changes(diverging))
    with pytest.raises(UserError, match=r"saved: the run diverged \(the loss was not finite in epoch 1\)"):
        save_model(result.saved, tmp_path / "model.pt")
    (tmp_path / "run.yml").write_text(tiny.with_changes(diverging).to_yaml())
    done = command_here("train", tmp_path / "run.yml", "--save", tmp_path / "model.pt")
    assert done.returncode == 1
    assert "the loss stopped being a finite number, seed 0; the network is not saved" in done.stderr
    assert not (tmp_path / "model.pt").exists()


def test_what_train_did_not_make_is_not_saved(tmp_path):
    model = torch.nn.Linear(4, 2)
    fitted = fit(model, [(torch.zeros(2, 4), torch.arange(2))], epochs=1)
    for other in (model, fitted, tmp_path):
        with pytest.raises(UserError, match=rf"a SavedModel, such as train\(\.\.\.\)\.saved, got {type(other).__name__}; torch"):
            save_model(other, tmp_path / "model.pt")


def test_network_that_was_trained_further_predicts_as_it_is_evaluated(saved):
    saved = load_model(saved[1])
    images = torch.randint(0, 256, (5, *saved.image_shape), dtype=torch.uint8)
    before = saved.predict(images)
    saved.model.train()
    after = saved.predict(images)
    assert torch.equal(before, after)
    after[:, 0] = 0  # an ordinary tensor


@pytest.mark.parametrize("images", [torch.rand(2, 1, 28, 28), torch.zeros(2, 3, 28, 28).byte(), torch.zeros(28, 28).byte()])
def test_predict_refuses_all_but_bytes_of_the_network_s_channels(saved, images):
    with pytest.raises(UserError, match=r"images must be uint8 \[N, 1, height, width\]"):
        saved[0].saved.predict(images)
    with pytest.raises(UserError, match="images must be a torch tensor, got ndarray"):
        saved[0].saved.predict(images.numpy())


def test_predict_names_the_class_of_image_files(saved, tmp_path):
    result, path = saved
    test = load_dataset("fashion-sample").test
    label = result.saved.predict(test.images[:1])[0].argmax()
    file = tmp_path / "garment.png"
    Image.fromarray(test.images[0, 0].numpy()).save(file)
    done = command("predict", path, file)
    assert done.returncode == 0, done.stderr
    name, said, probability = done.stdout.strip().split("\t")
    assert (name, said) == (str(file), test.class_names[label])
    assert 0 < float(probability) <= 1


def test_fine_tuning_begins_with_the_saved_weights_and_fits_another_class_count(saved, tmp_path):
    result, path = saved
    for split in ("train", "test"):
        for label, name in ((1, "trousers"), (9, "boots"), (8, "bags")):
            folder = tmp_path / "mine" / split / name
            folder.mkdir(parents=True)
            images = load_dataset("fashion-sample").train if split == "train" else load_dataset("fashion-sample").test
            for index in (images.labels == label).nonzero().flatten()[:20].tolist():
                Image.fromarray(images.images[index, 0].numpy()).save(folder / f"{index}.png")
    config = result.record.config.with_changes(
        {"data.name": f"folder:{tmp_path / 'mine'}", "data.train_images": None, "data.test_images": None, "model.num_classes": 3}
    )
    still = train(config.with_changes({"train.schedule": {"kind": "constant", "lr": 1e-12}}), start=load_model(path))
    torch.testing.assert_close(still.model.groups[0].convolutions[0].weight, result.model.groups[0].convolutions[0].weight)
    assert still.model.head.weight.shape == (3, 16)
    assert still.record.started_from == result.saved.weights_digest
    tuned = train(config.with_changes({"train.epochs": 6}), start=load_model(path))
    assert tuned.record.test_accuracy > 0.8
    with pytest.raises(UserError, match="has another shape: "):
        train(config.with_changes({"model.widths": [8, 24]}), start=load_model(path))
    with pytest.raises(UserError, match=r"has another shape: groups\.0\.convolutions\.1"):  # which only the saved network has
        train(config.with_changes({"model.convolutions": 1}), start=load_model(path))


def test_command_trains_further_and_may_replace_the_file_that_it_began_with(saved, tmp_path):
    result, path = saved
    model, record = (tmp_path / name for name in ("model.pt", "run.json"))
    shutil.copy(path, model)
    (tmp_path / "run.yml").write_text(result.record.config.to_yaml())
    done = command_here(
        "train", tmp_path / "run.yml", "--from", model, "--save", model, "--record", record, "-p", "train.epochs=1"
    )
    assert done.returncode == 0, done.stderr
    assert read_record(record).started_from == result.saved.weights_digest
    assert load_model(model).weights_digest not in (None, result.saved.weights_digest)


def test_classifier_for_other_classes_of_the_same_number_begins_anew(saved):
    result, path = saved
    start = load_model(path)
    for names, taken in ((start.class_names, True), (tuple("abcdefghij"), False)):
        model = build_model(result.record.config.model, seed=5)
        transfer(model, start, names)
        assert torch.equal(model.head.weight, start.model.head.weight) == taken
        assert torch.equal(model.groups[0].convolutions[0].weight, start.model.groups[0].convolutions[0].weight)


@pytest.mark.slow
def test_command_line_trains_keeps_and_repeats(tmp_path):
    small = ("-p", "data.name=fashion-sample", "-p", "train.epochs=1", "-p", "data.train_images=500")
    done = command("train", "fashion-80", *small, "--save", tmp_path / "model.pt")
    assert done.returncode == 0, done.stderr
    assert load_model(tmp_path / "model.pt").config.data.name == "fashion-sample"
    done = command("train", "fashion-80", *small, "--seeds", 2)
    assert done.returncode == 0, done.stderr
    assert "seed 0: finished" in done.stdout
    assert "seed 1: finished" in done.stdout
    assert "(n = 2)" in done.stdout
    assert "allowed: --seeds 1" in refused(command_here("train", "fashion-80", "--seeds", 2, "--save", tmp_path / "model.pt"))
    assert "neither a recipe nor a .yml file" in refused(command_here("train", "fashion-81"))
