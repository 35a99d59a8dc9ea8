"""The page of a recipe: what was found, then the file as an article."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from sphinx_gallery.gen_rst import rst_blocks
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

from gallery.entries import ENGINES, Entry
from gallery.findings import chips, findings, other_backends
from gallery.markup import (
    code,
    count_words,
    escape,
    heading,
    html_table,
    page_link,
    raw,
)
from kerasrecipes.catalogue import Recipe, syntax_tree


def article(entry: Entry) -> str:
    """The recipe's file behind its docstring, as prose and code in turn.

    What the recorded run printed follows the code that prints it.
    """
    settings, (_, *blocks) = split_code_and_text_blocks(entry.recipe.path)
    printed = [
        f"{tables(entry)}\n{other_backends(entry)}\n"
        if block.type == "code" and re.search(r"(?m)^def main\(", block.content)
        else ""
        for block in blocks
    ]
    return rst_blocks(blocks, printed, settings, {"line_numbers": False})


# Beside the article


def tables(entry: Entry) -> str:
    """The tables that the recorded run printed."""
    if not entry.recorded:
        return ""
    parts = [
        heading("What the recorded run printed"),
        "Means over the seeds, ± their standard deviation.\n",
    ]
    parts += [raw(html_table(rows)) for rows in entry.recorded["tables"]]
    return "\n".join(parts)


def recording(entry: Entry) -> str:
    """What the results were recorded with, and how long it took."""
    parts = [heading("How it was recorded")]
    for backend, results in entry.results.items():
        versions = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
        settings = ", ".join(f"{k} {v}" for k, v in results["settings"].items())
        parts.append(
            f"- {ENGINES[backend]}: {results['seconds']:,.0f} seconds on "
            f"{results['cores']} cores of {results['processor']}, with "
            f"{escape(settings) or 'no settings'}. Versions: "
            f"{escape(versions)}. In all: {count_words(results['claims'])}."
        )
    return "\n".join(parts) + "\n" if entry.results else ""


def take_away(entry: Entry) -> str:
    """The commands and the downloads."""
    topic = entry.recipe.topic
    lines = [
        f"kerasrecipes run {topic}             # trains; see --quick, --full",
        f"kerasrecipes run {topic} --recorded  # replays what this page says",
        f"kerasrecipes copy {topic} --to myproject",
    ]
    files = "\n".join(
        f"- :download:`{path.name} </generated/downloads/{path.name}>`: "
        f"{about(path, entry.downloads)}"
        for path in entry.downloads
    )
    return (
        f"{heading('Run it, take it away')}\n"
        f"{code(chr(10).join(lines), 'console')}\n{files}\n"
    )


def about(path: Path, files: list[Path]) -> str:
    """What a download is, in words.

    Args:
        path: its file.
        files: all downloads of the recipe.
    """
    if path.suffix == ".ipynb":
        return "one notebook that stands alone."
    if path.suffix == ".zip":
        return "the recipe and the helpers that it uses, as files of your own."
    if any(one.suffix == ".zip" for one in files):
        return "the recipe alone; the helpers it imports are in the archive."
    return "the recipe as a file of your own."


def read_on(entry: Entry) -> str:
    """Links to other recipes, to helpers, to papers; the notes cited."""
    found: dict[str, list[str]] = {
        "Read before": [recipe_link(one) for one in entry.before],
        "Read after": [recipe_link(one) for one in entry.after],
        "Helpers used": [
            page_link(name, f"helpers/{name}") for name in entry.helpers
        ],
        "Papers": [*papers(entry.recipe)],
        "From the notes": [
            f"{escape(title)}: {escape(part)}"
            for title, part in entry.recipe.notes
        ],
    }
    parts = [heading("Read on")]
    for name, items in found.items():
        if items:
            body = "\n".join(f"- {item}" for item in items)
            parts.append(f".. rubric:: {name}\n\n{body}\n")
    return "\n".join(parts)


def recipe_link(recipe: Recipe) -> str:
    """A link to a recipe's page."""
    return page_link(recipe.title, f"recipes/{recipe.name}")


def papers(recipe: Recipe) -> Iterator[str]:
    """The papers of a recipe as links."""
    for paper in re.split(r";\s+", recipe.fields.get("papers", "")):
        name, _, address = paper.rpartition(", ")
        if name:
            yield f"`{name} <{address}>`__"


def recipe_page(entry: Entry) -> str:
    """The page of a recipe, as reStructuredText."""
    recipe = entry.recipe
    story = ast.get_docstring(syntax_tree(recipe.path), clean=False)
    story = re.split(r"(?m)^:\w+: ", "\n".join(story.strip().split("\n")[2:]))
    parts = [
        heading(recipe.title, "="),
        f".. rst-class:: question\n\n{escape(recipe.question)}\n",
        raw(chips(recipe)),
        findings(entry),
        f"{story[0].strip()}\n",
        article(entry),
        recording(entry),
        take_away(entry),
        read_on(entry),
    ]
    return "\n".join(part for part in parts if part)
