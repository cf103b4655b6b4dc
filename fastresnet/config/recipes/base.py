"""What the recipes have in common."""

from typing import Any, Literal

from fastresnet.config import DataConfig, MuonConfig, RunConfig, TrainConfig
from fastresnet.config.models import SpeedNetConfig
from fastresnet.config.schedules import Linear

Variant = Literal["cpu", "cpu-bf16", "cpu-amx", "cuda"]
"""Kinds of device: any processor, one that multiplies vectors of bf16 natively (AVX512-BF16), one that multiplies matrices of
bf16 (AMX), an NVIDIA GPU."""

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
"""Settings for runs of a few seconds or minutes. Found by `fastresnet tune` with 5,000 images held out of FashionMNIST's
training set, for runs of 0.06 epochs; rounded."""

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
"""Settings for runs of several epochs. They began with the rates of airbench94 with Muon (Jordan, 2025), made for batches of
2,000: those of biases and head and the decay were scaled down with the batch; then Muon's learning rate was chosen among 0.24,
0.17, 0.12, 0.08, 0.06 and 0.05 with 10,000 images held out of CIFAR-10's training set (four epochs, one run each)."""


_ON_A_PROCESSOR: dict[str, dict[str, Any]] = {
    "cpu": {},
    "cpu-bf16": {"train.precision": "bf16"},
    "cpu-amx": {"train.precision": "bf16", "train.matmul_gradients": True},
}
"""Gradients from matrix products are faster where the processor has units for them (AMX), and slower where it has not."""

_ON_A_GPU = {
    "data.test_batch_size": 5000,
    "train.micro_batch": None,
    "train.precision": "bf16",
    "train.cuda_graph": True,
    "train.fused_kernels": True,
}


def for_variant(config: RunConfig, variant: Variant) -> RunConfig:
    """What a recipe changes for a kind of device.

    A processor computes a batch in pieces that stay in its cache; a GPU wants it whole. Neither compiles it: the sizes of the
    images and what is frozen change in the course of a run, and what is compiled anew each time costs more than a run gains.
    """
    return config.with_changes(_ON_A_GPU if variant == "cuda" else _ON_A_PROCESSOR[variant])


def short_run(variant: Variant, changes: dict[str, Any]) -> RunConfig:
    """`SHORT_RUN` with changes, for a kind of device."""
    return for_variant(SHORT_RUN.with_changes(changes), variant)


def long_run(variant: Variant, changes: dict[str, Any]) -> RunConfig:
    """`LONG_RUN` with changes, for a kind of device."""
    return for_variant(LONG_RUN.with_changes(changes), variant)
