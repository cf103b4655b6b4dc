"""A Sphinx extension that puts the key paragraphs of a chapter in boxes: claims, findings, verdicts, how to run it.

Such a paragraph opens with bold text, such as "**The report**", or asks a question and has the answer in bold. A notebook that is
read without the book shows the same text without the box. In the library reference, the extension leaves out types that spell
out validators, and adds the default of each setting. A link such as [Page 2019](references.md#page2019train), which a notebook
shows as well, leads to that entry of the bibliography.
"""

from pydoc import locate
from typing import Any

from docutils import nodes
from pydantic import BaseModel
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

LEADS = {
    "The report": "original",
    "The claim": "original",
    "In short": "finding",
    "Finding": "finding",
    "Run it again": "rerun",
}
"""The bold text that begins a boxed paragraph, and the CSS classes of its box."""
VERDICTS = {
    "Yes": "yes",
    "No": "no",
    "No difference that matters": "no-difference",
    "Cannot tell": "cannot-tell",
    "Points to yes": "yes few",
    "Points to no": "no few",
}
"""The bold text that follows the question of a verdict, and the CSS classes of its box."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the extension with Sphinx."""
    app.connect("doctree-read", _box)
    app.connect("doctree-read", _leave_out_validators)
    app.connect("doctree-read", _say_defaults)
    app.connect("env-updated", _name_references, priority=600)  # after sphinxcontrib-bibtex has collected them
    app.connect("html-page-context", _mend_references)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _box(_app: Sphinx, document: nodes.document) -> None:
    for paragraph in document.findall(nodes.paragraph):
        first = next((child for child in paragraph if child.astext()), None)  # MyST puts an empty text before bold
        bold = next((child.astext().rstrip(".:") for child in paragraph.findall(nodes.strong)), "")
        if isinstance(first, nodes.strong) and bold in LEADS:
            paragraph["classes"] += ["box", *LEADS[bold].split()]
        elif bold in VERDICTS:
            paragraph["classes"] += ["box", "verdict", *VERDICTS[bold].split()]


def _leave_out_validators(_app: Sphinx, document: nodes.document) -> None:
    for annotation in list(document.findall(addnodes.desc_annotation)):
        if "Annotated[" in annotation.astext():
            annotation.parent.remove(annotation)


def _name_references(_app: Sphinx, env: BuildEnvironment) -> None:
    for citation in env.get_domain("cite").citations:
        slugs = env.metadata[citation.bibliography_key.docname].setdefault("myst_slugs", {})
        slugs[citation.key] = (0, citation.citation_id, citation.key)


def _mend_references(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: nodes.document | None) -> None:
    # docutils gives the list and its entries ARIA roles that contradict each other
    context["body"] = context.get("body", "").replace(' role="list" class="citation-list"', ' class="citation-list"')


def _say_defaults(_app: Sphinx, document: nodes.document) -> None:
    for signature in document.findall(addnodes.desc_signature):
        owner, _, attribute = "".join(signature["ids"][:1]).rpartition(".")
        field = getattr(locate(owner), "model_fields", {}).get(attribute)
        if field and not field.is_required() and not isinstance(field.default, BaseModel):
            signature += addnodes.desc_annotation("", f" = {field.get_default(call_default_factory=True)!r}")
