"""What `import fastresnet` offers, as somebody uses it who has read the README alone."""

import doctest
import inspect
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import fastresnet as fr
from fastresnet.data.vision import import_torchvision
from fastresnet.models.whitening import whitening_filters
from fastresnet.training.optim import make_optimizers

from .conftest import ROOT


def some_images(count):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 60, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
    images[torch.arange(count), labels] += 120  # the brightest channel is the class
    return images, labels


@pytest.mark.filterwarnings("ignore:precision bf16")  # in which many processors are slow
def test_example_of_the_readme_trains_as_it_is_written(monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(import fastresnet as fr\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    loaders, fit = fr.loaders, fr.fit
    # the same calls on images and for a time that a test has
    monkeypatch.setattr(
        fr, "loaders", lambda name, **settings: loaders("cifar10-standin", train_images=200, test_images=100, **settings)
    )
    monkeypatch.setattr(fr, "fit", lambda *batches, **settings: fit(*batches, **settings | {"epochs": 1}))
    exec(code, {})
    accuracy, seconds = map(float, capsys.readouterr().out.split())
    assert 0 <= accuracy <= 1
    assert seconds > 0


@pytest.mark.parametrize("name", fr.__all__)
def test_every_public_name_has_an_example_that_does_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(getattr(fr, name).__doc__, {"fr": fr, "torch": torch}, name, None, None)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_network_and_batches_of_somebody_else_are_trained():
    images, labels = some_images(120)
    torch.manual_seed(0)
    batches = DataLoader(TensorDataset(images.float() / 255, labels), batch_size=30, shuffle=True)
    model = import_torchvision("models").resnet18(num_classes=3)
    result = fr.fit(model, batches, batches, epochs=4, schedule=fr.OneCycle(max_lr=0.05), momentum=0.9)
    assert result.outcome.status == "finished"
    assert result.epochs[-1].train_accuracy > 0.9
    assert fr.evaluate(model, batches).accuracy == result.test_accuracy
    assert len(repr(result)) < 200


@pytest.mark.parametrize("kind", ["tensors", "image sets", "data set", "folder"])
def test_loaders_take_images_from_anywhere(kind, tmp_path):
    (images, labels), (more, others) = some_images(30), some_images(12)
    classes = ("red", "green", "blue")
    train, test = fr.ImageSet(images, labels, classes), fr.ImageSet(more, others, classes)
    if kind == "folder":
        from PIL import Image

        for split, each in (("train", train), ("test", test)):
            for index, (pixels, label) in enumerate(zip(each.images, each.labels, strict=True)):
                folder = tmp_path / split / classes[label]
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")
    data = {
        "tensors": (images, labels, more, others),
        "image sets": (train, test),
        "data set": fr.from_tensors("mine", train, test),
        "folder": str(tmp_path),
    }[kind]
    batches, tested = fr.loaders(data, batch_size=10)
    assert sorted(label for _, labels in batches for label in labels.tolist()) == [0] * 10 + [1] * 10 + [2] * 10
    first, second = ([labels.tolist() for _, labels in batches] for _ in range(2))
    assert first != second  # each iteration is an epoch of its own
    assert sum(len(labels) for _, labels in tested) == 12
    result = fr.fit(fr.resnet10(3, channels=[8, 8, 8, 8]), batches, tested, epochs=1)
    assert result.test_accuracy is not None


def test_names_of_classes_are_equal_in_any_sequence():
    train, test = (fr.ImageSet(*some_images(6), kind(("red", "green", "blue"))) for kind in (list, tuple))
    assert fr.from_tensors("mine", train, test).train.class_names == ("red", "green", "blue")


def test_device_may_be_one_of_torch(tiny):
    cpu = torch.device("cpu")
    batches, _ = fr.loaders("fashion-sample", train_images=40, test_images=10, device=cpu)
    assert fr.fit(fr.resnet10(channels=(8, 8, 8, 8), in_channels=1), batches, epochs=1, device=cpu).outcome.status == "finished"
    assert fr.train(tiny, device=cpu).record.machine.device == "cpu"
    with pytest.raises(fr.UserError, match="cannot use 'cuda:99' here; allowed: .*cpu"):
        fr.loaders("fashion-sample", device=torch.device("cuda:99"))


def test_objects_are_shown_on_one_short_line(record):
    batches = fr.loaders("fashion-sample", train_images=90, batch_size=40)[0]
    experiment = fr.Experiment("A", "Is it short?", {"narrow": record.config, "wide": record.config}, (0, 1, 2))
    store = fr.Store(["here", Path("there")])
    assert repr(batches) == "TensorBatches(3 batches, 90 images, on cpu)"
    assert repr(experiment) == "Experiment(A: 'Is it short?', 2 variants, 3 seeds)"
    assert repr(fr.Results(experiment, "cpu", {"narrow": (record,)})) == "Results(A, cpu edition, 1 variants, 1 seeds)"
    assert repr(store) == "Store(here, there)"
    assert repr(fr.Study("my", "cpu", {"A": experiment}, store)) == "Study(my, cpu edition, 1 experiments, Store(here, there))"


def test_data_set_of_ones_own_is_trained_on_under_no_other_name():
    train, test = (fr.ImageSet(*some_images(count), ("red", "green", "blue")) for count in (30, 12))
    config = fr.RunConfig(
        data={"name": "given", "batch_size": 10},
        model={"num_classes": 3, "channels": [8, 8, 8, 8], "depth": 10},
        train={"epochs": 1},
    )
    result = fr.train(config, dataset=fr.from_tensors("mine", train, test))
    assert result.record.config.data.name == "given"
    assert len(repr(result)) < 200
    with pytest.raises(fr.UserError, match="there is none"):
        fr.train(config)


class Noted(fr.Watcher):
    def __init__(self, last=None):
        self.last, self.steps, self.epochs = last, [], []

    def step_done(self, step):
        self.steps.append((step.number, step.total, step.num_images, step.lr))
        if step.number == self.last:
            raise KeyError("enough")

    def epoch_done(self, epoch):
        self.epochs.append(epoch)


def test_watcher_sees_every_step_and_epoch_as_they_were_taken():
    train, test = fr.loaders("fashion-sample", train_images=100, test_images=50, batch_size=40)
    schedule, noted = fr.Linear(start_lr=0.1), Noted()
    model = fr.resnet10(channels=(8, 8, 8, 8), in_channels=1)
    result = fr.fit(model, train, test, epochs=2, schedule=schedule, watch=noted)
    assert noted.steps == [(step + 1, 6, images, schedule(step, 6)) for step, images in enumerate((40, 40, 20) * 2)]
    assert tuple(noted.epochs) == result.epochs


def test_what_a_watcher_raises_ends_the_run(tiny):
    noted = Noted(last=3)
    with pytest.raises(KeyError, match="enough"):
        fr.train(tiny, watch=noted)
    assert len(noted.steps) == 3


@pytest.mark.parametrize("muon", [None, {}])
def test_every_parameter_is_trained_whatever_its_shape(muon):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)
            self.volume = nn.Conv3d(1, 1, 1)
            self.row = nn.Conv1d(8, 8, 1)
            self.scale = nn.Parameter(torch.ones(()))
            self.token = nn.Parameter(torch.zeros(1, 8, 1))
            self.head = nn.Linear(8, 3)

        def forward(self, images):
            x = self.conv(images)
            x = self.volume(x[:, None])[:, 0].flatten(2)
            return self.head((self.row(x) + self.token).mean(dim=2) * self.scale)

    model = Odd()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    images, labels = some_images(20)
    fr.fit(model, [(images.float() / 255, labels)], epochs=1, muon=muon)
    assert [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])] == []


