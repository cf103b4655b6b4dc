"""The explorer of learning-rate schedules.

    explorer = ScheduleExplorer(OneCycle(max_lr=0.1), epochs=10, steps_per_epoch=32)
    explorer                                                  # the last line of a cell shows it
    config = config.with_changes({"train.schedule": explorer.schedule})

The curves are computed in the browser; a test compares them with `fastresnet.config.schedules`, step by step.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets

from fastresnet.config.base import LARGEST_COUNT, Frozen
from fastresnet.config.parsing import parse
from fastresnet.config.schedules import OneCycle, Schedule
from fastresnet.errors import UserError
from fastresnet.study import Results
from fastresnet.widgets.base import ConfigTrait, Explorer, script, to_json
from fastresnet.widgets.presets import Preset


class _Holder(Frozen):
    schedule: Schedule


class ScheduleTrait(ConfigTrait):
    """A trait that holds a schedule of the library, of any kind."""

    def __init__(self) -> None:
        super().__init__(_Holder, "schedule")

    def check(self, values: Mapping[str, Any], where: str) -> Any:
        """Builds the schedule from `values`. Raises UserError, naming `where`, for values that are not allowed."""
        # a browser writes 1e10 without a point
        floats = {key: float(each) for key, each in values.items() if type(each) is int and each > LARGEST_COUNT}
        return parse({"schedule": {**values, **floats}}, _Holder, where).schedule


class ScheduleExplorer(Explorer):
    """Draws and compares schedules. `schedule` holds the one that a reader has made, a model of `fastresnet.config.schedules`.

    `epochs` and `steps_per_epoch` are the run's. `losses` holds training losses by epoch, each curve under a name; a plateau
    watches the curve `loss_curve`. `presets` can be chosen; the accuracies that they led to are shown beside them. Raises
    UserError for a faulty schedule, traitlets.TraitError for other faulty values.
    """

    _esm = script("drawing.js", "curves.js", "fields.js", "plot.js", "explorer.js")

    schedule = ScheduleTrait().tag(sync=True, to_json=to_json)
    compared = traitlets.List(ScheduleTrait(), maxlen=5).tag(sync=True, to_json=to_json)
    epochs = traitlets.Int(10, min=1, max=500).tag(sync=True)
    steps_per_epoch = traitlets.Int(100, min=1, max=1000).tag(sync=True)
    losses = traitlets.Dict(value_trait=traitlets.List(traitlets.Float()), key_trait=traitlets.Unicode()).tag(sync=True)
    presets = traitlets.List(ConfigTrait(Preset, "preset")).tag(sync=True, to_json=to_json)
    loss_curve = traitlets.Unicode("").tag(sync=True)
    axis = traitlets.Enum(("step", "epoch"), "step").tag(sync=True)
    scale = traitlets.Enum(("linear", "log"), "linear").tag(sync=True)
    _names = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        schedule: Any = None,
        *,
        compared: Sequence[Any] = (),
        losses: Mapping[str, Sequence[float]] | None = None,
        presets: Sequence[Preset] = (),
        **state: Any,
    ) -> None:
        curves = {name: list(values) for name, values in (losses or {}).items()}
        first = {"loss_curve": next(iter(curves))} if curves else {}
        held = {"compared": list(compared), "losses": curves, "presets": list(presets)}
        shown = OneCycle(max_lr=0.1) if schedule is None else schedule
        super().__init__(schedule=shown, **{**held, **first, **state})

    @traitlets.validate("losses")
    def _finite(self, proposal: Mapping[str, Any]) -> dict[str, list[float]]:
        for name, curve in proposal["value"].items():
            if not all(map(math.isfinite, curve)):
                raise UserError(f"losses: {name!r}: must be finite numbers, got {curve}")
        return dict(proposal["value"])

    @traitlets.observe("losses")
    def _keep_to_a_known_curve(self, _change: Mapping[str, Any]) -> None:
        if self.loss_curve not in self.losses:
            self.loss_curve = next(iter(self.losses), "")

    @traitlets.validate("loss_curve")
    def _known_curve(self, proposal: Mapping[str, Any]) -> str:
        if proposal["value"] not in ("", *self.losses):
            raise UserError(f"loss_curve: no curve {proposal['value']!r}; allowed: {', '.join(self.losses)}")
        return proposal["value"]


def recorded_losses(results: Results) -> dict[str, list[float]]:
    """Training losses by epoch, by variant, of an experiment's first seed; a plateau schedule can watch them."""
    return {
        variant: [epoch.train_loss for epoch in first.epochs if epoch.train_loss is not None]
        for variant, (first, *_) in results.records.items()
    }
