"""Both loaders keep one contract; augmentation does what its name says."""

from itertools import product

import pytest
import torch

from fastresnet.config import DataConfig
from fastresnet.data import augment
from fastresnet.data.images import ImageSet, from_tensors
from fastresnet.data.loaders import make_batches
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError

CPU = torch.device("cpu")


def batches_of(seed=0, dataset=None, **config):
    config = DataConfig(**{"name": "cifar10-standin", "train_images": 90, "test_images": 40, "batch_size": 32, **config})
    return make_batches(config, dataset or load_dataset(config.name), CPU, seed)


def gathered(batches, epoch=0):
    images, labels = zip(*batches.epoch(epoch), strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("image_size", [None, 24, 48])
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("name", ["cifar10-standin", "fashion-sample"])
def test_loaders_give_equal_labels_and_pixels(name, num_workers, image_size):
    tensor = batches_of(name=name, image_size=image_size)
    worker = batches_of(name=name, image_size=image_size, loader="worker", num_workers=num_workers)
    for one, other in zip(tensor, worker, strict=True):
        assert len(one) == len(other)
        (images, labels), (worker_images, worker_labels) = gathered(one, 1), gathered(other, 1)
        assert torch.equal(labels, worker_labels)
        torch.testing.assert_close(images, worker_images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("image_size", [None, 24])
def test_first_images_are_of_the_size_that_is_trained_on(image_size):
    _, test = batches_of(image_size=image_size)  # in their order
    torch.testing.assert_close(test.first_images(40), gathered(test)[0], atol=1e-5, rtol=0)


def test_pixels_are_normalised_by_the_data_sets_statistics():
    sample = load_dataset("cifar10-standin")
    train, _ = batches_of(train_images=None, dataset=from_tensors("mine", sample.train, sample.test))
    images, _ = gathered(train)
    torch.testing.assert_close(images.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(images.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("loader", ["tensor", "worker"])
def test_an_epoch_depends_on_seed_and_number_alone(loader):
    config = {"loader": loader, "flip": "random", "crop_padding": 4, "cutout": 8}

    def epoch(seed, number):
        torch.manual_seed(0)  # a worker loader in the training process draws from the global generator
        return gathered(batches_of(seed, **config)[0], number)[0]

    assert torch.equal(epoch(1, 3), epoch(1, 3))
    assert not torch.equal(epoch(1, 3), epoch(1, 4))
    assert not torch.equal(epoch(1, 3), epoch(2, 3))


def test_every_image_comes_once_an_epoch_and_a_lone_last_one_is_dropped():
    train, test = batches_of(train_images=97, batch_size=32)  # 3 batches and one image
    assert (len(train), train.num_images, len(test)) == (3, 96, 1)
    images, labels = gathered(train)
    assert len(images) == len(labels) == 96
    assert len(torch.unique(images.flatten(1), dim=0)) == 96


def order(batches, epoch):
    return torch.cat([indices for _, indices in batches._shares(epoch)])


@pytest.mark.parametrize("loader", ["tensor", "worker"])
def test_easy_images_are_skipped_and_hard_ones_come_again(loader):
    train, test = batches_of(prune={"skip": 0.8, "start": 2}, loader=loader)
    assert test.losses is None
    labels = train.images.labels
    hard = labels < 3  # 27 of 90
    train.note_losses(0, torch.where(hard, 2.0, 0.5)[order(train, 0)])
    assert torch.equal(order(train, 1).sort().values, torch.arange(90))  # not yet
    seen = order(train, 2)
    times = torch.bincount(seen, minlength=90)
    assert len(seen) == train.num_images == 90
    assert (times[hard] >= 2).all()  # a pass has those 27 and some 13 of the others
    assert times[~hard].float().mean() < 0.8
    assert torch.equal(gathered(train, 2)[1], labels[seen])


def test_last_losses_are_kept_by_image():
    train, _ = batches_of(prune={})
    assert train.losses.isnan().all()
    assert torch.bincount(order(train, 1)).tolist() == [1] * 90  # nothing known, nothing skipped
    expected = torch.arange(90.0)
    last = order(train, 0)[80:]  # of an epoch that was cut short
    train.note_losses(0, expected[order(train, 0)[:80]])
    assert train.losses[last].isnan().all()
    expected[last] = torch.nan
    torch.testing.assert_close(train.losses, expected, equal_nan=True)
    seen = order(train, 1)
    twice = torch.bincount(seen, minlength=90).argmax()
    train.note_losses(1, torch.arange(90.0))
    positions = (seen == twice).nonzero().flatten()
    assert len(positions) > 1
    assert train.losses[twice] == positions.float().mean()
    missed = torch.bincount(seen, minlength=90) == 0
    assert torch.equal(train.losses[missed], expected[missed])
    assert missed.any()


def test_held_out_images_are_not_trained_on():
    train, validation = batches_of(train_images=None, test_images=None, validation_images=500)
    assert (train.num_images, validation.num_images) == (3500, 500)
    rows = {image.numpy().tobytes() for image in train.images.images}
    assert not any(image.numpy().tobytes() in rows for image in validation.images.images)
    assert torch.bincount(validation.images.labels).tolist() == [50] * 10


def test_subsets_are_stratified_and_nested():
    images = load_dataset("cifar10-standin").train
    small, large = images.subset(105), images.subset(1000)
    assert torch.bincount(large.labels).tolist() == [100] * 10
    assert set(torch.bincount(small.labels).tolist()) == {10, 11}
    rows = {image.numpy().tobytes() for image in large.images}
    assert all(image.numpy().tobytes() in rows for image in small.images)


def test_subset_has_classes_of_unequal_size_in_proportion():
    images = ImageSet(torch.zeros(100, 1, 8, 8).byte(), (torch.arange(100) >= 90).long(), ("many", "few"))
    counts = [torch.bincount(images.subset(size).labels, minlength=2).tolist() for size in (4, 10, 14)]
    assert counts == [[4, 0], [9, 1], [13, 1]]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "given", "train_images": 5000}, "asked for 5000 images; allowed: 1 to 4000"),
        ({"name": "given", "train_images": None, "validation_images": 4000}, "validation_images: asked for 4000 of 4000"),
        ({"batch_size": 1}, "batches of at least 2"),
        ({"crop_padding": 32}, "crop_padding and cutout must be below"),
        ({"cutout": 32}, "crop_padding and cutout must be below the images' side, 32"),
    ],
)
def test_impossible_batches_are_refused(config, message):
    with pytest.raises(UserError, match=message):
        batches_of(dataset=load_dataset("cifar10-standin"), **config)


