"""What `fit` and `train` leave behind, and what they find of earlier calls: frozen parts, checkpoints, weights, data sets."""

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, TensorDataset

import fastresnet as fr
from fastresnet.compute.kernels.convolution import Convolution
from fastresnet.config.models import NormConfig


class Net(nn.Module):
    def __init__(self, activation=None):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.activation, self.head = activation or nn.ReLU(), nn.Linear(4, 3)

    def forward(self, images):
        x = self.activation(self.second(self.activation(self.first(images))))
        return self.head(x.mean(dim=(2, 3)))

    def freezable(self):
        yield from (self.first, self.second)


class Interrupt(fr.Watcher):
    def __init__(self, step):
        self.step = step

    def step_done(self, step):
        if step.number == self.step:
            raise KeyboardInterrupt


class AfterEpoch(fr.Watcher):
    def epoch_done(self, epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt


class Counted(fr.Watcher):
    def __init__(self):
        self.numbers = []

    def step_done(self, step):
        self.numbers.append(step.number)


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(6, 1, 8, 8, generator=generator), torch.arange(6) % 3) for _ in range(3)]


def trained(model):
    return [parameter.requires_grad for parameter in model.parameters()]


def test_frozen_parts_are_trained_again_after_the_run(batches):
    model = Net()
    fr.fit(model, batches, epochs=2, freeze=((0.5, 2),))
    assert all(trained(model))


def test_interrupted_run_resumes_with_the_same_network_object(batches, tmp_path):
    model, settings = Net(), {"epochs": 4, "freeze": ((0.25, 1),), "checkpoint": tmp_path / "state.pt"}
    with pytest.raises(KeyboardInterrupt):
        fr.fit(model, batches, watch=Interrupt(10), **settings)
    assert all(trained(model))
    assert len(fr.fit(model, batches, **settings).epochs) == 4


