"""The laboratory: the schedules of an explorer and others, trained on the spot.

    laboratory = Laboratory(explorer)
    laboratory                     # the last line of a cell shows it
    laboratory.runs[-1].record     # the record of a run that has ended

It trains on the garments that come with the code, in a thread, so that other cells can be run meanwhile.
"""

import html
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets
from torch import Tensor

import fastresnet
from fastresnet.config import DataConfig, RunConfig
from fastresnet.config.models import DavidNetConfig, ModelConfig, ResNetConfig, SpeedNetConfig
from fastresnet.config.parsing import parse
from fastresnet.errors import UserError, first_line
from fastresnet.records.atomic import replacing
from fastresnet.records.record import EpochRecord, RunRecord
from fastresnet.training.progress import TakenStep, Watcher
from fastresnet.widgets.base import Explorer, script
from fastresnet.widgets.schedule_explorer import ScheduleExplorer

DATA = DataConfig(name="fashion-sample", batch_size=64)
NETWORKS: dict[str, ModelConfig] = {
    "ResNet-10, 8 to 64 channels": ResNetConfig(depth=10, channels=(8, 16, 32, 64), in_channels=1),
    "ResNet-18, 16 to 128 channels": ResNetConfig(channels=(16, 32, 64, 128), in_channels=1),
    "DAVIDnet, 16 to 128 channels": DavidNetConfig(widths=(16, 32, 64, 128), in_channels=1),
    "Speed net, 16 to 64 channels": SpeedNetConfig(widths=(16, 64, 64), in_channels=1),
}
NEEDS_A_KERNEL = (
    "<p>The laboratory trains networks, which a page cannot do: it needs JupyterLab. "
    "<code>make lab</code> opens this page there.</p>"
)
_MOST_POINTS = 300
_SECONDS_BETWEEN_DRAWINGS = 0.2


class Stopped(Exception):
    """Ends a run that somebody has stopped."""


class LaboratoryRun(Watcher):
    """A run: its configuration, and the curves of what it has trained so far, as pairs of epoch and value."""

    def __init__(
        self, config: RunConfig, network: str, stop: threading.Event, changed: Callable[["LaboratoryRun"], None]
    ) -> None:
        self.config, self.network, self._stop, self._changed = config, network, stop, changed
        self.state, self.steps, self.share_done = "waiting", 0, 0.0
        self.record: RunRecord | None = None
        self.rates: list[tuple[float, float]] = []
        self.losses: list[tuple[float, float]] = []
        self.accuracies: list[tuple[float, float]] = []
        self._sum: float | Tensor = 0.0
        self._summed = 0

    def train(self) -> None:
        """Trains, until the end or until it is stopped. What goes wrong is told by `state`, in one line."""
        self.state = "training"
        try:
            self.record = fastresnet.train(self.config, watch=self).record
            self.state = self.record.outcome.reason or self.record.outcome.status
        except Stopped:
            self.state = f"stopped after {self.steps} steps"
        except Exception as error:  # shown in the list of runs; in a thread, nobody would see it
            self.state = f"failed: {first_line(error)}"

    def step_done(self, step: TakenStep) -> None:
        """Notes the rate, and the mean loss since it was last noted."""
        if self._stop.is_set():
            raise Stopped
        self.steps, self.share_done = step.number, step.number / step.total
        self._sum, self._summed = self._sum + step.loss, self._summed + 1
        if step.number % math.ceil(step.total / _MOST_POINTS) == 0 or step.number == step.total:
            epoch, loss = self.share_done * self.config.train.epochs, float(self._sum) / self._summed
            self.rates.append((epoch, step.lr))
            if math.isfinite(loss):  # JSON knows no other numbers
                self.losses.append((epoch, loss))
            self._sum, self._summed = 0.0, 0
        self._changed(self)

    def epoch_done(self, epoch: EpochRecord) -> None:
        """Notes the accuracy."""
        if epoch.test_accuracy is not None:
            self.accuracies.append((min(epoch.epoch, self.config.train.epochs), epoch.test_accuracy))

    def shown(self) -> dict[str, Any]:
        """What the curves and the list show of it."""
        curves = {"rates": [*self.rates], "losses": [*self.losses], "accuracies": [*self.accuracies]}
        train = self.config.train
        schedule = train.schedule.model_dump(mode="json")
        return {"schedule": schedule, "network": self.network, "epochs": train.epochs, "state": self.state, **curves}


class Curves(Explorer):
    """Learning rate, training loss and test accuracy of runs by epoch, and the list of the runs."""

    _esm = script("drawing.js", "curves.js", "fields.js", "plot.js", "laboratory.js")
    runs = traitlets.List(traitlets.Dict()).tag(sync=True)


