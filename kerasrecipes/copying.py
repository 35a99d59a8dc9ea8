"""Writes recipes and helpers into somebody's project."""

import ast
import difflib
import hashlib
import importlib.metadata
import json
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kerasrecipes.catalogue import (
    BACKENDS,
    PACKAGE,
    RECIPES,
    Recipe,
    bound_names,
    find_recipe,
    imported_helpers,
    recipe_paths,
    syntax_tree,
)
from kerasrecipes.excerpts import (
    data_files,
    helper_text,
    import_line,
    packages,
    recipe_helpers,
    recipe_text,
    used_names,
    with_what_they_use,
)
from kerasrecipes.files import cannot_write, check_writable, write_file
from kerasrecipes.notebooks import json_cells, notebook_cells
from kerasrecipes.options import UsageError

LICENCE = "MIT-0: do with it what you like."
INIT = "# Helpers that were copied from kerasrecipes; each says what it is.\n"
HASH = "SHA-256 of what follows, its first half"


@dataclass(frozen=True)
class Copy:
    """A file to be written.

    Args:
        path: its place below the folder that is copied to.
        content: its text.
    """

    path: Path
    content: str


# What is there to copy


def helper_names() -> dict[str, Path]:
    """File of every name that a room of helpers exports."""
    return {
        name: path
        for room in sorted(PACKAGE.glob("*/__init__.py"))
        if room.parent.name != "experiment"
        for node in syntax_tree(room).body
        for path in imported_helpers([node])
        for name in sorted(bound_names(node))
    }


def find(name: str) -> Recipe | Path:
    """The recipe, or the file of the helper, that has a name.

    Args:
        name: a topic, chapter/topic, or what a room exports.

    Raises:
        UsageError: where there is none.
    """
    helpers = helper_names()
    if name in helpers:
        return helpers[name]
    paths = recipe_paths()
    topics = [path.partition("/")[2] for path in paths]
    if name in paths or name in topics:
        return find_recipe(name)
    close = difflib.get_close_matches(name, [*topics, *paths, *helpers], 1, 0.5)
    hint = f"Did you mean {close[0]}?" if close else "See `list`."
    raise UsageError(f"There is no recipe or helper named {name!r}. {hint}")


# Files and their stamps


def stamped(body: str, source: Path, lines: Iterable[str] = ()) -> str:
    """A text below comment lines that say where it is from.

    Args:
        body: the text.
        source: the file that it is made of.
        lines: what else there is to say.
    """
    said = [*origin(source), *lines, f"{HASH}: {content_hash(body)}"]
    lines = "\n".join(said).splitlines()
    return "".join(f"# {line}\n" for line in lines) + f"\n{body}"


def origin(source: Path) -> list[str]:
    """Version, file and licence of what is copied."""
    version = importlib.metadata.version("kerasrecipes")
    house = RECIPES if RECIPES in source.parents else PACKAGE
    place = Path(house.name, source.relative_to(house))
    return [
        f"Copied from kerasrecipes {version}:",
        place.as_posix(),
        f"Licence: {LICENCE}",
    ]


def content_hash(body: str) -> str:
    """The first half of a text's SHA-256."""
    return hashlib.sha256(body.encode()).hexdigest()[:32]


def without_stamp(path: Path, text: str) -> tuple[str, str | None]:
    """Splits a copied file into what was copied and the hash in its stamp.

    Of a notebook the cells count, and not what running them has added.
    """
    if path.suffix != ".ipynb":
        found = re.match(rf"(?:# .*\n)*?# {HASH}: (\w+)\n\n", text)
        return (text[found.end() :], found[1]) if found else (text, None)
    try:
        notebook = json.loads(text)
        cells = [
            f"# %% [{cell['cell_type']}]\n{''.join(cell['source'])}\n"
            for cell in notebook["cells"]
        ]
        found = notebook["metadata"].get("kerasrecipes", {}).get("sha256")
    except (ValueError, LookupError, TypeError, AttributeError):
        return text, None
    return "\n".join(cells), found


def recipe_copies(recipe: Recipe, package: str) -> list[Copy]:
    """A recipe and its helpers, as files to be written."""
    files = recipe_helpers(recipe)
    below = helper_copies(files, package, used_names(recipe))
    body = recipe_text(recipe, package)
    needs = packages(
        [body, *(copy.content for copy in below if copy.path.suffix == ".py")]
    )
    lines = [
        needed([name for name in needs if name != package], recipe.backends),
        f"What is new: kerasrecipes copy {recipe.topic} --diff",
    ]
    content = stamped(body, recipe.path, lines)
    return [Copy(Path(f"{recipe.topic}.py"), content), *below]


def needed(names: list[str], backends: Iterable[str]) -> str:
    """A line that says what must be installed."""
    if "keras" in names:
        names = [*names, f"one of {', '.join(backends)}"]
    return f"Needs: {', '.join(names) or 'Python alone'}"


