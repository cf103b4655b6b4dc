"""Recipes for FashionMNIST."""

from fastresnet.config import RunConfig
from fastresnet.recipes.base import Variant, short_run


def fashion_80(variant: Variant) -> RunConfig:
    """80 % on FashionMNIST: the original report's target, which it reached in 16.44 s on an RTX 2060.

    cpu: 81.10 ± 0.60 % (n = 10) after 0.91 ± 0.14 s of training and 0.57 ± 0.04 s of evaluation, 0.0497 TFLOP;
        AMD EPYC (AVX512), 2 threads, torch 2.13.0+cpu.
    gpu: not measured yet.
    """
    return short_run(variant, {"model.widths": [16, 32, 32], "train.epochs": 0.05, "data.batch_size": 100})


def fashion_89(variant: Variant) -> RunConfig:
    """88.65 % on FashionMNIST: where the original report's ten epochs ended, after 80.2 s on an RTX 2060.

    cpu: 88.79 ± 0.30 % (n = 10) after 3.97 ± 0.19 s of training and 0.62 ± 0.06 s of evaluation, 0.298 TFLOP; AMD
        EPYC (AVX512), 2 threads, torch 2.13.0+cpu.
    gpu: not measured yet.
    """
    return short_run(variant, {"model.widths": [16, 32, 32], "train.epochs": 0.3, "data.batch_size": 100})


def fashion_90(variant: Variant) -> RunConfig:
    """90 % on FashionMNIST.

    cpu: 90.37 ± 0.20 % (n = 10) after 10.16 ± 0.77 s of training and 0.96 ± 0.08 s of evaluation, 1 TFLOP; AMD
        EPYC (AVX512), 2 threads, torch 2.13.0+cpu.
    gpu: not measured yet.
    """
    return short_run(variant, {"model.widths": [24, 48, 48], "train.epochs": 0.5, "data.batch_size": 100})


def fashion_93(variant: Variant) -> RunConfig:
    """93 % on FashionMNIST.

    cpu: 93.01 ± 0.06 % (n = 3) after 97 ± 7 s of training and 6 ± 0 s of evaluation, 15.4 TFLOP; AMD EPYC
        (AVX512), 2 threads, torch 2.13.0+cpu.
    gpu: not measured yet.
    """
    changes = {
        "model.widths": [32, 128, 128],
        "train.epochs": 2,
        "data.batch_size": 250,
        "data.flip": "alternating",
        "train.micro_batch": 125,
        "train.test_flip": True,
        "train.test_shift": 1,
        "train.test_share": 0.25,
    }
    return short_run(variant, changes)
