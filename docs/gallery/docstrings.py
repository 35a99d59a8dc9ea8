"""Docstrings in Keras' manner, which are Markdown, as reStructuredText."""

import re
import textwrap
from collections.abc import Iterator

from gallery.markup import code, escape, indented

SECTIONS = (
    "Args",
    "Call arguments",
    "Example",
    "Examples",
    "Input shape",
    "Output shape",
    "Raises",
    "Reference",
    "References",
    "Returns",
    "Yields",
)
# Sections that are lists of `name: description`.
LISTS = ("Args", "Call arguments", "Raises")
# What is left alone, or changed as a whole, within a paragraph.
INLINE = re.compile(
    r"(?P<role>:\w+:`[^`]*`)"
    r"|(?P<literal>``[^`]+``)"
    r"|`(?P<code>[^`]+)`"
    r"|\[(?P<text>[^\]]+)\]\(\s*(?P<address>[^)\s]+)\s*\)"
    r"|(?P<strong>(?<![\w*])\*\*?[^\s*][^*\n]*\*\*?(?![\w*]))"
)


def sections(docstring: str) -> Iterator[tuple[str, str]]:
    """Splits a docstring at its headings.

    Args:
        docstring: the text, without the indentation of its code.

    Yields:
        The heading and what stands below it; first the text above all
        headings, whose heading is "".
    """
    names = "|".join(SECTIONS)
    parts = re.split(rf"(?m)^({names}):[ ]*$", docstring)
    yield "", parts[0].strip()
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        yield name, textwrap.dedent(text.strip("\n")).strip()


def entries(text: str) -> Iterator[tuple[str, str]]:
    """The items of a section such as `Args:`.

    Args:
        text: the section.

    Yields:
        Name and description of each; a name of "" where a line has none.
    """
    found: list[list[str]] = []
    for line in text.splitlines():
        begins = re.match(r"([*\w.`, ]+?): (.*)", line)
        if begins and not line.startswith(" "):
            found.append([begins[1], begins[2]])
        elif found:
            found[-1][1] += f"\n{line}"
        else:
            found.append(["", line])
    for name, description in found:
        first, _, rest = description.partition("\n")
        yield name, f"{first}\n{textwrap.dedent(rest)}".strip()


def inline(text: str) -> str:
    """A paragraph of Markdown as reStructuredText."""
    parts, end = [], 0
    for found in INLINE.finditer(text):
        parts.append(escape(text[end : found.start()]))
        end = found.end()
        if found["code"]:
            parts.append(f"``{' '.join(found['code'].split())}``")
        elif found["text"]:
            words = re.sub(r"\s+", " ", found["text"]).replace("`", "")
            parts.append(f"`{words} <{found['address']}>`__")
        else:
            parts.append(found[0])
    parts.append(escape(text[end:]))
    return "".join(parts)


def to_rest(text: str) -> str:
    """Paragraphs, lists, formulas and code of Markdown as reStructuredText."""
    parts = []
    blocks = r"(?ms)^```(\w*)\n(.*?)^```[ ]*$"
    for number, part in enumerate(re.split(blocks, text)):
        if number % 3 == 0:
            parts += map(_paragraph, re.split(r"\n\s*\n", part.strip("\n")))
        elif number % 3 == 2:
            parts.append(code(textwrap.dedent(part)))
    return "\n\n".join(part.rstrip() for part in parts if part.strip())


def _paragraph(text: str) -> str:
    if text.lstrip().startswith(".. "):
        return _directive(text)
    # A list may follow its introduction at once, in Markdown.
    text = re.sub(r"(?m)^(?![ ]*- )(.*\S)\n(?=- )", r"\1\n\n", text)
    return inline(text)


def _directive(text: str) -> str:
    """A formula, with one indentation for all of its lines."""
    first, *rest = text.splitlines()
    depth = len(first) - len(first.lstrip())
    body = textwrap.dedent("\n".join(rest))
    return f"{first}\n{indented(body, depth + 3)}" if rest else first


def docstring_rest(docstring: str) -> str:
    """A whole docstring as reStructuredText."""
    parts = []
    for name, text in sections(docstring):
        if name:
            parts.append(f".. rubric:: {name}")
        if name in LISTS:
            for item, description in entries(text):
                body = to_rest(description)
                if item:
                    parts.append(f"``{item}``\n{indented(body)}")
                else:
                    parts.append(body)
        else:
            parts.append(to_rest(text))
    return "\n\n".join(part for part in parts if part) + "\n"