def helper_copies(
    files: Iterable[Path], package: str, used: set[str]
) -> list[Copy]:
    """Helpers, what they import and the data they read, as files.

    Args:
        files: the helpers' files.
        package: folder that they go to.
        used: the names that are wanted of them.
    """
    files = with_what_they_use(files)
    made = [Copy(Path(package, "__init__.py"), INIT)] if files else []
    for file in files:
        body = helper_text(file)
        lines = [needed(packages([body]), BACKENDS)]
        registered = [
            node.name
            for node in syntax_tree(file).body
            if isinstance(node, ast.ClassDef)
            and any("register" in ast.unparse(d) for d in node.decorator_list)
        ]
        if registered:
            names = [ast.alias(name) for name in registered]
            lines += [
                "Before a saved model is loaded:",
                import_line(f"{package}.{file.stem}", names, width=78),
            ]
        content = stamped(body, file, lines)
        made.append(Copy(Path(package, file.name), content))
    for file in data_files(files, used):
        for one in (file, file.with_suffix(".md")):
            content = one.read_text(encoding="utf-8")
            made.append(Copy(Path(package, one.name), content))
    return made


def notebook_copy(recipe: Recipe) -> Copy:
    """A recipe as a notebook that stands alone."""
    path = Path(f"{recipe.topic}.ipynb")
    texts = [text for kind, text in notebook_cells(recipe) if kind == "code"]
    needs = packages(text for text in texts if not text.startswith("%%"))
    lines = [*origin(recipe.path), needed(needs, recipe.backends)]
    notebook = {
        "cells": json_cells(recipe, "  \n".join(lines)),
        "metadata": {
            "kernelspec": {
                "name": "python3",
                "display_name": "Python 3",
                "language": "python",
            },
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    body, _ = without_stamp(path, json.dumps(notebook))
    notebook["metadata"]["kerasrecipes"] = {"sha256": content_hash(body)}
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    return Copy(path, f"{text}\n")


# Writing


def plan(names: Iterable[str], package: str, notebook: bool) -> list[Copy]:
    """All files that are to be written, each once.

    Args:
        names: see `find`.
        package: name of the helpers' folder.
        notebook: whether a recipe becomes a notebook that stands alone.

    Raises:
        UsageError: where a name is unknown or `package` cannot be one.
    """
    if not package.isidentifier() or keyword.iskeyword(package):
        raise UsageError(
            "Expected --helpers to be a name that Python can import. "
            f"Received: {package}"
        )
    found: dict[Path, Copy] = {}
    for name in names:
        thing = find(name)
        if isinstance(thing, Recipe):
            made = (
                [notebook_copy(thing)]
                if notebook
                else recipe_copies(thing, package)
            )
        elif notebook:
            raise UsageError(f"Only recipes become notebooks. Received: {name}")
        else:
            made = helper_copies([thing], package, {name})
        found |= {copy.path: copy for copy in made}
    if Path(f"{package}.py") in found:
        raise UsageError(
            "Expected --helpers to be another name than the recipe's. "
            f"Received: {package}"
        )
    return list(found.values())


def state(copy: Copy, folder: Path) -> str:
    """How a file in the folder compares with what would be written.

    Returns:
        "new" where there is none, "up to date", "older form" where nobody has
        changed it since it was copied, "changed since it was copied", or
        "not a copy".

    Raises:
        UsageError: where it cannot be read.
    """
    path = folder / copy.path
    if not path.exists():
        return "new"
    body, stamp = without_stamp(path, read(path))
    # A package may hold more than our helpers.
    is_package = path.name == "__init__.py"
    if is_package or body == without_stamp(copy.path, copy.content)[0]:
        return "up to date"
    if stamp is None:
        return "not a copy"
    unchanged = stamp == content_hash(body)
    return "older form" if unchanged else "changed since it was copied"


def read(path: Path) -> str:
    """The text of somebody's file.

    Raises:
        UsageError: where it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def check_places(planned: Iterable[Copy], folder: Path) -> None:
    """Makes sure that all files can lie within the folder.

    Raises:
        UsageError: where that is not so.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Expected --to to be a folder. Received: {folder}")
    home = folder.resolve()
    for copy in planned:
        path = folder / copy.path
        if not path.resolve().is_relative_to(home):
            raise UsageError(f"{path} leads out of {folder}.")
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is in the way.")
        if path.parent.exists() and not path.parent.is_dir():
            raise UsageError(f"{path.parent} is in the way.")


def write_copies(planned: list[Copy], folder: Path, force: bool) -> None:
    """Writes all files, or none.

    Args:
        planned: the files.
        folder: where to.
        force: overwrites files that differ.

    Raises:
        UsageError: where a file differs, or cannot be written.
    """
    check_places(planned, folder)
    states = {copy.path: state(copy, folder) for copy in planned}
    differ = [
        f"{folder / path} ({said})"
        for path, said in states.items()
        if said not in ("new", "up to date")
    ]
    if differ and not force:
        raise UsageError(
            f"Nothing was written, as these differ: {', '.join(differ)}. "
            "Look with --diff, overwrite with --force."
        )
    for place in {(folder / copy.path).parent for copy in planned}:
        check_writable(place)
    changing = [one for one in planned if states[one.path] != "up to date"]
    try:
        for copy in changing:
            write_file(folder / copy.path, copy.content.encode())
    except OSError as error:
        raise cannot_write(folder, error) from None


def difference(copy: Copy, folder: Path) -> str:
    """Unified difference from the file in the folder to the newest form."""
    path = folder / copy.path
    if state(copy, folder) in ("new", "up to date"):
        return ""
    old = without_stamp(path, read(path))[0]
    new = without_stamp(copy.path, copy.content)[0]
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), str(path), "newest", lineterm=""
    )
    return "\n".join(lines)
