"""Answers of the chapter on "How to train your ResNet": what each claim came to, with verdicts, figure and tables."""

from functools import partial

from fastresnet.chapters import myrtle_first_posts as first
from fastresnet.chapters import myrtle_last_posts as last
from fastresnet.report.answers import Questions, own

QUESTIONS: Questions = {
    "M1a": (first.norms_repeated, "M1a-time"),
    "M1b": (first.loaders,),
    "M2a": (first.larger_batch,),
    "M2b": (first.forgetting,),
    "M2b-half": (own(first.worth_of_images),),
    "M2c": (first.best_rate,),
    "M3a": (first.half_precision,),
    "M3b": (first.cutout,),
    "M4a": (first.backbones, "M4a-norm"),
    "M4b": (first.kernels,),
    "M4c": (first.pools,),
    "M4d": (first.branches,),
    "M5a": (last.products, "M5a-momentum"),
    "M5b": (last.tuning,),
    "M6a": (last.gradient_scales,),
    "M6b": (last.equilibria,),
    "M7a": (last.constants,),
    "M7b": (last.stable_rates,),
    "M7c": (last.curvatures,),
    "M7d": (last.price_of_norm,),
    "M8a": (last.augmentation,),
    "M8b": (last.pool_first, "M8b-time"),
    "M8c": (partial(last.trick, published="64 s became 59 s"),),
    "M8d": (partial(last.trick, published="59 s became 52 s"),),
    "M8e": (partial(last.trick, published="52 s became 46 s"),),
    "M8f": (own(partial(last.trick, published="46 s became 43 s")),),
    "M8g": (partial(last.trick, published="43 s became 36 s"),),
    "M8h": (own(partial(last.trick, published="36 s became 33.5 s", paired=True)),),
    "M8i": (last.flip_averaging,),
    "M0": (last.ladder,),
}
