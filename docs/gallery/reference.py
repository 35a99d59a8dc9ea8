"""Reference of the helpers: a page for each public name."""

import ast
from dataclasses import dataclass
from pathlib import Path

from gallery.docstrings import docstring_rest
from gallery.entries import Entry, imported_names
from gallery.markup import code, heading, indented, page_link, toctree
from kerasrecipes import catalogue, copying
from kerasrecipes.catalogue import PACKAGE, bound_names, syntax_tree

ROOMS = {
    "layers": "Layers",
    "cells": "Recurrent cells",
    "losses": "Losses",
    "metrics": "Metrics",
    "callbacks": "Callbacks",
    "analysis": "Analysis of trained models",
    "datasets": "Data sets",
    "experiment": "For writing a recipe: trials, claims, reports",
    "plotting": "For writing a recipe: figures",
}


@dataclass(frozen=True)
class Helper:
    """A public name and where it is defined.

    Args:
        name: the name.
        room: the part of kerasrecipes that it is imported from.
        path: the file that defines it.
        node: the statement that defines it.
    """

    name: str
    room: str
    path: Path
    node: ast.stmt

    @property
    def docstring(self) -> str:
        """Its docstring, or the comment or text beside a constant."""
        if isinstance(self.node, ast.FunctionDef | ast.ClassDef):
            return ast.get_docstring(self.node) or ""
        body = syntax_tree(self.path).body
        after = body[body.index(self.node) + 1 :]
        if after and catalogue.is_docstring(after[0]):
            return after[0].value.value
        return ""

    @property
    def first_line(self) -> str:
        """The docstring's first sentence."""
        return self.docstring.partition("\n\n")[0].replace("\n", " ")