class Laboratory(ipywidgets.VBox):
    """Trains schedules that an explorer holds or offers. `runs` holds all runs so far, `networks` what can be trained."""

    def __init__(self, explorer: ScheduleExplorer, networks: Mapping[str, ModelConfig] = NETWORKS) -> None:
        self.runs: list[LaboratoryRun] = []
        self._explorer, self._networks = explorer, networks
        self._stopping, self._drawn_at = threading.Event(), 0.0
        self._thread: threading.Thread | None = None
        wide = ipywidgets.Layout(width="auto")
        named = {"style": {"description_width": "6rem"}, "layout": wide}
        self.schedules = ipywidgets.SelectMultiple(description="Schedules", rows=8, **named)
        self.network = ipywidgets.Dropdown(options=list(networks), description="Network", **named)
        self.epochs = ipywidgets.FloatText(3, description="Epochs", **named)
        self.train = ipywidgets.Button(description="Train", button_style="primary")
        self.stop = ipywidgets.Button(description="Stop", disabled=True)
        self.progress = ipywidgets.FloatProgress(max=1, layout=wide)
        self.message = ipywidgets.HTML()
        self.curves = Curves()
        self.chosen = ipywidgets.Dropdown(description="Run", **named)
        self.file = ipywidgets.Text("run.yml", description="File", **named)
        self.save = ipywidgets.Button(description="Save as YAML")
        explorer.observe(self._offer, ["schedule", "compared", "presets"])
        self._offer()
        self.schedules.value = ("now",)
        self.train.on_click(lambda _: self._attempt(self._begin))
        self.stop.on_click(lambda _: self._stopping.set())
        self.save.on_click(lambda _: self._attempt(self._save))
        buttons = ipywidgets.HBox([self.train, self.stop])
        saving = ipywidgets.HBox([self.chosen, self.file, self.save], layout=ipywidgets.Layout(flex_flow="row wrap"))
        super().__init__([self.schedules, self.network, self.epochs, buttons, self.progress, self.message, self.curves, saving])

    def wait(self, seconds: float | None = None) -> None:
        """Waits until nothing is trained any more, or for so long."""
        if self._thread:
            self._thread.join(seconds)

    def _offer(self, _change: Any = None) -> None:
        explorer, chosen = self._explorer, self.schedules.value
        kept = {f"kept {number}": schedule for number, schedule in enumerate(explorer.compared, 1)}
        presets = {f"{preset.group}: {preset.name}": preset.schedule for preset in explorer.presets}
        self._offered = {"now": explorer.schedule, **kept, **presets}
        own = [(f"explorer, {key}: {_in_words(self._offered[key])}", key) for key in ("now", *kept)]
        self.schedules.options = [*own, *((name, name) for name in presets)]
        self.schedules.value = tuple(key for key in chosen if key in self._offered)

    def _attempt(self, action: Callable[[], str]) -> None:
        try:
            self.message.value = html.escape(action())
        except (UserError, OSError) as error:
            self.message.value = f'<b role="alert">{html.escape(first_line(error))}</b>'

    def _begin(self) -> str:
        if self._thread and self._thread.is_alive():
            raise UserError("train: a run is in progress; stop it first")
        if not self.schedules.value:
            raise UserError("schedules: choose one at least")
        model = self._networks[self.network.value]
        new = []
        for key in self.schedules.value:
            values = {"epochs": self.epochs.value, "schedule": self._offered[key], "momentum": 0.9}
            config = parse({"data": DATA, "model": model, "train": values}, RunConfig, "laboratory")
            new.append(LaboratoryRun(config, self.network.value, self._stopping, self._draw))
        self.runs += new
        self.chosen.options = [(f"run {number}", number) for number in range(1, len(self.runs) + 1)]
        self.chosen.value = len(self.runs)
        self._stopping.clear()
        self.train.disabled, self.stop.disabled = True, False
        self._thread = threading.Thread(target=self._work, args=(new,), daemon=True)
        self._thread.start()
        return ""

    def _work(self, runs: list[LaboratoryRun]) -> None:
        for number, run in enumerate(runs, 1):
            self.progress.description = f"{number} of {len(runs)}"
            if self._stopping.is_set():
                run.state = "not begun"
            else:
                run.train()
            self._draw(run, at_once=True)
        self.train.disabled, self.stop.disabled = False, True

    def _draw(self, run: LaboratoryRun, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._drawn_at > _SECONDS_BETWEEN_DRAWINGS:
            self.curves.runs = [each.shown() for each in self.runs]
            self.progress.value = run.share_done
            self._drawn_at = time.monotonic()

    def _save(self) -> str:
        if self.chosen.value is None:
            raise UserError("save: there is no run yet; train one first")
        file = Path(self.file.value.strip())
        if file.suffix not in (".yml", ".yaml"):
            raise UserError(f"file: {str(file)!r}: must end in .yml or .yaml")
        if file.exists():
            raise UserError(f"file: {file} is there already; name another one")
        with replacing(file) as partial:
            partial.write_text(self.runs[self.chosen.value - 1].config.to_yaml(), encoding="utf-8")
        return f"Saved. It trains the same with: fastresnet train {file}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The output of a cell: the live widget, and beside it what a page without a kernel says."""
        return {**super()._repr_mimebundle_(**options), "text/html": NEEDS_A_KERNEL}


def _in_words(schedule: Any) -> str:
    values = schedule.model_dump(exclude_defaults=True)
    return f"{schedule.kind} ({', '.join(f'{key} {value}' for key, value in values.items())})"
