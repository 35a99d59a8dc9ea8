"""A recipe as a notebook that stands alone, without a helper package."""

import ast
import re

from kerasrecipes.catalogue import Recipe
from kerasrecipes.excerpts import (
    RUN_ONCE,
    data_files,
    docstring,
    helper_text,
    recipe_helpers,
    run_lines,
    sections,
    setting_lines,
    used_names,
    with_what_they_use,
)


def notebook_cells(
    recipe: Recipe, values: dict | None = None
) -> list[tuple[str, str]]:
    """The cells of a notebook, each "markdown" or "code" with its text.

    Args:
        recipe: the recipe.
        values: settings in place of the recipe's defaults.
    """
    cells = [("markdown", to_markdown(ast.literal_eval(docstring(recipe))))]
    settings = setting_lines(recipe, values)
    cells.append(("code", "\n".join(["# Settings", *settings])))
    files = with_what_they_use(recipe_helpers(recipe))
    for file in data_files(files, used_names(recipe)):
        about = file.with_suffix(".md").read_text(encoding="utf-8")
        cells.append(("markdown", about.strip()))
        figures = file.read_text(encoding="utf-8").strip()
        cells.append(("code", f"%%writefile {file.name}\n{figures}"))
    cells += [("code", helper_text(file, None).strip()) for file in files]
    for section in sections(recipe, None):
        if section.prose:
            lines = [line[2:] for line in section.prose if line[2:4] != "%%"]
            cells.append(("markdown", to_markdown("\n".join(lines))))
        if section.parts:
            cells.append(("code", section.code))
    cells.append(("markdown", "## Each variant once"))
    calls = "\n".join(run_lines(recipe, indent=0))
    cells.append(("code", f"{RUN_ONCE}\n\n\n{calls}"))
    return cells


def json_cells(
    recipe: Recipe, said: str = "", values: dict | None = None
) -> list[dict]:
    """The cells in the form of an .ipynb file.

    Args:
        recipe: the recipe.
        said: what stands below the story in the first cell, in Markdown.
        values: settings in place of the recipe's defaults.
    """
    cells = notebook_cells(recipe, values)
    if said:
        kind, text = cells[0]
        cells[0] = (kind, f"{text}\n\n{said}")
    found = []
    for number, (kind, text) in enumerate(cells):
        cell = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": text.splitlines(keepends=True),
        }
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        found.append(cell)
    return found


def to_markdown(text: str) -> str:
    """A recipe's prose, which is reStructuredText, as Markdown."""
    text = re.sub(r"(?m)^(.+)\n=+$", r"# \1", text.strip())
    text = re.sub(r"(?m)^(.+)\n-+$", r"## \1", text)
    text = re.sub(
        r"(?m)^\.\. math::[ \n]*((?:.+\n?)(?:\n*   .*)*)",
        lambda found: f"$$\n{_dedented(found[1])}\n$$\n\n",
        text,
    )
    text = re.sub(r"\n{3,}", "\n\n", text)
    text = re.sub(r":math:`([^`]*)`", r"$\1$", text)
    text = re.sub(r"`([^`<]+?)\s*<([^`>]+)>`_+", r"[\1](\2)", text)
    return text.replace("``", "`").strip()


def _dedented(lines: str) -> str:
    return "\n".join(line.strip() for line in lines.strip().splitlines())
