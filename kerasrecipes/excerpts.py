"""The part of a recipe that a reader takes away, and its helpers, as text.

Like `catalogue`, this reads files and imports none of them.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kerasrecipes.catalogue import (
    DATA,
    Recipe,
    bound_names,
    imported_helpers,
    loaded_names,
    syntax_tree,
    training_nodes,
    trial_calls,
)
from kerasrecipes.options import parameters

# What `pip` calls a module, where that is not the module's own name.
PACKAGES = {"sklearn": "scikit-learn", "skimage": "scikit-image"}
# Options of `run_trials` that mean nothing where each trial is run once.
HOW = ("seeds", "folds")
# How a helper finds the files of data/, and how its copy does.
DATA_FOLDER = 'resources.files("kerasrecipes.data")'

# Stands at the end of a copied recipe, before the calls of it.
RUN_ONCE = '''\
def run_once(function, variants=None, conditions=None, **settings):
    """Calls a function for each variant and condition from seed 0."""
    for condition, given in (conditions or {"": {}}).items():
        for variant, options in (variants or {"": {}}).items():
            scores = function(seed=0, **given, **options, **settings)
            print(function.__name__, variant, condition)
            for name, score in scores.items():
                if name != "curves":
                    print(f"    {name}: {score:.4g}")'''


@dataclass
class Section:
    """A `# %%` block of a recipe, as far as it is copied.

    Args:
        prose: its comment lines, with their marks; none in the first section.
        parts: texts of its statements, each with the number of empty lines
            above it.
        is_cut: whether it had statements that are not copied.
    """

    prose: list[str] = field(default_factory=list)
    parts: list[tuple[int, str]] = field(default_factory=list)
    is_cut: bool = False

    @property
    def code(self) -> str:
        """Its statements, with the empty lines between them."""
        return "".join(
            "\n" * (empty + 1 if number else 0) + text
            for number, (empty, text) in enumerate(self.parts)
        )


# Import statements


def single_imports(node: ast.stmt) -> Iterator[ast.Import | ast.ImportFrom]:
    """An import statement as one for each name; nothing for other nodes."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield ast.Import([alias])
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield ast.ImportFrom(node.module, [alias], node.level)


def import_lines(
    node: ast.stmt, used: set[str], package: str | None
) -> list[str]:
    """An import statement, cut down to the names that are used.

    Args:
        node: the statement.
        used: the names that its file uses.
        package: what helpers are to be imported from; "" is the package that
            the file is in; None leaves out the imports of helpers.
    """
    modules: dict[str, list[ast.alias]] = {}
    for single in single_imports(node):
        if not bound_names(single) & used:
            continue
        module = getattr(single, "module", None)
        for path in imported_helpers([single]):
            module = None if package is None else f"{package}.{path.stem}"
        if module is None and isinstance(single, ast.ImportFrom):
            continue
        modules.setdefault(module or "", []).extend(single.names)
    return [
        import_line(module, aliases)
        for module, aliases in sorted(modules.items())
    ]


def import_line(module: str, aliases: list[ast.alias], width: int = 80) -> str:
    """The text of an import statement.

    Args:
        module: what is imported from; "" where modules are imported.
        aliases: the names.
        width: characters that a line may have.
    """
    names = [f"{a.name} as {a.asname}" if a.asname else a.name for a in aliases]
    if not module:
        return f"import {', '.join(names)}"
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= width:
        return line
    listed = "".join(f"    {name},\n" for name in names)
    return f"from {module} import (\n{listed})"


def packages(texts: Iterable[str]) -> list[str]:
    """What `pip` must have installed for copied files to run."""
    found: set[str] = set()
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            for single in single_imports(node):
                if not getattr(single, "level", 0):
                    module = getattr(single, "module", single.names[0].name)
                    found.add(module.partition(".")[0])
    found -= set(sys.stdlib_module_names)
    return sorted(PACKAGES.get(name, name) for name in found)


# The parts of a recipe


def copied_calls(recipe: Recipe) -> list[ast.Call]:
    """The calls of `run_trials` in `main`, but for those that take times."""
    return [
        call
        for call in trial_calls(recipe.path)
        if not any(keyword.arg == "timing" for keyword in call.keywords)
    ]


