"""What the widgets have in common: a script of several files, one style, settings that are checked, and a page that is left
without a kernel."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from pydantic import BaseModel

from fastresnet.config.parsing import parse
from fastresnet.errors import UserError
from fastresnet.widgets.static import static_html

_HERE = Path(__file__).parent


def script(*names: str) -> str:
    """One ECMAScript module of several files of this folder."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def to_json(value: Any, _widget: Any = None) -> Any:
    """A trait's models as the mappings that a browser, or a configuration, would hold."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else [to_json(each) for each in value]


class ConfigTrait(traitlets.TraitType[Any, Any]):
    """Holds a frozen model of the library; takes one, or the mapping that a configuration would hold."""

    def __init__(self, model: type[BaseModel], what: str) -> None:
        super().__init__()
        self.model, self.info_text = model, f"a {what} or its mapping"

    def validate(self, obj: Any, value: Any) -> Any:
        """The model. Raises UserError naming what is wrong with it and what is allowed."""
        values = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        if not isinstance(values, Mapping):
            raise UserError(f"{self.name}: expected {self.info_text}, got {value!r}")
        return self.check(values, self.name or "value")

    def check(self, values: Mapping[str, Any], where: str) -> Any:
        """The model of some values. Raises UserError, naming `where`, if they make none."""
        return parse(values, self.model, where)


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