@pytest.mark.parametrize(
    ("change", "tested"),
    [
        (lambda model: setattr(model, "activation", nn.Tanh()), 3),
        (lambda model: model.first.requires_grad_(False), 3),
        (lambda model: None, 2),
    ],
    ids=["layers", "trained layers", "test images"],
)
def test_checkpoint_of_another_run_is_refused(change, tested, batches, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fr.fit(model := Net(), batches, batches, epochs=3, checkpoint=tmp_path / "state.pt", watch=Interrupt(5))
    change(model)
    with pytest.raises(fr.UserError, match="a checkpoint of run Net-seed0-"):
        fr.fit(model, batches, batches[:tested], epochs=3, checkpoint=tmp_path / "state.pt")


class Apply(nn.Module):
    """A module that shows its function with its address, of which every network has another."""

    def __init__(self):
        super().__init__()
        self.function = lambda images: images.relu()

    def forward(self, images):
        return self.function(images)

    def extra_repr(self):
        return repr(self.function)


@pytest.fixture
def shuffled():
    """Makes a loader that shuffles by a generator of its own; labels of two batches are often the same."""
    dataset = TensorDataset(torch.randn(18, 1, 8, 8), (torch.arange(18) == 0).long())
    return lambda: DataLoader(dataset, 6, shuffle=True, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("looks", range(4))
def test_run_on_batches_that_come_in_another_order_goes_on(looks, shuffled, tmp_path):
    loader, place = shuffled(), tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        fr.fit(Net(Apply()), loader, epochs=3, checkpoint=place, watch=Interrupt(5))
    for _ in range(looks):
        next(iter(loader))
    fr.fit(Net(Apply()), loader, epochs=3, checkpoint=place, watch=(steps := Counted()))
    assert steps.numbers == [4, 5, 6, 7, 8, 9]  # the second and third epochs


def test_checkpoint_changes_no_run(shuffled, tmp_path):
    ends = []
    for place in (None, tmp_path / "state.pt"):
        torch.manual_seed(1)
        ends.append(fr.fit(Net(), shuffled(), epochs=2, checkpoint=place).epochs[-1].train_loss)
    assert ends[0] == ends[1]


def test_two_runs_do_not_share_a_checkpoint(batches, tmp_path):
    class Other(fr.Watcher):
        def step_done(self, step):
            fr.fit(Net(), batches, epochs=2, seed=1, checkpoint=tmp_path / "state.pt")

    with pytest.raises(fr.UserError, match=r"checkpoint: another run is using .*state\.pt, .*; allowed: a file for each"):
        fr.fit(Net(), batches, epochs=2, checkpoint=tmp_path / "state.pt", watch=Other())


class Batches(list):
    """Somebody's own batches, augmented by a generator that is none of torch's."""

    generator = np.random.default_rng(0)


class History(fr.Watcher, list):
    """False as long as it is empty."""

    def epoch_done(self, epoch):
        self.append(epoch)


def test_batches_and_watcher_of_any_kind_are_taken(batches, tmp_path):
    result = fr.fit(Net(), Batches(batches), epochs=2, watch=(history := History()), checkpoint=tmp_path / "state.pt")
    assert tuple(history) == result.epochs


def test_network_is_tried_at_every_size_of_the_images():
    train, _ = fr.loaders("fashion-sample", train_images=40, size_curriculum=((0, 28), (1, 20)))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    with pytest.raises(fr.UserError, match=r"Sequential cannot take images \[2, 1, 20, 20\]"):
        fr.fit(flat, train, epochs=2)
    assert fr.fit(flat, train, epochs=1).outcome.status == "finished"


def test_average_of_the_weights_leaves_whole_numbers_as_they_are(batches):
    model = Net()
    model.register_buffer("order", torch.arange(100))
    averaged = fr.fit(model, batches, epochs=3, ema_decay=0.9).model
    assert averaged is not model
    assert torch.equal(averaged.order, torch.arange(100))
    assert not averaged.training
    assert not model.training


def test_network_that_cannot_compute_in_channels_last_is_told_what_can(batches):
    class Viewing(Net):
        def forward(self, images):
            x = self.second(self.first(images))
            return self.head(x.view(len(x), -1)[:, :4])

    last = Viewing().to(memory_format=torch.channels_last)
    for use in (lambda: fr.fit(Viewing(), batches, epochs=1), lambda: fr.evaluate(last, batches)):
        with pytest.raises(fr.UserError, match=r"Viewing cannot .* allowed: reshape in place of view, or channels_last=False"):
            use()
    assert fr.fit(Viewing(), batches, epochs=1, channels_last=False).outcome.status == "finished"


def test_last_batch_of_one_image_is_refused_only_by_a_network_that_cannot_take_it():
    loader = DataLoader(TensorDataset(torch.randn(7, 1, 32, 32), torch.arange(7) % 3), 3)
    with pytest.raises(fr.UserError, match=r"ResNet cannot take images \[1, 1, 32, 32\].*drop_last=True"):
        fr.fit(fr.resnet10(channels=(8, 8, 8, 8), in_channels=1, num_classes=3), loader, epochs=1)
    assert len(fr.fit(Net(), loader, epochs=1).epochs) == 1
    half = fr.fit(fr.resnet10(channels=(8, 8, 8, 8), in_channels=1, num_classes=3), loader, epochs=0.5)
    assert half.outcome.status == "finished"  # it never comes to the last batch
    dropped = DataLoader(loader.dataset, 3, drop_last=True)
    assert len(fr.fit(fr.resnet10(channels=(8, 8, 8, 8), in_channels=1, num_classes=3), dropped, epochs=1).epochs) == 1


@pytest.mark.parametrize("use", ["fit", "train"])
def test_checkpoint_in_the_home_folder_is_looked_for_there(use, batches, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        if use == "fit":
            fr.fit(Net(), batches, epochs=3, checkpoint="~/runs/state.pt", watch=Interrupt(5))
        else:
            fr.train(tiny.with_changes({"train.epochs": 2}), checkpoint="~/runs/state.pt", watch=AfterEpoch())
    assert [path.name for path in tmp_path.rglob("*")] == ["home", "runs", "state.pt"]


def test_epoch_that_a_watcher_was_told_of_is_in_the_checkpoint(batches, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fr.fit(Net(), batches, epochs=3, checkpoint=tmp_path / "state.pt", watch=AfterEpoch())
    fr.fit(Net(), batches, epochs=3, checkpoint=tmp_path / "state.pt", watch=(steps := Counted()))
    assert steps.numbers == [7, 8, 9]  # the third epoch


def test_batches_of_which_there_are_none_the_next_time_are_told(batches):
    class Once(list):
        def __iter__(self):
            yield from [self.pop(0)] if self else []

    with pytest.raises(fr.UserError, match="train: an epoch without a batch; allowed: batches that can be gone through again"):
        fr.fit(Net(), Once(batches), epochs=4)
    with pytest.raises(fr.UserError, match="ImageSet has no length, no batches, or can"):
        fr.fit(Net(), small_set(4))


def test_next_network_does_not_take_up_the_checkpoint_of_a_finished_run(batches, tmp_path):
    losses = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        losses.append(fr.fit(Net(), batches, epochs=2, checkpoint=tmp_path / "state.pt").epochs[0].train_loss)
    assert losses[0] != losses[1]
    assert not list(tmp_path.iterdir())


def test_checkpoint_that_cannot_be_written_is_refused_before_training(batches, tmp_path):
    with pytest.raises(fr.UserError, match="file"):
        fr.fit(Net(), batches, epochs=1, checkpoint=tmp_path, watch=Interrupt(1))
    with pytest.raises(fr.UserError, match="file"):
        fr.train("fashion-80", checkpoint=tmp_path, data_dir=tmp_path)  # before it looks for the data


@pytest.mark.parametrize("settings", [{"muon": {}}, {"lars": {}}], ids=["muon", "lars"])
def test_filters_that_begin_at_zero_are_trained(batches, settings):
    model = Net(nn.Tanh())
    nn.init.zeros_(model.second.weight)
    assert fr.fit(model, batches, epochs=1, **settings).outcome.status == "finished"
    assert model.second.weight.isfinite().all()
    assert model.second.weight.any()


def test_network_that_keeps_a_tensor_is_trained_after_its_evaluation(batches):
    class Keeps(Net):
        kept = None

        def forward(self, images):
            self.kept = images.new_full((), 2.0) if self.kept is None else self.kept
            return super().forward(images * self.kept)

    model = Keeps()
    fr.evaluate(model, batches)
    assert fr.fit(model, batches, epochs=1).outcome.status == "finished"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"measure": ("eigenvalues",)}, "measure: eigenvalues is measured by `train` alone; allowed: weight-norm, batch-"),
        ({"test_shift": 8}, "test_shift: must be below the images' side, 8, got 8"),
        ({"lookahead": 3}, "lookahead: 3 steps until the first update; allowed: fewer than the run's, 3"),
        ({"freeze": ((0, 1), (0.5, 3))}, "freeze: Net has 2 parts to freeze, got 3"),
        ({"freeze": ((0.5, 1), (0.5, 2))}, "freeze: the first numbers of the pairs must be strictly increasing"),
    ],
)
def test_what_fit_cannot_do_is_refused_before_training(batches, settings, message):
    with pytest.raises(fr.UserError, match=message):
        fr.fit(Net(), batches, batches, epochs=1, **settings)


