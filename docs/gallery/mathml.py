"""Formulas as MathML, made by docutils at build time: browsers draw them."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
# What docutils does not know, by what it does.
SAME = {"Big": "Bigl", "big": "bigl", "dots": "ldots"}


def to_mathml(text: str, block: bool = False) -> str:
    """A formula as MathML.

    Args:
        text: the formula, as LaTeX.
        block: whether it stands on lines of its own.

    Raises:
        MathError: where it cannot be read.
    """
    for name, same in SAME.items():
        text = re.sub(rf"\\{name}(?![A-Za-z])", rf"\\{same}", text)
    if block and "\\\\" in text:
        text = f"\\begin{{aligned}}{text}\\end{{aligned}}"
    return tex2mathml(text, as_block=block)


def _visit(translator, node: nodes.Element, block: bool) -> None:
    text = node.astext()
    try:
        found = to_mathml(text, block)
    except MathError as error:
        logger.warning(
            "a formula cannot be shown: %s: %s", error, text, location=node
        )
        found = translator.encode(text)
    name = "div" if block else "span"
    translator.body.append(f'<{name} class="math">{found}</{name}>')
    raise nodes.SkipNode


def visit_inline(translator, node: nodes.Element) -> None:
    """Writes a formula within a line."""
    _visit(translator, node, block=False)


def visit_block(translator, node: nodes.Element) -> None:
    """Writes a formula on lines of its own."""
    _visit(translator, node, block=True)


def setup(app: Sphinx) -> None:
    """Makes "mathml" known to Sphinx as a way to show formulas."""
    app.add_html_math_renderer(
        "mathml", (visit_inline, None), (visit_block, None)
    )