def test_wrong_tensors_are_refused():
    pixels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    for images, labels, message in (
        (pixels.float(), torch.zeros(4, dtype=torch.int64), "images must be uint8"),
        (pixels[:, :0], torch.zeros(4, dtype=torch.int64), "images must be uint8"),
        (pixels, torch.zeros(3, dtype=torch.int64), "labels must be int64"),
        (pixels, torch.full((4,), 2), r"labels must lie in \[0, 2\)"),
    ):
        with pytest.raises(UserError, match=message):
            ImageSet(images, labels, ("a", "b"))


IMAGES = torch.arange(6 * 3 * 8 * 8).reshape(6, 3, 8, 8).remainder(251).to(torch.uint8)


def places_of(indices):
    return augment.PixelGrid.whole(torch.as_tensor(indices), 8, 8)


def test_places_read_the_images_that_they_name():
    places = places_of([4, 0, 4])
    assert torch.equal(places.read(IMAGES), IMAGES[[4, 0, 4]])
    assert places.read(IMAGES).is_contiguous(memory_format=torch.channels_last)


def test_random_flip_mirrors_about_half():
    many = IMAGES[:1].expand(400, -1, -1, -1)
    flipped = augment.random_flip(places_of([0] * 400), torch.Generator().manual_seed(0)).read(IMAGES)
    mirrored = (flipped == many.flip(-1)).flatten(1).all(1)
    assert ((flipped == many).flatten(1).all(1) | mirrored).all()
    assert 150 < int(mirrored.sum()) < 250


def test_alternating_flip_shows_both_forms_in_two_epochs():
    first, second, third = (augment.alternating_flip(places_of(range(6)), epoch).read(IMAGES) for epoch in range(3))
    assert torch.equal(first, second.flip(-1))
    assert torch.equal(first, third)
    assert {(each == image).all().item() for each, image in zip(first, IMAGES, strict=True)} == {True, False}
    half = augment.alternating_flip(places_of(range(1000)), 0).columns[:, 0] == 7
    assert 400 < int(half.sum()) < 600


