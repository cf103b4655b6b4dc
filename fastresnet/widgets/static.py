"""A widget on a page without a kernel: its script, its style and its state in one piece of HTML that fetches nothing."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_PAGE = """<div data-widget="{key}"></div>
<style>{style}</style>
<script type="module">
{script}
const state = {state};
const listeners = {{}};
const model = {{
  isPage: true,
  get: (key) => state[key],
  set(key, value) {{
    state[key] = value;
    for (const listener of listeners[`change:${{key}}`] ?? []) listener();
  }},
  on: (event, listener) => (listeners[event] ??= []).push(listener),
  off: (event, listener) => (listeners[event] = (listeners[event] ?? []).filter((each) => each !== listener)),
  save_changes() {{}},
}};
render({{ model, el: document.querySelector('[data-widget="{key}"]:empty') }});
</script>"""


def static_html(script: str, style: str, state: Mapping[str, Any]) -> str:
    """A widget as HTML: `script` is an ECMAScript module with a function `render`, `state` the initial values of its model."""
    # "</" would end the script, and "<!--" would change how the rest of it is parsed
    values = json.dumps(state, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    key = hashlib.sha256((script + values).encode()).hexdigest()[:12]
    return _PAGE.format(key=key, style=style, script=script.replace("</", "<\\/"), state=values)
