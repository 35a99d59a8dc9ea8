"""What is known of each recipe, gathered once for all pages."""

import ast
import io
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kerasrecipes import catalogue, copying
from kerasrecipes.catalogue import Recipe, bound_names, syntax_tree

ENGINES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
HELPERS_FOLDER = "recipe_helpers"  # as in `kerasrecipes copy`
NO_DATE = (1980, 1, 1, 0, 0, 0)  # the same files give the same archive


@dataclass
class Entry:
    """A recipe with all that its page shows.

    Args:
        recipe: the recipe.
        results: its recorded results by backend; TensorFlow's come first.
        figures: files of the recorded figures.
        helpers: names of the public helpers that it imports.
        symbols: names that it uses of Keras, of other packages and of ours.
        before: the recipes to be read before it.
        after: the recipes that want this one to be read before.
        downloads: files that a reader can take away.
    """

    recipe: Recipe
    results: dict[str, dict] = field(default_factory=dict)
    figures: list[Path] = field(default_factory=list)
    helpers: list[str] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    before: list[Recipe] = field(default_factory=list)
    after: list[Recipe] = field(default_factory=list)
    downloads: list[Path] = field(default_factory=list)

    @property
    def page(self) -> str:
        """Name of the recipe's page."""
        return f"recipes/{self.recipe.name}"

    @property
    def recorded(self) -> dict | None:
        """The results on TensorFlow, or else on the first other backend."""
        return next(iter(self.results.values()), None)

    @property
    def claims(self) -> list[dict]:
        """The recorded claims."""
        return self.recorded["claims"] if self.recorded else []


def gather() -> list[Entry]:
    """Every recipe with its results, in the book's order."""
    recipes = {one.name: one for one in catalogue.all_recipes()}
    public = copying.helper_names()
    return [
        Entry(
            recipe,
            results=recorded(recipe),
            figures=figures(recipe),
            helpers=sorted(imported_names(recipe.path) & public.keys()),
            symbols=used_symbols(recipe.path),
            before=[recipes[one] for one in named_before(recipe)],
            after=[
                one
                for one in recipes.values()
                if recipe.name in named_before(one)
            ],
        )
        for recipe in recipes.values()
    ]


def recorded(recipe: Recipe) -> dict[str, dict]:
    """A recipe's recorded results by backend."""
    found = {
        backend: catalogue.load_results(recipe, backend)
        for backend in catalogue.BACKENDS
    }
    return {name: results for name, results in found.items() if results}


def figures(recipe: Recipe) -> list[Path]:
    """Files of the figures that were recorded, in their order."""
    folder, topic = recipe.results().parent, recipe.topic
    first = folder / f"{topic}.png"
    found = [first] if first.exists() else []
    return found + sorted(folder.glob(f"{topic}_[0-9].png"))


def named_before(recipe: Recipe) -> list[str]:
    """Names of the recipes that are to be read before this one."""
    names = recipe.fields.get("before", "").split(",")
    return [name.strip() for name in names if name.strip()]


def imported_names(path: Path) -> set[str]:
    """Names that a file imports from our rooms of helpers."""
    return {
        alias.name
        for node in syntax_tree(path).body
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("kerasrecipes.")
        for alias in node.names
    }


def used_symbols(path: Path) -> list[str]:
    """What a recipe and its helpers use of other packages and of ours.

    Unlike `catalogue.symbols` it leaves out names of the file's own.
    """
    found: set[str] = set()
    for file in [path, *catalogue.helper_files(path)]:
        nodes = [*ast.walk(syntax_tree(file))]
        imports = [
            node
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            and package_of(node) not in sys.stdlib_module_names
        ]
        roots = set().union(*map(bound_names, imports))
        for node in imports:
            if isinstance(node, ast.ImportFrom):
                found.update(alias.name for alias in node.names)
        for node in nodes:
            root = node
            while isinstance(root, ast.Attribute):
                root = root.value
            is_ours = isinstance(root, ast.Name) and root.id in roots
            if is_ours and isinstance(node, ast.Attribute):
                found.add(node.attr)
    return sorted(found, key=str.casefold)


def package_of(node: ast.Import | ast.ImportFrom) -> str:
    """The package that an import statement begins with."""
    name = getattr(node, "module", None) or node.names[0].name
    return name.partition(".")[0]


def downloads(recipe: Recipe) -> Iterable[tuple[str, bytes]]:
    """Names and contents of the files that a reader can take away."""
    first, *helpers = copying.recipe_copies(recipe, HELPERS_FOLDER)
    yield first.path.name, first.content.encode()
    if helpers:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for copy in [first, *helpers]:
                info = zipfile.ZipInfo(copy.path.as_posix(), NO_DATE)
                archive.writestr(info, copy.content)
        yield f"{recipe.topic}.zip", file.getvalue()
    notebook = copying.notebook_copy(recipe)
    yield notebook.path.name, notebook.content.encode()
