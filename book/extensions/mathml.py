"""A Sphinx extension that writes formulas as MathML, which browsers render without scripts or fonts to load."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the extension with Sphinx."""
    app.add_html_math_renderer("mathml", (_write_inline, None), (_write_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _write_inline(writer: HTML5Translator, formula: nodes.math) -> None:
    writer.body.append(convert(formula.astext()))
    raise nodes.SkipNode


def _write_block(writer: HTML5Translator, formula: nodes.math_block) -> None:
    writer.body.append(convert(formula.astext(), display="block"))
    raise nodes.SkipNode