def setting_lines(recipe: Recipe, values: dict | None = None) -> list[str]:
    """An assignment for each setting of `main` that trials are given.

    Args:
        recipe: the recipe.
        values: settings in place of the recipe's defaults.
    """
    used = set()
    for call in copied_calls(recipe):
        given = [k.value for k in call.keywords if k.arg not in HOW]
        used |= set().union(*map(loaded_names, [*call.args, *given]))
    return [
        ast.unparse(
            ast.Assign(
                [ast.Name(parameter.name)],
                ast.Constant(
                    (values or {}).get(parameter.name, parameter.default)
                ),
                lineno=0,
            )
        ).replace("'", '"')
        for parameter in parameters(recipe.path)
        if parameter.name in used
    ]


def run_lines(recipe: Recipe, indent: int = 4) -> list[str]:
    """A call of `run_once` in place of each call of `run_trials`.

    Args:
        recipe: the recipe.
        indent: spaces that will stand before the lines.
    """
    source = recipe.path.read_text(encoding="utf-8")
    lines = []
    for call in copied_calls(recipe):
        words = [ast.get_source_segment(source, node) for node in call.args]
        words += [
            f"{k.arg}={ast.get_source_segment(source, k.value)}"
            for k in call.keywords
            if k.arg not in HOW
        ]
        line = f"run_once({', '.join(words)})"
        if indent + len(line) <= 80:
            lines.append(line)
            continue
        whole = f"    {', '.join(words)}"
        if indent + len(whole) <= 80:
            lines += ["run_once(", whole, ")"]
        else:
            lines += ["run_once(", *(f"    {word}," for word in words), ")"]
    return lines


def kept_nodes(recipe: Recipe) -> list[ast.stmt]:
    """The statements that a copy keeps, without imports and docstring."""
    return [
        node
        for node in training_nodes(recipe.path, copied_calls(recipe))
        if not isinstance(node, ast.Import | ast.ImportFrom)
        and "FULL" not in bound_names(node)
    ]


def used_names(recipe: Recipe) -> set[str]:
    """The names that the copied statements use."""
    return set().union(*map(loaded_names, kept_nodes(recipe)))


def sections(recipe: Recipe, package: str | None) -> list[Section]:
    """A recipe without `main`, claims, figures and what only they need.

    Args:
        recipe: the recipe.
        package: see `import_lines`.
    """
    text = recipe.path.read_text(encoding="utf-8").splitlines()
    body = syntax_tree(recipe.path).body
    kept, used = kept_nodes(recipe), used_names(recipe)
    found = [Section()]
    end, after_definition = body[0].end_lineno, False
    for node in body[1:]:
        start = min(
            one.lineno for one in [node, *getattr(node, "decorator_list", [])]
        )
        *paragraphs, comment = paragraphs_of(text[end : start - 1])
        if paragraphs:
            found += [Section(one) for one in paragraphs]
            after_definition = False
        lines = comment + text[start - 1 : node.end_lineno]
        if isinstance(node, ast.Import | ast.ImportFrom):
            lines = import_lines(node, used, package)
        elif node not in kept:
            found[-1].is_cut |= "__name__" not in loaded_names(node)
            lines = []
        if lines:
            defines = isinstance(node, ast.FunctionDef | ast.ClassDef)
            above = start - 1 - len(comment)
            empty = 0 if text[above - 1] else 1
            if defines or after_definition:
                empty = 2
            found[-1].parts.append((empty, "\n".join(lines)))
            after_definition = defines
        end = node.end_lineno
    sort_own_imports(found[0].parts, package)
    return [one for one in found if one.parts or not one.is_cut]


def sort_own_imports(parts: list[tuple[int, str]], package: str | None) -> None:
    """Puts imports of helpers into the order of their new names."""
    start = f"from {package}."
    own = [part for part in parts if part[1].startswith(start)]
    if own:
        texts = re.split(r"\n(?=from)", "\n".join(text for _, text in own))
        place = parts.index(own[0])
        parts[place : place + len(own)] = [
            (own[0][0] if number == 0 else 0, text)
            for number, text in enumerate(sorted(texts))
        ]


def paragraphs_of(lines: list[str]) -> list[list[str]]:
    """Comments between two statements; the last one is the second's own."""
    found: list[list[str]] = [[]]
    for line in lines:
        if line:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return found