@pytest.mark.parametrize("settings", [{}, {"muon": {}}, {"lars": {}}], ids=["sgd", "muon", "lars"])
def test_every_parameter_is_in_one_group_of_an_optimiser(settings):
    layers = [nn.Conv1d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv3d(2, 2, 1), nn.Embedding(3, 2), nn.Linear(2, 3), nn.BatchNorm2d(2)]
    model = nn.Sequential(*layers, nn.ParameterList([torch.ones(()), torch.ones(1, 1, 2), torch.ones(1, 1, 1, 1, 1, 2)]))
    model[4].weight = model[3].weight  # tied
    model[2].bias.requires_grad = False
    optimizers = make_optimizers(fr.TrainConfig(**settings), model)
    grouped = [parameter for optimizer in optimizers for group in optimizer.param_groups for parameter in group["params"]]
    wanted = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert sorted(map(id, grouped)) == sorted(wanted)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 1}, r"fit: epoch: unknown key \(did you mean epochs\?\)"),
        ({"lr": 0.1}, r"fit: lr: a learning rate belongs to its schedule; allowed: schedule=Constant\(lr=0\.1\)"),
        ({"device": "gpu"}, "device: torch .* cannot use 'gpu' here; allowed: .*cpu"),
        ({"freeze": [[0.5, 1]]}, "freeze: Linear names nothing to freeze"),
    ],
)
def test_unfit_settings_are_refused_before_training(settings, message):
    with pytest.raises(fr.UserError, match=message):
        fr.fit(nn.Linear(2, 2), [(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64))], **settings)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(768, 3)),
        fr.resnet10(3, channels=(8, 8, 8, 8)),
        fr.SpeedNet(fr.SpeedNetConfig(widths=(8, 16), num_classes=3, activation="silu")),
    ],
    ids=["plain", "resnet", "silu"],
)
def test_kernels_that_a_network_does_not_have_are_refused(model):
    images, labels = some_images(4)
    with pytest.raises(fr.UserError, match=r"fused_kernels: .* allowed: a SpeedNet with gelu or relu"):
        fr.fit(model, [(images.float(), labels)], epochs=1, fused_kernels=True)


