"""The picker of architectures: a network's layers, their cost, and the recorded accuracies.

    picker = ArchitecturePicker(open_study("cifar10_accuracy").best_recorded("C13"))
    picker                                                    # the last line of a cell shows it
    config = config.with_changes({"model": picker.model_config.model_dump(mode="json")})

Shapes, parameters and operations are computed in the browser; a test compares them with the network and torch's counter.
"""

from collections.abc import Mapping
from typing import Any

import traitlets

from fastresnet import report
from fastresnet.config.datasets import SPECS, DatasetSpec
from fastresnet.config.models import ResNetConfig
from fastresnet.errors import UserError
from fastresnet.report import verdicts
from fastresnet.study import Results
from fastresnet.widgets.base import ConfigTrait, Explorer, script, to_json


class ArchitecturePicker(Explorer):
    """Shows a ResNet beside the networks of an experiment. `model_config` holds the ResNet that a reader has made.

    `compared` names the variant to compare it with, at first the experiment's first. `published` holds accuracies in [0, 1]
    that others published, by variant. Raises UserError if the variants differ in more than the network, or for a network that
    does not fit their images.
    """

    _esm = script("drawing.js", "network.js", "network_drawing.js", "picker.js")

    model_config = ConfigTrait(ResNetConfig, "ResNetConfig").tag(sync=True, to_json=to_json)
    compared = traitlets.Unicode().tag(sync=True)
    image_side = traitlets.Int().tag(sync=True)
    recorded = traitlets.List(traitlets.Dict()).tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)

    def __init__(self, results: Results, model_config: Any = None, *, published: Mapping[str, float] | None = None) -> None:
        self._spec = _images_of(results)
        first = next(iter(results.experiment.variants.values()))
        super().__init__(
            recorded=_recorded(results, published or {}),
            image_side=first.data.image_size or self._spec.image_size,
            caption=report.provenance(results),
            compared=next(iter(results.records)),
            model_config=first.model if model_config is None else model_config,
        )

    @traitlets.validate("compared")
    def _known_variant(self, proposal: Mapping[str, Any]) -> str:
        names = [each["variant"] for each in self.recorded]
        if proposal["value"] not in names:
            raise UserError(f"compared: no variant {proposal['value']!r}; allowed: {', '.join(names)}")
        return str(proposal["value"])

    @traitlets.validate("model_config")
    def _takes_the_images(self, proposal: Mapping[str, Any]) -> ResNetConfig:
        model: ResNetConfig = proposal["value"]
        for key, wanted in (("in_channels", self._spec.channels), ("num_classes", self._spec.num_classes)):
            if getattr(model, key) != wanted:
                raise UserError(f"model_config: {key}: {self._spec.title} has {wanted}, got {getattr(model, key)}")
        return model


def _images_of(results: Results) -> DatasetSpec:
    """The data set of an experiment whose variants differ in their network alone."""
    name, variants = results.experiment.id, list(results.experiment.variants.values())
    strangers = sorted({config.model.kind for config in variants if not isinstance(config.model, ResNetConfig)})
    if strangers:
        raise UserError(f"{name}: has networks of kind {', '.join(strangers)}; allowed: resnet")
    if any((config.data, config.train) != (variants[0].data, variants[0].train) for config in variants):
        raise UserError(f"{name}: its variants differ in more than the network, so that accuracies say nothing of it")
    if variants[0].data.name not in SPECS:
        raise UserError(f"{name}: the size of the images is not known; allowed are the data sets {', '.join(SPECS)}")
    return SPECS[variants[0].data.name]


def _recorded(results: Results, published: Mapping[str, float]) -> list[dict[str, Any]]:
    """One entry per variant: its network, its runs' accuracies, and the intervals of its differences from other variants."""
    accuracies = {variant: report.values(results, variant, "test_accuracy") for variant in results.records}
    return [
        {
            "variant": variant,
            "model": config.model.model_dump(mode="json"),
            "accuracies": [value for value in accuracies[variant] if value == value],  # NaN: the run diverged
            "differences": {other: verdicts.interval(accuracies[variant], accuracies[other]) for other in accuracies},
            "published": published.get(variant),
        }
        for variant, config in results.experiment.variants.items()
    ]