@pytest.mark.parametrize("kind", [fr.SpeedNetConfig, fr.DavidNetConfig])
def test_loaded_weights_keep_their_first_filters(kind):
    images = torch.randn(600, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    batches = [(images, torch.arange(600) % 10)]
    config = kind(in_channels=1, widths=(8, 8) if kind is fr.SpeedNetConfig else (8, 8, 8, 8), whitened=True)
    model, other = fr.build_model(config, 0), fr.build_model(config, 1)
    fr.fit(model, batches, epochs=1)
    other.load_state_dict(model.state_dict())
    fr.fit(other, [(images.flip(2) * 3, torch.arange(600) % 10)], epochs=1)
    first = "stem.weight" if kind is fr.SpeedNetConfig else "whitening.weight"
    assert torch.equal(model.get_parameter(first), other.get_parameter(first))


@pytest.mark.parametrize("halving", ["3x3, max pool", "3x3/2"])
def test_repeated_activation_without_norm_is_trained(halving):
    config = fr.DavidNetConfig(in_channels=1, norm=NormConfig(kind="none"), repeated_norm=True, halving=halving)
    result = fr.fit(fr.DavidNet(config), [(torch.randn(8, 1, 32, 32), torch.arange(8))], epochs=1)
    assert result.outcome.status == "finished"


def test_making_a_network_leaves_the_generators_of_graphics_cards_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeded"))
    fr.build_model(fr.SpeedNetConfig(), 3)
    fr.resnet10(seed=3)


def test_run_whose_test_loss_is_not_finite_has_diverged(batches):
    class Broken(Net):
        def forward(self, images):
            return super().forward(images) * (1 if self.training else torch.nan)

    result = fr.fit(Broken(), batches, batches, epochs=3)
    assert (result.outcome.status, len(result.epochs)) == ("diverged", 1)


def test_measurement_that_is_not_finite_is_left_out_of_the_record():
    data = {"name": "fashion-sample", "train_images": 40, "test_images": 20, "batch_size": 20}
    model = {"kind": "davidnet", "in_channels": 1, "widths": (8, 8, 8, 8), "norm": {"kind": "none"}, "weight_scale": 1e12}
    record = fr.train(fr.RunConfig(data=data, model=model, train={"epochs": 1, "measure": ["gradient-norm"]})).record
    assert (record.outcome.status, record.measured) == ("diverged", {})


def test_test_image_alone_in_its_batch_is_refused_where_batches_are_the_statistics():
    data = {"name": "fashion-sample", "train_images": 40, "test_images": 21, "test_batch_size": 20}
    config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"measure": ["batch-statistics"]})
    with pytest.raises(fr.UserError, match="the last test batch is a single image, .* another batch size"):
        fr.train(config)
    train, test = fr.loaders("fashion-sample", train_images=40, test_images=21, test_batch_size=20)
    with pytest.raises(fr.UserError, match="the last test batch is a single image"):
        fr.fit(fr.resnet10(in_channels=1), train, test, measure=("batch-statistics",))


