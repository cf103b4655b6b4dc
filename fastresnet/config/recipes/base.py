"""Settings that several recipes share, and the changes to them for each kind of device."""

from typing import Any, Literal

from fastresnet.config import DataConfig, MuonConfig, RunConfig, TrainConfig
from fastresnet.config.models import SpeedNetConfig
from fastresnet.config.schedules import Linear

Variant = Literal["cpu", "cpu-bf16", "cpu-amx", "cuda"]
"""Kinds of device: any processor, a processor with native bf16 vectors (AVX512-BF16), a processor with bf16 matrix units (AMX),
an NVIDIA GPU."""

SHORT_RUN = RunConfig(
    data=DataConfig(name="fashion-mnist", test_batch_size=250),
    model=SpeedNetConfig(in_channels=1, norm_momentum=0.3),
    train=TrainConfig(
        schedule=Linear(start_lr=0.23),
        momentum=0.63,
        nesterov=True,
        weight_decay=0.0015,
        bias_lr_factor=150,
        head_lr_factor=0.3,
        muon=MuonConfig(momentum=0.6, iterations=3),
        label_smoothing=0.18,
        evaluate_every=1_000,
    ),
)
"""Settings for runs of a few seconds or minutes. `fastresnet tune` found them for runs of 0.06 epochs, with 5,000 images held
out of FashionMNIST's training set. They are rounded."""

LONG_RUN = RunConfig(
    data=DataConfig(batch_size=250, test_batch_size=250, flip="alternating", crop_padding=2),
    model=SpeedNetConfig(norm_momentum=0.1),
    train=TrainConfig(
        schedule=Linear(start_lr=0.08),
        momentum=0.85,
        nesterov=True,
        weight_decay=0.0063,
        bias_lr_factor=165,
        head_lr_factor=0.2,
        muon=MuonConfig(momentum=0.6, iterations=3),
        label_smoothing=0.2,
        micro_batch=125,
        freeze=((0.4, 1),),
        test_flip=True,
        test_shift=1,
        test_share=0.25,
        evaluate_every=1_000,
    ),
)
"""Settings for runs of several epochs. The learning rates of biases and head and the weight decay come from airbench94 with Muon
(Jordan, 2025), which uses batches of 2,000; they are scaled down with the batch size. Muon's learning rate was chosen with
10,000 images held out of CIFAR-10's training set."""


_ON_A_PROCESSOR: dict[str, dict[str, Any]] = {
    "cpu": {},
    "cpu-bf16": {"train.precision": "bf16"},
    "cpu-amx": {"train.precision": "bf16", "train.matmul_gradients": True},
}
"""Changes to a recipe per kind of processor. Gradients from matrix products are faster with AMX and slower without."""

_ON_A_GPU = {
    "data.test_batch_size": 5000,
    "train.micro_batch": None,
    "train.precision": "bf16",
    "train.cuda_graph": True,
    "train.fused_kernels": True,
}


def recipe_of(base: RunConfig, changes: dict[str, Any], variant: Variant) -> RunConfig:
    """`SHORT_RUN` or `LONG_RUN` with a recipe's changes, for a kind of device.

    A processor computes a batch in micro-batches that stay in its cache; a GPU computes it whole. No variant uses torch.compile:
    image sizes and frozen parts change during a run, and each recompilation takes longer than the run gains.
    """
    return base.with_changes(changes).with_changes(_ON_A_GPU if variant == "cuda" else _ON_A_PROCESSOR[variant])
