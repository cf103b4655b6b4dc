"""A Sphinx extension that keeps the book's pages from sending requests to other hosts.

sphinx-thebe puts the address of a script host on every page, even without live code cells. The book has none, so the two
handlers of sphinx-thebe are removed.
"""

from typing import Any

from sphinx.application import Sphinx

_THEBE_HANDLERS = ("init_thebe_core", "update_thebe_context")


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the extension with Sphinx."""
    # handlers can only be removed once every extension has registered its own
    app.connect("config-inited", _disconnect_thebe)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _disconnect_thebe(app: Sphinx, _config: Any) -> None:
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if getattr(listener.handler, "__name__", "") in _THEBE_HANDLERS:
                app.disconnect(listener.id)