def small_set(count, names=("cat", "dog", "eel")):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 16, 16), generator=generator, dtype=torch.uint8)
    return fr.ImageSet(images, torch.arange(count) % 3, class_names=names)


def dataset_of(mean, std):
    return fr.Dataset("x", small_set(3), small_set(3), mean, std, "mine")


def test_statistics_from_numpy_are_numbers():
    assert [type(each) for each in dataset_of(np.float32([0.5]), torch.tensor([0.25])).std] == [float]


def test_run_does_not_go_on_with_other_test_images_seed_or_starting_weights(tmp_path):
    model = {"depth": 10, "channels": (4, 4, 4, 4), "in_channels": 1, "num_classes": 3}
    config = fr.RunConfig(data={"name": "given", "batch_size": 10}, model=model, train={"epochs": 3})
    train, test, checkpoint = small_set(30), small_set(12), tmp_path / "state.pt"
    dataset = fr.from_tensors("x", train, test)
    with pytest.raises(KeyboardInterrupt):
        fr.train(config, dataset=dataset, checkpoint=checkpoint, watch=Interrupt(5))
    start = fr.SavedModel(config, fr.build_model(config.model, 0), test.class_names, (1, 16, 16), dataset.mean, dataset.std)
    for other in ({"dataset": fr.from_tensors("x", train, small_set(9))}, {"seed": 1}, {"start": start}):
        with pytest.raises(fr.UserError, match="a checkpoint of run "):
            fr.train(**{"config": config, "dataset": dataset, "checkpoint": checkpoint} | other)


