"""What the widgets have in common: a script of several files, one style, and a page that is left without a kernel."""

from pathlib import Path
from typing import Any

import anywidget

from fastresnet.widgets.static import static_html

_HERE = Path(__file__).parent


def script(*names: str) -> str:
    """One ECMAScript module of several files of this folder."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


class Explorer(anywidget.AnyWidget):
    """A widget that a saved notebook and a page show as well, without a kernel."""

    _css = (_HERE / "widgets.css").read_text(encoding="utf-8")

    def static_html(self) -> str:
        """The widget as it stands, for a page without a kernel."""
        own = [name for name in self.trait_names(sync=True) if name not in anywidget.AnyWidget.class_trait_names()]
        state = self.get_state([name for name in own if not name.startswith("_")])
        return static_html(str(self._esm), str(self._css), state)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """What a live notebook shows, and beside it the page that is left once the kernel is gone."""
        bundle, metadata = super()._repr_mimebundle_(**options)  # type: ignore[misc]  # None is for a widget without a view
        return {**bundle, "text/html": self.static_html()}, metadata
