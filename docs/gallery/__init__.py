"""Makes the gallery's pages from the recipes, their results and the helpers.

Sphinx reads what this writes below `docs/`; git does not keep it.
"""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

from gallery import (
    benchmarks,
    evidence,
    ledger,
    mathml,
    overview,
    reference,
)
from gallery.entries import Entry, downloads, gather
from gallery.markup import heading
from gallery.recipe_pages import recipe_page
from kerasrecipes.files import write_file

logger = logging.getLogger(__name__)
# Folders below docs/ that hold nothing but what is written here.
WRITTEN = ("generated", "helpers", "recipes")


def pages(entries: list[Entry]) -> dict[str, str]:
    """Every page that is written, and the parts that other pages include.

    Args:
        entries: the recipes.

    Returns:
        Texts by the names of their files, from the root of docs/.
    """
    found = reference.helpers()
    texts = {
        "generated/totals.rst": overview.totals(entries),
        "generated/questions.rst": overview.questions(entries),
        "generated/expectation.rst": ledger.expectation(entries),
        "generated/ledger.rst": ledger.ledger(entries),
        "generated/benchmarks.rst": benchmarks.benchmarks(),
        "recipes/index.rst": "\n".join(
            [
                heading("Recipes", "="),
                overview.cards(entries),
                overview.all_pages(entries),
            ]
        ),
        "helpers/index.rst": "\n".join(
            [heading("Helpers", "="), reference.contents(found)]
        ),
    }
    texts |= {f"{entry.page}.rst": recipe_page(entry) for entry in entries}
    texts |= {
        f"helpers/{one.name}.rst": reference.helper_page(one, entries)
        for one in found
    }
    return texts


def write_pages(folder: Path, entries: list[Entry]) -> None:
    """Writes what has changed, and deletes what is no longer made.

    Args:
        folder: where docs/ is.
        entries: the recipes.
    """
    files: dict[Path, bytes] = {}
    for entry in entries:
        for name, content in downloads(entry.recipe):
            path = folder / "generated/downloads" / name
            entry.downloads.append(path)
            files[path] = content
    for name, text in pages(entries).items():
        files[folder / name] = text.encode()
    for path, content in files.items():
        # Sphinx makes a page anew where its file is newer.
        if not path.exists() or path.read_bytes() != content:
            write_file(path, content)
    for name in WRITTEN:
        for path in (folder / name).rglob("*"):
            if path.is_file() and path not in files:
                path.unlink()


def make(app: Sphinx) -> None:
    """Writes the pages before Sphinx looks for them."""
    entries = gather()
    memory = Path(app.doctreedir, "evidence.json")
    for fault in evidence.find_faults(entries, memory):
        logger.warning("%s", fault)
    write_pages(Path(app.srcdir), entries)


def setup(app: Sphinx) -> dict:
    """Connects the gallery with Sphinx."""
    mathml.setup(app)
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