def test_names_of_classes_from_numpy_are_saved_as_texts(tmp_path):
    model = {"depth": 10, "channels": (4, 4, 4, 4), "in_channels": 1, "num_classes": 3}
    config = fr.RunConfig(data={"name": "given", "batch_size": 10}, model=model, train={"epochs": 1})
    images = small_set(30, np.unique(["dog", "cat", "eel"]))
    saved = fr.train(config, dataset=fr.from_tensors("x", images, images)).saved
    assert fr.load_model(fr.save_model(saved, tmp_path / "net.pt")).class_names == ("cat", "dog", "eel")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small_set(30, (1, 2, 3)), r"class_names must be texts in the order of the labels, got \(1, 2, 3\)"),
        (lambda: small_set(30, "abc"), "class_names must be texts in the order of the labels, got 'abc'"),
        (lambda: small_set(30, 3), "class_names must be texts in the order of the labels, got 3"),
        (lambda: small_set(30).hold_out(0), "validation_images: asked for 0 of 30; allowed: at least 1, and fewer than all"),
        (lambda: small_set(30).hold_out("3"), "validation_images: asked for '3' of 30"),
        (lambda: small_set(30).hold_out(True), "validation_images: asked for True of 30"),
        (lambda: small_set(30).subset(2.0), "asked for 2.0 images; allowed: 1 to 30"),
        (lambda: fr.from_tensors("x", 1, 2), "x: train: must be of the type ImageSet, got int"),
        (lambda: fr.from_tensors("x", small_set(3), 2), "x: each split: must be of the type ImageSet, got int"),
        (
            lambda: fr.ImageSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8, device="meta"), torch.zeros(2).long(), ("a",)),
            "images must have a value for each element, got torch.strided on meta",
        ),
        (
            lambda: fr.ImageSet(torch.zeros(2, 1, 8, 8).byte().to_sparse(), torch.zeros(2).long(), ("a",)),
            "images must have a value for each element, got torch.sparse_coo on cpu",
        ),
        (lambda: fr.build_model({"kind": "resnet"}, 0), "build_model: dict configures no network; allowed: ResNetConfig, "),
        (lambda: fr.build_model(fr.ResNetConfig(), -1), "seed: must be a whole number"),
        (lambda: fr.ResNet(18), "ResNet: must be of the type ResNetConfig, got int"),
        (lambda: fr.Store(None), "None: is no path; allowed: a text"),
        (lambda: fr.Store([]), "Store: there is no folder; allowed: one, or a list"),
        (lambda: fr.load_frame(None), "None: is no path; allowed: a text"),
        (lambda: fr.load_frame("a\0b"), "'a.*b': is no path; allowed: a text without null characters"),
        (lambda: fr.evaluate(Net(), [], test_shift="1"), "test_shift: must be a whole number of at least 0, got '1'"),
        (lambda: fr.ImageSet(np.zeros((1, 1, 8, 8)), torch.zeros(1), ("a",)), "images must be a torch.Tensor, got ndarray"),
        (
            lambda: fr.Dataset("x", small_set(3), small_set(3, ("a", "b", "c")), (0,), (1,), "mine"),
            "x: train and test differ in their cl",
        ),
        (lambda: fr.loaders((small_set(9), small_set(9)), train_images=10), "train_images: asked for 10 images; allowed: 1 to 9"),
        (lambda: fr.train("fashion-80", start="model.pt"), "start: must be of the type SavedModel, as load_model"),
        (lambda: small_set(30).subset(-1), "asked for -1 images; allowed: 1 to 30"),
        (lambda: fr.from_tensors("x", small_set(30), small_set(0)), "x: 30 training and 0 test images; allowed: at least one of"),
        (
            lambda: fr.train(fr.RunConfig(), dataset=fr.from_tensors("x", small_set(30), small_set(3))),
            "data.name: 'cifar10', but the data set handed over is 'x'; allowed: 'given'",
        ),
        (
            lambda: fr.train(fr.RunConfig(data={"name": "given"}), dataset=(1, 2)),
            "dataset: must be of the type Dataset, .* got tuple",
        ),
        (lambda: fr.evaluate(Net(), [], precision="fp8"), "precision: got 'fp8'; allowed: fp32, "),
        (
            lambda: dataset_of((0.5,), (0.0,)),
            r"x: mean \(0\.5,\) and std \(0\.0,\); allowed: a finite number per channel, 1 each,",
        ),
        (lambda: dataset_of((0.5,) * 3, (1.0,) * 3), "allowed: a finite number per channel, 1 each"),
        (lambda: dataset_of((float("nan"),), (1.0,)), "allowed: a finite number per channel, 1 each"),
        (lambda: dataset_of(0.5, 1.0), "x: mean: .*float.*; allowed: a number per channel"),
        (
            lambda: fr.loaders((torch.zeros(2, 1, 8, 8).byte(), torch.tensor([0, 10**9])) * 2),
            "loaders: labels count classes from 0; the largest is 1,000,000,000, and there are fewer images",
        ),
    ],
)
def test_unfit_images_and_data_sets_are_refused(make, message):
    with pytest.raises(fr.UserError, match=message):
        make()