def helpers() -> list[Helper]:
    """Every public helper, by room and name."""
    found = []
    for room in rooms():
        package = PACKAGE / room
        if not package.is_dir():
            path = package.with_suffix(".py")
            names = {
                node.name: path
                for node in syntax_tree(path).body
                if isinstance(node, ast.FunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
            }
        else:
            names = exported(package)
        for name, path in sorted(names.items()):
            node = definition(path, name)
            found.append(Helper(name, room, path, node))
    return found


def rooms() -> list[str]:
    """The rooms that have pages, those with a place in `ROOMS` first."""
    there = [path.parent.name for path in sorted(PACKAGE.glob("*/__init__.py"))]
    known = [room for room in ROOMS if room in there or room == "plotting"]
    return known + [room for room in there if room not in ROOMS]


def exported(package: Path) -> dict[str, Path]:
    """File of every name that a package imports for its users."""
    found = {}
    for node in syntax_tree(package / "__init__.py").body:
        if isinstance(node, ast.ImportFrom) and node.module:
            path = PACKAGE.joinpath(*node.module.split(".")[1:])
            for name in bound_names(node):
                found[name] = path.with_suffix(".py")
    return found


def definition(path: Path, name: str) -> ast.stmt:
    """The statement of a file that gives a name its meaning."""
    return next(
        node
        for node in syntax_tree(path).body
        if name in bound_names(node)
        and not isinstance(node, ast.Import | ast.ImportFrom)
    )


# Signatures


def signature(node: ast.stmt, name: str) -> str:
    """How a class or function is called, on lines of 80 characters."""
    function = node
    if isinstance(node, ast.ClassDef):
        found = [one for one in node.body if bound_names(one) == {"__init__"}]
        if not found:
            return f"{name}({', '.join(_fields(node))})"
        function = found[0]
    words = [word for word in arguments(function.args) if word != "self"]
    line = f"{name}({', '.join(words)})"
    if len(line) > 80:
        body = "".join(f"    {word},\n" for word in words)
        line = f"{name}(\n{body})"
    return line.replace("'", '"')


def _fields(node: ast.ClassDef) -> list[str]:
    """The arguments of a data class."""
    return [
        _argument(ast.arg(ast.unparse(one.target)), one.value)
        for one in node.body
        if isinstance(one, ast.AnnAssign)
    ]


def arguments(given: ast.arguments) -> list[str]:
    """The arguments of a function with their defaults, each as a text."""
    plain = [*given.posonlyargs, *given.args]
    missing = len(plain) - len(given.defaults)
    defaults = [None] * missing + given.defaults
    words = list(map(_argument, plain, defaults))
    if given.vararg:
        words.append(f"*{given.vararg.arg}")
    elif given.kwonlyargs:
        words.append("*")
    words += list(map(_argument, given.kwonlyargs, given.kw_defaults))
    if given.kwarg:
        words.append(f"**{given.kwarg.arg}")
    return words


def _argument(argument: ast.arg, default: ast.expr | None = None) -> str:
    text = argument.arg
    if default is not None:
        text += f"={ast.unparse(default)}"
    return text


# Pages


def used_by(helper: Helper, entries: list[Entry]) -> list[Entry]:
    """The recipes that import a helper by its name."""
    return [e for e in entries if helper.name in imported_names(e.recipe.path)]


def used_within(helper: Helper, entries: list[Entry]) -> list[Entry]:
    """The recipes whose other helpers use the file of this one."""
    direct = used_by(helper, entries)
    return [
        entry
        for entry in entries
        if entry not in direct
        and helper.path in catalogue.helper_files(entry.recipe.path)
        and helper.name in catalogue.symbols(entry.recipe.path)
    ]


def helper_page(helper: Helper, entries: list[Entry]) -> str:
    """The page of a helper, as reStructuredText."""
    lines = [f"from kerasrecipes.{helper.room} import {helper.name}"]
    if isinstance(helper.node, ast.FunctionDef | ast.ClassDef):
        lines += ["", signature(helper.node, helper.name)]
    else:
        lines += ["", ast.unparse(helper.node)]
    parts = [heading(helper.name, "="), code("\n".join(lines))]
    parts.append(docstring_rest(helper.docstring))
    parts += methods(helper)
    parts.append(uses(helper, entries))
    if helper.name in copying.helper_names():
        parts += [
            heading("Take it away"),
            code(f"kerasrecipes copy {helper.name} --to myproject", "console"),
        ]
    return "\n".join(parts)


def methods(helper: Helper) -> list[str]:
    """The methods of a class that have docstrings."""
    found = []
    for node in getattr(helper.node, "body", []):
        if not isinstance(helper.node, ast.ClassDef):
            continue
        text = isinstance(node, ast.FunctionDef) and ast.get_docstring(node)
        if not text or node.name.startswith("_"):
            continue
        decorators = [ast.unparse(one) for one in node.decorator_list]
        call = node.name
        if "property" not in decorators:
            call = signature(node, node.name)
        found.append(heading(node.name))
        found.append(code(call))
        found.append(docstring_rest(text))
    return found


def uses(helper: Helper, entries: list[Entry]) -> str:
    """Links to the recipes that use a helper."""
    lines = [
        f"- {page_link(entry.recipe.title, entry.page)}"
        for entry in used_by(helper, entries)
    ]
    lines += [
        f"- {page_link(entry.recipe.title, entry.page)}, through another helper"
        for entry in used_within(helper, entries)
    ]
    body = "\n".join(lines) or "None yet."
    return f"{heading('Recipes that use it')}\n{body}\n"


def contents(found: list[Helper]) -> str:
    """The reference's first page: every helper with its first sentence."""
    parts = []
    for room in rooms():
        names = [helper for helper in found if helper.room == room]
        parts.append(heading(ROOMS.get(room, room.capitalize())))
        for helper in names:
            line = docstring_rest(helper.first_line).strip()
            link = page_link(helper.name, f"helpers/{helper.name}")
            parts.append(f"{link}\n{indented(line or 'A constant.')}\n")
        caption = ROOMS.get(room, room.capitalize()).partition(":")[0]
        parts.append(toctree(caption, [helper.name for helper in names]))
    return "\n".join(parts)
