"""Base of the widgets: a script of several files, one style, checked settings, and HTML for pages without a kernel."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from pydantic import BaseModel

from fastresnet.config.parsing import parse
from fastresnet.errors import UserError

FEWEST_TEST_IMAGES = 1000
"""Test images below which no accuracy is shown. At this number, the standard deviation near one half is 1.6 points."""
_HERE = Path(__file__).parent
_PAGE = """<div data-widget="{key}"></div>
<noscript>An explorer stands here; it needs JavaScript.</noscript>
<style>{style}</style>
<script type="module">
{script}
const state = {state};
const listeners = {{}};
// what a reader has chosen outlives a reload, and the way back from another page; a browser may forbid it
const kept = "fastresnet {key} " + location.pathname;
const link = () => (location.hash.includes("=") ? location.hash : ""); // others lead to a heading
let chosen = {{}};
let restored = false;
try {{
  const before = JSON.parse(sessionStorage.getItem(kept));
  const linked = link() && performance.getEntriesByType("navigation")[0]?.type === "navigate";
  if (before?.hash === link() && !linked) {{
    chosen = before.chosen;
    restored = true;
  }}
}} catch {{}}
Object.assign(state, chosen);
addEventListener("pagehide", () => {{
  try {{
    sessionStorage.setItem(kept, JSON.stringify({{ hash: link(), chosen }}));
  }} catch {{}}
}});
const model = {{
  isPage: true,
  restored,
  get: (key) => state[key],
  set(key, value) {{
    state[key] = chosen[key] = value;
    for (const listener of listeners[`change:${{key}}`] ?? []) listener();
  }},
  on: (event, listener) => (listeners[event] ??= []).push(listener),
  off() {{}},
  save_changes() {{}},
}};
render({{ model, el: document.querySelector('[data-widget="{key}"]:empty') }});
</script>"""


def script(*names: str) -> str:
    """Joins several files of this folder into one ECMAScript module."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def to_json(value: Any, _widget: Any = None) -> Any:
    """A pydantic model, or a list of models, as mappings of plain JSON values."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else [to_json(each) for each in value]


class ConfigTrait(traitlets.TraitType[Any, Any]):
    """A trait that holds a frozen model of the library. It accepts a model, or the mapping that a configuration would hold."""

    def __init__(self, model: type[BaseModel], what: str) -> None:
        super().__init__()
        self.model, self.info_text = model, f"a {what} or its mapping"

    def validate(self, obj: Any, value: Any) -> Any:
        """Returns the checked model. Raises UserError that names what is wrong with it and what is allowed."""
        values = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        if not isinstance(values, Mapping):
            raise UserError(f"{self.name}: expected {self.info_text}, got {value!r}")
        return self.check(values, self.name or "value")

    def check(self, values: Mapping[str, Any], where: str) -> Any:
        """Builds the model from `values`. Raises UserError, naming `where`, for values that are not allowed."""
        return parse(values, self.model, where)


class Explorer(anywidget.AnyWidget):
    """A widget that also works without a kernel, in a saved notebook and on a page."""

    _css = (_HERE / "widgets.css").read_text(encoding="utf-8")

    def static_html(self) -> str:
        """The widget in its current state, as HTML for a page without a kernel."""
        own = [name for name in self.trait_names(sync=True) if name not in anywidget.AnyWidget.class_trait_names()]
        state = self.get_state([name for name in own if not name.startswith("_")])
        # "</" would end the script, and "<!--" would change how the rest of it is parsed
        values = json.dumps(state, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        key = hashlib.sha256((str(self._esm) + values).encode()).hexdigest()[:12]
        return _PAGE.format(key=key, style=self._css, script=str(self._esm).replace("</", "<\\/"), state=values)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The output of a cell: the live widget, and beside it the HTML that remains once the kernel is gone."""
        bundle, metadata = super()._repr_mimebundle_(**options)  # type: ignore[misc]  # None is for a widget without a view
        return {**bundle, "text/html": self.static_html()}, metadata