@pytest.mark.parametrize(("count", "value"), [(30, 3), (60, 3), (200, 7), (7, 255)])
def test_constant_channel_has_a_deviation_of_one(count, value):
    images = torch.full((count, 1, 4, 4), value, dtype=torch.uint8)
    names, labels = ("a",), torch.zeros(count, dtype=torch.int64)
    split = fr.ImageSet(images, labels, names)
    assert fr.from_tensors("x", split, split).std == (1.0,)


def test_gradients_from_products_are_those_of_the_run_that_asked_for_them(batches):
    model = fr.build_model(fr.SpeedNetConfig(in_channels=1, widths=(8, 8), whitened=False), seed=0)
    for wanted in (True, False):
        fr.fit(model, batches, epochs=1, matmul_gradients=wanted)
        assert {layer.matmul_gradients for layer in model.modules() if isinstance(layer, Convolution)} == {wanted}


@pytest.mark.parametrize("watch", [print, fr.Watcher])
def test_watcher_of_another_kind_is_refused_before_training(watch, batches):
    before = copy.deepcopy((model := Net()).state_dict())
    with pytest.raises(fr.UserError, match=r"watch: must be an object of a subclass of fastresnet\.Watcher, got <"):
        fr.fit(model, batches, watch=watch)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_what_follows_no_run_is_refused_before_any_work(batches, monkeypatch):
    monkeypatch.setattr(fr.SpeedNet, "prepare", lambda *_: pytest.fail("looked at the images"))
    network = fr.SpeedNet(fr.SpeedNetConfig(in_channels=1, widths=(8, 16)))
    with pytest.raises(fr.UserError, match="watch: must be an object of a subclass of fastresnet.Watcher"):
        fr.fit(network, batches, watch=print)


IMAGES = torch.zeros(6, 1, 8, 8)
LABELS = torch.arange(6) % 3


class Changing(list):
    """Batches of which one cannot be looked at before its turn comes, as those of a DataLoader."""


@pytest.mark.parametrize("kind", [list, Changing])
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((IMAGES, LABELS - 100), "batch 3: labels from -100 to -98, but the network tells 3 classes apart"),
        ((IMAGES, LABELS + 1), "batch 3: labels from 1 to 3, but"),
        (
            (IMAGES, LABELS.float()),
            r"batch 3: must be images float32 \[N, ...\] and labels int64 \[N\], got .* and float32 \[6\]",
        ),
        ((IMAGES.double(), LABELS), "batch 3: must be .* got float64"),
        ((IMAGES, LABELS, LABELS), r"batch 3: must be a pair of tensors \(images, labels\), got Tensor, Tensor, Tensor"),
        ({"images": IMAGES, "labels": LABELS}, "batch 3: must be a pair of tensors .*, got dict"),
        ((IMAGES[:0], LABELS[:0]), "batch 3: must be images"),
    ],
)
def test_later_batch_that_fits_no_step_is_named(batches, batch, message, kind):
    model, wrong, steps = Net(), kind([*batches[:2], batch]), Counted()
    with pytest.raises(fr.UserError, match=f"train: {message}"):
        fr.fit(model, wrong, epochs=1, watch=steps)
    assert len(steps.numbers) == (0 if kind is list else 2)  # all batches in a list are looked at before training
    with pytest.raises(fr.UserError, match=f"test: {message}"):
        fr.fit(model, batches, kind(wrong), epochs=1, watch=steps)
    with pytest.raises(fr.UserError, match=f"batches: ({message}|{message.removeprefix('batch 3: ')})"):
        fr.evaluate(model, wrong)