def test_whitened_network_is_prepared_from_the_first_images_of_any_batches():
    pixels, labels = some_images(90)
    images = (pixels.float() - 60) / 40
    model = fr.SpeedNet(fr.SpeedNetConfig(widths=(8, 16), num_classes=3, whitening_images=50))
    fr.fit(model, [(images[start : start + 30], labels[start : start + 30]) for start in (0, 30, 60)], epochs=1)
    half = len(model.stem.weight) // 2
    filters = model.stem.weight[:half].clone()
    assert torch.equal(filters, whitening_filters(images[:50], model.config.patch)[:half])
    fr.fit(model, [(images.flip(3)[:30], labels[:30])], epochs=1)  # trained on: other filters would undo what it learned
    assert torch.equal(model.stem.weight[:half], filters)


def test_batches_that_can_be_gone_through_only_once_are_refused():
    with pytest.raises(fr.UserError, match="generator has no length, no batches, or can be gone through only once"):
        fr.fit(nn.Linear(2, 2), (pair for pair in [()]), epochs=1)


def network(config):
    return fr.SavedModel(config, fr.build_model(config.model, 0), (), (1, 28, 28), (0.5,), (0.5,))


def kept(run, checkpoint):
    run(checkpoint=checkpoint)
    return Path(checkpoint).is_file()


PATHS = {
    "SavedModel.predict_files.files": lambda path, record: [
        str(error) for _, error in network(record.config).predict_files([path])
    ],
    "SavedModel.read_image.path": lambda path, record: network(record.config).read_image(path),
    "Store.__init__.folders": lambda path, record: fr.Store(path).save(record, "study", "experiment", "variant"),
    "Study.__init__.data_dir": lambda path, _: fr.Study(
        "study", "cpu", {"A": fr.Experiment("A", "?", {"": fr.RunConfig()}, (0,))}, fr.Store([path]), data_dir=path
    ).run("A"),
    "fit.checkpoint": lambda path, record: kept(
        partial(fr.fit, network(record.config).model, [(torch.zeros(4, 1, 28, 28), torch.arange(4))], epochs=2), path
    ),
    "load_dataset.data_dir": lambda path, _: fr.load_dataset("cifar10", path),
    "load_frame.folder": lambda path, _: fr.load_frame(path),
    "load_model.path": lambda path, _: fr.load_model(path),
    "load_yaml.path": lambda path, _: fr.load_yaml(path, fr.RunConfig),
    "loaders.data": lambda path, _: fr.loaders(path),
    "loaders.data_dir": lambda path, _: fr.loaders("cifar10", data_dir=path),
    "open_study.data_dir": lambda path, _: fr.open_study("cifar10_accuracy", results=path, data_dir=path).run("C1"),
    "open_study.results": lambda path, _: len(fr.open_study("cifar10_accuracy", results=path).missing("C1")),
    "save_model.path": lambda path, record: fr.save_model(network(record.config), path),
    "train.checkpoint": lambda path, record: kept(partial(fr.train, record.config), path),
    "train.data_dir": lambda path, _: fr.train(fr.RunConfig(), data_dir=path),
}
"""Uses of every public parameter that takes a path: an answer that is the same for a text and for a Path."""


