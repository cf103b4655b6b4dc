"""A Sphinx extension that boxes the paragraphs on which a chapter rests: claims, findings, verdicts, how to run it.

Such a paragraph opens with a bold lead, as "**The claim to test:**". A notebook, where it is read without the book,
shows the same text without the box.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LEADS = {
    "The original": "original",
    "The claim": "original",
    "The claim to test": "question",
    "The claims to test": "question",
    "A further claim to test": "question",
    "Finding": "finding",
    "Verdict: confirmed": "verdict confirmed",
    "Verdict: not confirmed": "verdict not-confirmed",
    "Verdict: cannot tell": "verdict cannot-tell",
    "Run it again": "rerun",
}
"""How a boxed paragraph begins, and the classes of its box."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the extension with Sphinx."""
    app.connect("doctree-read", _box)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _box(_app: Sphinx, document: nodes.document) -> None:
    for paragraph in document.findall(nodes.paragraph):
        first = next((child for child in paragraph if child.astext()), None)  # MyST puts an empty text before bold
        if isinstance(first, nodes.strong) and (classes := LEADS.get(first.astext().rstrip(".:"))):
            paragraph["classes"] += ["box", *classes.split()]
