"""Widgets for notebooks and for pages without a kernel: the same script draws both. Needs the extra `book`."""

from fastresnet.widgets.schedule_explorer import ScheduleExplorer

__all__ = ["ScheduleExplorer"]
