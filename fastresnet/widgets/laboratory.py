"""The laboratory: a widget that trains the schedules of a schedule explorer and plots their curves.

    laboratory = Laboratory(explorer)
    laboratory                     # the last line of a cell shows it
    laboratory.runs[-1].record     # the record of a run that has ended

It trains on the garments that come with the code, in a thread, so that other cells can be run meanwhile.
"""

import html
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets

from fastresnet.config import DataConfig, RunConfig
from fastresnet.config.models import DavidNetConfig, ModelConfig, ResNetConfig, SpeedNetConfig
from fastresnet.config.parsing import parse
from fastresnet.errors import UserError, first_line
from fastresnet.records.atomic import replacing
from fastresnet.widgets.base import Explorer, script
from fastresnet.widgets.laboratory_run import LaboratoryRun
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
_SECONDS_BETWEEN_DRAWINGS = 0.2


class Curves(Explorer):
    """Learning rate, training loss and test accuracy of runs by epoch, and the list of the runs."""

    _esm = script("drawing.js", "fields.js", "plot.js", "laboratory.js")
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
        self.remove = ipywidgets.Button(description="Remove")
        explorer.observe(self._offer, ["schedule", "compared", "presets"])
        self._offer()
        self.schedules.value = ("now",)
        self.train.on_click(lambda _: self._attempt(self._begin))
        self.stop.on_click(lambda _: self._stopping.set())
        self.save.on_click(lambda _: self._attempt(self._save))
        self.remove.on_click(lambda _: self._attempt(self._remove))
        buttons = ipywidgets.HBox([self.train, self.stop])
        saving = ipywidgets.HBox([self.chosen, self.remove, self.file, self.save], layout=ipywidgets.Layout(flex_flow="row wrap"))
        super().__init__([self.schedules, self.network, self.epochs, buttons, self.progress, self.message, self.curves, saving])

    def wait(self, seconds: float | None = None) -> None:
        """Waits until the training thread has ended, at most `seconds`."""
        if self._thread:
            self._thread.join(seconds)

    def _offer(self, _change: Any = None) -> None:
        explorer, chosen = self._explorer, self.schedules.value
        kept = {f"kept {number}": schedule for number, schedule in enumerate(explorer.compared, 1)}
        self._presets = {f"{preset.group}: {preset.name}": preset.schedule for preset in explorer.presets}
        self._offered = {"now": explorer.schedule, **kept, **self._presets}
        own = [(f"explorer, {key}: {_in_words(self._offered[key])}", key) for key in ("now", *kept)]
        self.schedules.options = [*own, *((name, name) for name in self._presets)]
        self.schedules.value = tuple(key for key in chosen if key in self._offered)

    def _attempt(self, action: Callable[[], str]) -> None:
        try:
            self.message.value = html.escape(action())
        except (UserError, OSError) as error:
            self.message.value = f'<b role="alert">{html.escape(first_line(error))}</b>'

    def _begin(self) -> str:
        self._check_idle()
        if not self.schedules.value:
            raise UserError("schedules: choose one at least")
        model = self._networks[self.network.value]
        new = []
        for key in self.schedules.value:
            values = {"epochs": self.epochs.value, "schedule": self._offered[key], "momentum": 0.9}
            config = parse({"data": DATA, "model": model, "train": values}, RunConfig, "laboratory")
            name = key if key in self._presets else ""
            new.append(LaboratoryRun(config, name, self.network.value, self._stopping, self._draw))
        self.runs += new
        self._number()
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

    def _check_idle(self) -> None:
        if self._thread and self._thread.is_alive():
            raise UserError("a run is in progress; stop it first")

    def _number(self) -> None:
        self.chosen.options = [(f"run {number}", run) for number, run in enumerate(self.runs, 1)]
        self.chosen.value = self.runs[-1] if self.runs else None

    def _chosen_run(self) -> LaboratoryRun:
        if self.chosen.value is None:
            raise UserError("there is no run yet; train one first")
        return self.chosen.value

    def _remove(self) -> str:
        self._check_idle()
        self.runs.remove(self._chosen_run())
        self._number()
        self.curves.runs = [run.shown() for run in self.runs]
        return ""

    def _save(self) -> str:
        run, file = self._chosen_run(), Path(self.file.value.strip())
        if file.suffix not in (".yml", ".yaml") or not file.parent.is_dir():
            raise UserError(f"file: {str(file)!r}: must end in .yml or .yaml, in a folder that exists")
        if file.exists():
            raise UserError(f"file: {file} is there already; name another one")
        with replacing(file) as partial:
            partial.write_text(run.config.to_yaml(), encoding="utf-8")
        return f"Saved. It trains the same with: fastresnet train {shlex.quote(str(file))}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The output of a cell: the live widget, and beside it what a page without a kernel says."""
        return {**super()._repr_mimebundle_(**options), "text/html": NEEDS_A_KERNEL}


def _in_words(schedule: Any) -> str:
    values = schedule.model_dump(exclude_defaults=True)
    return f"{schedule.kind} ({', '.join(f'{key} {value}' for key, value in values.items())})"
