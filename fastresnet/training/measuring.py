"""Measurements of a run besides accuracy and time, by their names in `TrainConfig.measure`.

- `weight-norm`: norm of the convolutions' weights after every epoch, in the epoch's record;
- `gradient-norm`: norm of the convolutions' gradients before the first step;
- `channels`: how each layer's channels are distributed before the first step, see `probes.channel_statistics`;
- `eigenvalues`: the largest of the loss's Hessian after the last step, with batch norm in training mode, and frozen;
- `recall`: loss of the trained network on each tenth of its last epoch's images, in the order in which it saw them;
- `test-halves`: accuracies after the last step on two halves of the test images, of every other image each;
- `batch-statistics`: test accuracy with the statistics of each test batch in batch norm, in the epoch's record.

Measuring leaves the network as it was, except for its mode (training or evaluation). A measurement with a value that
is not finite is left out of the record.
"""

import copy
from importlib.util import find_spec
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from fastresnet.config import Measure
from fastresnet.data.batches import ImageBatches
from fastresnet.data.loaders import Batches, has_single
from fastresnet.errors import UserError
from fastresnet.training import probes
from fastresnet.training.evaluation import Score

PROBED_IMAGES = 128
"""Images for gradients, channels and eigenvalues: the first of the training set, neither shuffled nor augmented."""
NUM_EIGENVALUES = 10
NUM_SHARES = 10
"""Number of parts that `recall` divides the last epoch into."""

EPOCH_MEASURES: tuple[Measure, ...] = ("weight-norm", "batch-statistics")
"""Those that stand in the epoch's record, and that `fit` takes, too."""

Measured = dict[str, tuple[float, ...]]


def check_measurable(names: tuple[Measure, ...], test_batches: Batches | None) -> None:
    """Raises UserError if a test batch is a single image, as far as the batches tell, and statistics of batches are wanted."""
    if "batch-statistics" in names and test_batches and has_single(test_batches):
        raise UserError(
            "measure: batch-statistics: the last test batch is a single image, which has none; allowed: another batch size"
        )


def measure_before(names: tuple[Measure, ...], model: nn.Module, batches: ImageBatches) -> Measured:
    """Takes those of the measurements `names` that come before the first step, on the network's device.

    On a processor or a CUDA device, the run goes on as if nothing had been measured. Raises UserError if a package that
    `measure_after` needs is missing."""
    if "eigenvalues" in names and not find_spec("scipy"):
        raise UserError("train.measure: eigenvalues need scipy; get it with: pip install 'fastresnet[book]'")
    measured: Measured = {}
    with torch.random.fork_rng([batches.device] * (batches.device.type == "cuda")):  # dropout draws from the global generator
        if "gradient-norm" in names:
            measured["gradient_norm"] = (_gradient_norm(model, *_probed(batches)),)
        if "channels" in names:
            statistics = probes.channel_statistics(model.train(), batches.first_images(PROBED_IMAGES))
            measured |= {name: tuple(statistics[name]) for name in ("channel_mean", "channel_std", "constant_share")}
    return measured


def measure_after(
    names: tuple[Measure, ...], model: nn.Module, batches: ImageBatches, steps: int, score: Score | None = None
) -> Measured:
    """Takes those of the measurements `names` that come after the last of the run's `steps`. `score` is the last evaluation."""
    measured: Measured = {}
    if "test-halves" in names and score:
        measured["test_halves"] = score.halves
    if "eigenvalues" in names:
        images, labels = _probed(batches)
        for name, training in (("eigenvalues", True), ("eigenvalues_frozen", False)):
            found = probes.leading_eigenvalues(model.train(training), images, labels, NUM_EIGENVALUES)
            measured[name] = tuple(found)
    if "recall" in names:
        measured["recall"] = _losses_by_age(model.eval(), batches, steps)
    return measured


def with_batch_statistics(model: nn.Module) -> nn.Module:
    """A copy of a network whose batch norm uses the statistics of each batch in evaluation, too."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = None
    return model


def _probed(batches: ImageBatches) -> tuple[Tensor, Tensor]:
    images = batches.first_images(PROBED_IMAGES)
    return images, batches.images.labels[: len(images)].to(images.device)


def _gradient_norm(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    model = copy.deepcopy(model).train()  # a forward pass moves batch norm's running statistics
    filters = [weight for weight in model.parameters() if weight.requires_grad and weight.ndim == 4]
    gradients = torch.autograd.grad(functional.cross_entropy(model(images), labels), filters)
    return float(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())


@torch.no_grad()
def _losses_by_age(model: nn.Module, batches: ImageBatches, steps: int) -> tuple[float, ...]:
    epoch, last = divmod(steps - 1, len(batches))
    totals, counts = torch.zeros(NUM_SHARES), torch.zeros(NUM_SHARES)
    for position, (images, labels) in enumerate(islice(batches.epoch(epoch), last + 1)):
        share = position * NUM_SHARES // (last + 1)
        logits = model(images.to(batches.device))
        totals[share] += float(functional.cross_entropy(logits, labels.to(batches.device), reduction="sum"))
        counts[share] += len(labels)
    totals, counts = (batches.group.sum(tensor.to(batches.device)).cpu() for tensor in (totals, counts))
    return tuple((totals / counts)[counts > 0].tolist())  # an epoch of few batches has fewer shares