def test_later_images_that_the_network_cannot_take_are_named(batches):
    wrong = [*batches, (torch.zeros(6, 3, 8, 8), LABELS)]
    with pytest.raises(fr.UserError, match=r"train: Net cannot take images \[6, 3, 8, 8\]"):
        fr.fit(Net(), wrong, epochs=1)
    with pytest.raises(fr.UserError, match=r"batches: Net cannot take images \[6, 3, 8, 8\]"):
        fr.evaluate(Net(), wrong)


def normed():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


def test_single_image_is_refused_wherever_it_comes(batches):
    single = [batches[0], (IMAGES[:1], LABELS[:1]), batches[1]]
    dataset = TensorDataset(torch.randn(7, 1, 8, 8), torch.arange(7) % 3)
    sampled = DataLoader(dataset, batch_sampler=BatchSampler(SequentialSampler(dataset), 3, drop_last=False))
    for known in (single, sampled):
        with pytest.raises(
            fr.UserError, match=r"train: Sequential cannot take images \[1, .*two images and more.*drop_last=True"
        ):
            fr.fit(normed(), known, epochs=1, watch=(steps := Counted()))
        assert not steps.numbers
        assert fr.fit(Net(), known, epochs=1).outcome.status == "finished"
    with pytest.raises(fr.UserError, match=r"train: Sequential cannot take images \[1, .*two images and more"):
        fr.fit(normed(), Changing(single), epochs=1, watch=(steps := Counted()))
    assert steps.numbers == [1]


class Locked(Net):
    """A network that cannot be copied: it keeps a lock, and what it computed last."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, images):
        self.kept = super().forward(images)
        return self.kept


def test_network_that_cannot_be_copied_is_trained(batches):
    model = Locked()
    model(batches[0][0])
    assert fr.fit(model, batches, batches, epochs=1).outcome.status == "finished"


def test_look_before_training_changes_no_weight_and_no_statistics():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(fr.UserError, match="train: labels from 3 to 3, but"):
        fr.fit(model, [(torch.randn(6, 1, 8, 8), torch.full((6,), 3))], epochs=1)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("use", [lambda model, batches: fr.fit(model, batches, epochs=1), fr.evaluate])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Net().half(), "Net cannot take images .*(Half|type)"),
        (lambda: Net().to("meta"), "model: Net is on the device meta, where weights have no values"),
        (lambda: Net, "model: must be a torch.nn.Module, got <class"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(63, 3)), r"Sequential cannot take images \[6, 1, 8, 8\]"),
        (lambda: nn.Conv2d(1, 3, 3), r"model: Conv2d must return logits \[N, classes\], got float32"),
    ],
)
def test_network_that_cannot_be_used_is_named(batches, use, make, message):
    with pytest.raises(fr.UserError, match=message):
        use(make(), batches)


def test_whatever_a_network_raises_is_told_with_the_images(batches):
    class Broken(Net):
        def forward(self, images):
            raise KeyError("no such layer")

    with pytest.raises(fr.UserError, match=r"train: Broken cannot take images \[6, 1, 8, 8\]: 'no such layer'"):
        fr.fit(Broken(), batches, epochs=1)


def test_memory_that_ran_out_is_told_with_the_remedy(batches):
    class Large(Net):
        def forward(self, images):
            if len(images) > 4:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
            return super().forward(images)

    with pytest.raises(RuntimeError, match="out of memory with these batches: take smaller ones, or micro_batch"):
        fr.fit(Large(), batches, epochs=1)
    assert fr.fit(Large(), batches, epochs=1, micro_batch=4).outcome.status == "finished"


def test_moved_views_need_images_of_a_height_and_a_width():
    volumes = torch.zeros(4, 1, 8, 8, 8), torch.tensor([0, 1, 0, 1])
    network = nn.Sequential(nn.Flatten(), nn.Linear(512, 2))
    with pytest.raises(fr.UserError, match="test_shift: must be below the images' side, 0, got 1"):
        fr.fit(network, [volumes], [volumes], test_shift=1)
