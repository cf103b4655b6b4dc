"""Widgets for notebooks and for pages without a kernel: the same script draws both. Needs the extra `book`."""

from fastresnet.widgets.architecture_picker import ArchitecturePicker
from fastresnet.widgets.presets import PUBLISHED, Preset, recorded_presets
from fastresnet.widgets.run_explorer import RunExplorer
from fastresnet.widgets.schedule_explorer import ScheduleExplorer, recorded_losses
from fastresnet.widgets.throughput_explorer import ThroughputExplorer

__all__ = [
    "PUBLISHED",
    "ArchitecturePicker",
    "Preset",
    "RunExplorer",
    "ScheduleExplorer",
    "ThroughputExplorer",
    "recorded_losses",
    "recorded_presets",
]
