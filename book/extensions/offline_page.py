"""A Sphinx extension that keeps the book's pages to themselves: no request leaves for another host.

sphinx-thebe puts the address of a script host on every page, whether or not anything on it is live. The book has no
live code cells, so its two handlers are taken out.
"""

from typing import Any

from sphinx.application import Sphinx

_THEBE_HANDLERS = ("init_thebe_core", "update_thebe_context")


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the extension with Sphinx."""
    # the handlers can only be taken out once every extension has put its own in
    app.connect("config-inited", _disconnect_thebe)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _disconnect_thebe(app: Sphinx, _config: Any) -> None:
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if getattr(listener.handler, "__name__", "") in _THEBE_HANDLERS:
                app.disconnect(listener.id)