@pytest.mark.parametrize("use", PATHS.values(), ids=PATHS)
def test_path_is_taken_as_a_text_too(use, record, tmp_path):
    answers = []
    for kind in (str, Path):
        try:
            answers.append(use(kind(tmp_path / "place"), record))
        except fr.UserError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]


def test_every_parameter_that_takes_a_path_is_tried():
    functions = {}
    for name in fr.__all__:
        each = getattr(fr, name)
        members = {"": each} if inspect.isfunction(each) else vars(each) if inspect.isclass(each) else {}
        functions |= {f"{name}.{key}".strip("."): member for key, member in members.items() if inspect.isfunction(member)}
    assert PATHS.keys() == {
        f"{name}.{key}"
        for name, function in functions.items()
        for key, annotation in function.__annotations__.items()
        if "Path" in str(annotation) and key != "return" and "._" not in name.replace("__init__", "")
    }


def test_torch_is_loaded_only_for_what_needs_it():
    code = "import sys, fastresnet as fr; fr.OneCycle(max_lr=0.1), fr.RunConfig(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(4, 1, 28, 28, dtype=torch.uint8), torch.zeros(4).long(), r"images float32 .* got uint8 \[4, 1, 28, 28\]"),
        (torch.zeros(4, 1, 28, 28), torch.zeros(4), r"labels int64 \[N\], got .* and float32 \[4\]"),
        (torch.zeros(4, 1, 28, 28), torch.zeros(3).long(), r"and int64 \[3\]"),
        (torch.zeros(4, 1, 28, 28), torch.full((4,), 5), "train: labels from 5 to 5, but the network tells 5 classes apart"),
        (torch.zeros(4, 3, 28, 28), torch.zeros(4).long(), r"train: ResNet cannot take images \[4, 3, 28, 28\]"),
        ("images", "labels", "a pair of tensors .*, got str, str"),
    ],
)
def test_batches_that_cannot_be_trained_on_are_refused_before_training(images, labels, message):
    model = fr.resnet10(channels=(8, 8, 8, 8), in_channels=1, num_classes=5)
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(fr.UserError, match=message):
        fr.fit(model, [(images, labels)], epochs=1)
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    assert model.training


class Answering(nn.Module):
    """A network that gives its logits to a function, together with itself, and returns what that makes of them."""

    def __init__(self, answer):
        super().__init__()
        self.head, self.answer = nn.LazyLinear(10), answer

    def forward(self, images):
        return self.answer(self, self.head(images.flatten(1)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Answering(lambda model, x: (x, x) if model.training else x), r"must return logits \[N, classes\], got tuple"),
        (Answering(lambda _, x: x.long()), r"must return logits \[N, classes\], got int64 \[2, 10\]"),
        (Answering(lambda _, x: x.detach()), "returns logits that depend on none of its trained parameters"),
        (nn.Flatten(), "Flatten has no parameter to train"),
        (nn.Conv2d(1, 10, 3), r"Conv2d must return logits \[N, classes\], got float32 \[2, 10, 26, 26\]"),
    ],
)
def test_module_that_is_no_classifier_is_refused(model, message):
    with pytest.raises(fr.UserError, match=message):
        fr.fit(model, [(torch.zeros(4, 1, 28, 28), torch.zeros(4).long())], epochs=1)


def test_loader_without_batches_is_refused():
    with pytest.raises(fr.UserError, match="test: there is no batch"):
        batch = torch.zeros(4, 1, 28, 28), torch.zeros(4).long()
        fr.fit(fr.resnet10(channels=(8, 8, 8, 8), in_channels=1), [batch], [], epochs=1)
