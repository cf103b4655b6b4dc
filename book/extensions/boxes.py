"""A Sphinx extension that puts the key paragraphs of a chapter in boxes: claims, findings, verdicts, how to run it.

Such a paragraph opens with bold text, such as "**The claim to test:**". A notebook that is read without the book shows the
same text without the box. The extension also lets figures scroll in a narrow window. In the library reference it leaves out
types that spell out validators, and adds the default of each setting.
"""

from pydoc import locate
from typing import Any

from docutils import nodes
from pydantic import BaseModel
from sphinx import addnodes
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
    "Verdict: points to yes": "verdict confirmed few",
    "Verdict: points to no": "verdict not-confirmed few",
    "Run it again": "rerun",
}
"""The bold text that begins a boxed paragraph, and the CSS classes of its box."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the extension with Sphinx."""
    app.connect("doctree-read", _box)
    app.connect("doctree-read", _let_figures_scroll)
    app.connect("doctree-read", _leave_out_validators)
    app.connect("doctree-read", _say_defaults)
    app.connect("html-page-context", _mend_references)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _box(_app: Sphinx, document: nodes.document) -> None:
    for paragraph in document.findall(nodes.paragraph):
        first = next((child for child in paragraph if child.astext()), None)  # MyST puts an empty text before bold
        if isinstance(first, nodes.strong) and (classes := LEADS.get(first.astext().rstrip(".:"))):
            paragraph["classes"] += ["box", *classes.split()]


def _let_figures_scroll(_app: Sphinx, document: nodes.document) -> None:
    for image in list(document.findall(nodes.image)):
        if image.parent.get("mime_type", "").startswith("image/"):
            # the theme lets a keyboard scroll elements of this class that are wider than the window
            image.replace_self(nodes.container("", image.deepcopy(), classes=["output", "picture"]))


def _leave_out_validators(_app: Sphinx, document: nodes.document) -> None:
    for annotation in list(document.findall(addnodes.desc_annotation)):
        if "Annotated[" in annotation.astext():
            annotation.parent.remove(annotation)


def _mend_references(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: nodes.document | None) -> None:
    # docutils gives the list and its entries ARIA roles that contradict each other
    context["body"] = context.get("body", "").replace(' role="list" class="citation-list"', ' class="citation-list"')


def _say_defaults(_app: Sphinx, document: nodes.document) -> None:
    for signature in document.findall(addnodes.desc_signature):
        owner, _, attribute = "".join(signature["ids"][:1]).rpartition(".")
        field = getattr(locate(owner), "model_fields", {}).get(attribute)
        if field and not field.is_required() and not isinstance(field.default, BaseModel):
            signature += addnodes.desc_annotation("", f" = {field.get_default(call_default_factory=True)!r}")