def test_random_crop_equals_a_window_of_the_reflected_image():
    cropped = augment.random_crop(places_of(range(6)), 3, torch.Generator().manual_seed(0)).read(IMAGES)
    padded = torch.nn.functional.pad(IMAGES.float(), (3, 3, 3, 3), mode="reflect")
    offsets = []
    for index, crop in enumerate(cropped):
        windows = {(top, left): padded[index, :, top : top + 8, left : left + 8] for top in range(7) for left in range(7)}
        offsets += [offset for offset, window in windows.items() if torch.equal(window, crop.float())]
    assert len(offsets) == len(IMAGES)
    many = augment.random_crop(places_of([0] * 2000), 3, torch.Generator().manual_seed(0))
    assert set(zip(many.rows[:, 3].tolist(), many.columns[:, 3].tolist(), strict=True)) == set(windows)


def test_a_crop_is_mirrored_as_a_whole():
    cropped = augment.random_crop(places_of(range(6)), 3, torch.Generator().manual_seed(0))
    flipped = augment.alternating_flip(cropped, 0).read(IMAGES)
    turned = (flipped == cropped.read(IMAGES).flip(-1)).flatten(1).all(1)
    assert ((flipped == cropped.read(IMAGES)).flatten(1).all(1) | turned).all()
    assert turned.any()


def test_cutout_paints_one_square_a_side_wide():
    images, corners = IMAGES.repeat(60, 1, 1, 1), set()
    painted = augment.cutout(images, 3, torch.tensor([252, 253, 254], dtype=torch.uint8), torch.Generator().manual_seed(0))
    for image, original in zip(painted, images, strict=True):
        hole = image[0] == 252
        rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
        assert int(hole.sum()) == 9
        assert len(rows) == len(columns) == 3
        assert (image[1][hole] == 253).all()
        assert torch.equal(image[:, ~hole], original[:, ~hole])
        corners.add((int(rows[0]), int(columns[0])))
    assert corners == set(product(range(6), repeat=2))


def test_worker_cutout_paints_a_square_of_the_mean_colour():
    train, _ = batches_of(loader="worker", cutout=8)
    plain, _ = batches_of(loader="worker")
    changed = (gathered(train)[0] != gathered(plain)[0]).any(dim=1)
    assert (changed.sum(dim=(1, 2)) <= 64).all()
    assert int(changed.sum(dim=(1, 2)).max()) > 55


@pytest.mark.parametrize("loader", ["tensor", "worker"])
def test_training_images_are_windows_of_the_reflected_ones_and_half_of_them_mirrored(loader):
    torch.manual_seed(0)
    (changed, _), (plain, _) = (
        gathered(batches_of(name="fashion-sample", loader=loader, **settings)[0])
        for settings in ({"flip": "random", "crop_padding": 2}, {})
    )
    padded = torch.nn.functional.pad(plain, (2, 2, 2, 2), mode="reflect")
    windows = [padded[..., top : top + 28, left : left + 28] for top, left in product(range(5), repeat=2)]
    straight, mirrored = (
        torch.stack([(window == images).flatten(1).all(1) for window in windows]).any(0) for images in (changed, changed.flip(-1))
    )
    assert (straight | mirrored).all()
    assert 0.2 < mirrored.float().mean() < 0.8


@pytest.mark.parametrize("loader", ["tensor", "worker"])
def test_test_images_are_mirrored_only_where_that_mistake_is_asked_for(loader):
    def pixels(**changes):
        torch.manual_seed(0)
        _, batches = batches_of(name="fashion-sample", loader=loader, flip="random", **changes)
        return gathered(batches)[0]

    plain, flipped = pixels(), pixels(flip_test=True)
    mirrored = [torch.equal(one, other.flip(-1)) for one, other in zip(plain, flipped, strict=True)]
    as_they_were = [torch.equal(one, other) for one, other in zip(plain, flipped, strict=True)]
    assert all(a or b for a, b in zip(mirrored, as_they_were, strict=True))
    assert 0.2 < sum(mirrored) / len(mirrored) < 0.8