def docstring(recipe: Recipe) -> str:
    """A recipe's docstring without its fields, but for its papers."""
    source = recipe.path.read_text(encoding="utf-8")
    text = ast.get_source_segment(source, syntax_tree(recipe.path).body[0])
    lines = re.split(r"(?m)^:\w+: ", text, maxsplit=1)[0].rstrip().splitlines()
    if "papers" in recipe.fields:
        papers = recipe.fields["papers"].split("; ")
        lines += ["", "Papers:", *(f"- {paper}" for paper in papers)]
    return "\n".join([*lines, '"""'])


def recipe_text(
    recipe: Recipe, package: str, values: dict | None = None
) -> str:
    """A recipe as it is copied, without the stamp.

    Args:
        recipe: the recipe.
        package: the package of the copied helpers.
        values: settings in place of the recipe's defaults.
    """
    text = docstring(recipe)
    ends_in_definition = False
    for section in sections(recipe, package):
        if section.prose:
            text += "\n" * (3 if ends_in_definition else 2)
            text += "\n".join(section.prose)
            ends_in_definition = False
        if section.parts:
            empty, _ = section.parts[0]
            text += "\n" * (max(empty, 1) + 1) + section.code
            last = section.parts[-1][1]
            ends_in_definition = bool(re.search(r"(?m)^(def|class) ", last))
    calls = [*setting_lines(recipe, values), *run_lines(recipe)]
    return "\n".join(
        [
            text + ("\n\n" if ends_in_definition else "\n"),
            "# %%",
            "# Each variant once",
            "# -----------------",
            "",
            "",
            RUN_ONCE,
            "",
            "",
            'if __name__ == "__main__":',
            *(f"    {line}" for line in calls),
            "",
        ]
    )


def helper_text(file: Path, package: str | None = "") -> str:
    """A helper's file as it is copied, without the stamp.

    Args:
        file: the file.
        package: see `import_lines`.
    """
    source = file.read_text(encoding="utf-8")
    lines = source.splitlines()
    tree = syntax_tree(file)
    used = {name for node in tree.body for name in loaded_names(node)}
    for node in reversed(tree.body):
        if isinstance(node, ast.ImportFrom) and [*imported_helpers([node])]:
            new = "\n".join(import_lines(node, used, package)).splitlines()
            lines[node.lineno - 1 : node.end_lineno] = new
    text = "\n".join(lines) + "\n"
    if package is not None:
        return text.replace(DATA_FOLDER, "resources.files(__package__)")
    # In a notebook, the data lie beside it.
    text = text.replace(
        "from importlib import resources", "from pathlib import Path"
    )
    return text.replace(DATA_FOLDER, "Path()")


# Helpers


def recipe_helpers(recipe: Recipe) -> list[Path]:
    """Files of the helpers that the copied part of a recipe imports."""
    used = used_names(recipe)
    return [
        path
        for node in syntax_tree(recipe.path).body
        for single in single_imports(node)
        if bound_names(single) & used
        for path in imported_helpers([single])
    ]


def with_what_they_use(files: Iterable[Path]) -> list[Path]:
    """Files of helpers with those that they import, each after what it uses."""
    found: list[Path] = []
    for file in files:
        below = with_what_they_use(imported_helpers(syntax_tree(file).body))
        found += [one for one in [*below, file] if one not in found]
    return found


def data_files(files: Iterable[Path], used: set[str]) -> list[Path]:
    """Files of data/ that are read by the loaders in use.

    Args:
        files: files of helpers.
        used: names that are used outside of them; a loader is named after
            the file that it reads, or names it to `read_series`.
    """
    found = []
    for file in files:
        tree, names = syntax_tree(file), []
        used = used | loaded_names(tree)
        if DATA_FOLDER in file.read_text(encoding="utf-8"):
            loaders = set().union(*map(bound_names, tree.body))
            names = [n.removeprefix("load_") for n in sorted(loaders & used)]
        elif "read_series" in loaded_names(tree):
            names = [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant)
                and isinstance(node.value, str)
            ]
        paths = [DATA / f"{name}.csv" for name in names if name.isidentifier()]
        found += [path for path in paths if path.exists() and path not in found]
    return found
