"""Configuration of a run's images. Does not import torch."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from fastresnet.config.base import INCREASING, Settings
from fastresnet.config.datasets import SPECS

GIVEN = "given"
"""Name for a data set that the caller passes in."""
ImageSize = Annotated[int, Field(ge=8)]


class PruneConfig(Settings):
    """Configuration of soft pruning, which skips easy images at random (after InfoBatch, Qin et al., 2024).

    An image is easy if its last loss is below the mean loss.

    Unlike InfoBatch, it does not increase the weight of the easy images that it keeps. An epoch still has the usual number of
    images: after a pass that skips easy images, another pass begins, in which hard images come again. The epoch's training loss
    and accuracy count them each time. A loop of your own has to report the losses to `note_losses` of the training batches.

    >>> fr.DataConfig(prune=fr.PruneConfig(skip=0.3)).prune
    PruneConfig(skip=0.3, start=1)
    """

    skip: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability that a pass over the training images skips an easy image."""
    start: PositiveInt = 1
    """Number of epochs before the first that skips images, since their losses must be known."""


class DataConfig(Settings):
    """Configuration of the images: data set, subsets, loader, batches and augmentation.

    Augmentations act on images of the original size, before `image_size` resizes them.

    >>> data = fr.DataConfig(name="cifar10", batch_size=512, flip="random", crop_padding=4)
    >>> fr.RunConfig(data=data).data.batch_size
    512
    """

    name: str = "cifar10"
    """Data set: a name of `fastresnet data list`, `folder:PATH` (with train/CLASS/*.png and test/CLASS/*.png; see "Pictures of
    your own" in the book) or `tensors:PATH.npz`, or `given` for a data set that the caller of `train` passes in."""
    train_images: PositiveInt | None = None
    """Size of a stratified subset of the training images; None takes all."""
    test_images: PositiveInt | None = None
    """Size of a stratified subset of the test images; None takes all."""
    validation_images: NonNegativeInt = 0
    """Number of training images that are held out and evaluated on instead of the test set, for tuning."""
    image_size: ImageSize | None = None
    """Side in pixels after a bilinear resize; None keeps the original size. Pictures of a folder that differ in size are resized
    when they are read."""
    size_curriculum: Annotated[tuple[tuple[NonNegativeFloat, ImageSize], ...], INCREASING] = ()
    """Pairs (epoch, side): from that epoch on, which may be fractional, training images have that side. `tensor` only."""
    batch_size: PositiveInt = 128
    """Images per optimiser step. The last batch of an epoch has those that are left; one image alone is left out."""
    test_batch_size: PositiveInt = 500
    """Images per forward pass of an evaluation. What is asked of each test batch depends on it: `test_share`, and the
    measurements `test-halves` and `batch-statistics`."""
    loader: Literal["tensor", "worker"] = "tensor"
    """`tensor` keeps the whole set on the device and augments whole batches; `worker` is a DataLoader for single images."""
    num_workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Worker processes of the `worker` loader; 0 loads in the training process."""
    flip: Literal["none", "random", "alternating"] = "none"
    """How training images are mirrored. `alternating` mirrors each in every other epoch (Jordan, 2024); `tensor` loader only."""
    crop_padding: NonNegativeInt = 0
    """Pixels of reflection padding on each side before a random crop to the original size."""
    cutout: NonNegativeInt = 0
    """Side in pixels of a random square set to the mean colour."""
    prune: PruneConfig | None = None
    """Pruning of easy images; None trains on every image once per epoch."""
    flip_test: bool = False
    """Whether test images are mirrored at random, too: a mistake of the original report, kept to show its effect."""

    @model_validator(mode="after")
    def _possible(self) -> "DataConfig":
        if self.name not in (*SPECS, GIVEN) and not self.name.startswith(("folder:", "tensors:")):
            raise ValueError(f"name: no data set {self.name!r}; allowed: {', '.join(SPECS)}, folder:PATH, tensors:PATH.npz")
        if self.loader == "worker" and self.flip == "alternating":
            raise ValueError("flip: 'alternating' needs loader 'tensor'; with 'worker' allowed: none, random")
        if self.loader == "tensor" and self.num_workers:
            raise ValueError("num_workers: loader 'tensor' has no workers; allowed: 0, or loader 'worker'")
        if self.loader == "worker" and self.size_curriculum:
            raise ValueError("size_curriculum: needs loader 'tensor'")
        if spec := SPECS.get(self.name):
            there = {
                "validation_images": spec.num_train - 1,
                "train_images": spec.num_train - self.validation_images,
                "test_images": self.validation_images or spec.num_test,
            }
            for key, most in there.items():
                if (asked := getattr(self, key)) and asked > most:
                    raise ValueError(f"{key}: asked for {asked} images; allowed: at most {most} of {self.name}")
        return self
