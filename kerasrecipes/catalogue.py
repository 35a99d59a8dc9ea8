"""Finds recipes and reads them as text: headers, helpers, fingerprints.

Nothing here imports a recipe, Keras or NumPy, so that listing the cookbook
takes a blink.
"""

import ast
import csv
import difflib
import functools
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent
# A checkout has recipes/ and data/ beside the package; a wheel, inside it.
_HOUSE = PACKAGE.parent if (PACKAGE.parent / "setup.cfg").exists() else PACKAGE
IN_CHECKOUT = _HOUSE != PACKAGE
RECIPES = _HOUSE / "recipes"
DATA = _HOUSE / "data"
RESULTS = DATA / "results"

# The order in which a newcomer meets the chapters.
CHAPTERS = (
    "foundations",
    "preparation",
    "optimization",
    "regularization",
    "normalization",
    "evaluation",
    "convolution",
    "recurrent",
    "representation",
    "graphs",
    "alternatives",
    "signals",
    "search",
    "workflow",
)
LEVELS = ("beginner", "intermediate", "advanced")
BACKENDS = ("tensorflow", "jax", "torch")
FIELDS = ("question", "level", "notes", "backends")
OPTIONAL_FIELDS = ("papers", "before", "extras")
# Rooms that decide how trials are run and shown, not what they compute.
HARNESS = ("experiment", "plotting", "catalogue", "options", "cli")


class RecipeError(ValueError):
    """A recipe that cannot be found, or whose file breaks the form."""


@dataclass(frozen=True)
class Recipe:
    """A recipe's header: what can be known without importing it.

    Args:
        path: the recipe's file.
        title: first line of its docstring.
        story: paragraphs of its docstring, as written (reStructuredText).
        fields: the `:name: value` lines at the docstring's end.
    """

    path: Path
    title: str
    story: str
    fields: dict[str, str]

    @property
    def topic(self) -> str:
        return self.path.stem

    @property
    def chapter(self) -> str:
        return self.path.parent.name

    @property
    def name(self) -> str:
        return f"{self.chapter}/{self.topic}"

    @property
    def question(self) -> str:
        return self.fields["question"]

    @property
    def level(self) -> str:
        return self.fields["level"]

    @property
    def backends(self) -> tuple[str, ...]:
        names = re.sub(r"\(.*\)", "", self.fields["backends"])
        return tuple(name.strip() for name in names.split(","))

    @property
    def notes(self) -> list[tuple[str, str]]:
        """The (title, heading) pairs that the recipe takes its claims from."""
        cited = [part.strip() for part in self.fields["notes"].split(";")]
        return [split_citation(part) for part in cited]

    def results(self, backend: str = "tensorflow") -> Path:
        """File of the recorded results on a backend."""
        suffix = ".json" if backend == "tensorflow" else f".{backend}.json"
        return RESULTS / self.chapter / f"{self.topic}{suffix}"


# Names and headers


def recipe_paths() -> dict[str, Path]:
    """Every recipe's file by its name, chapter/topic, in the book's order."""
    return {
        f"{chapter}/{path.stem}": path
        for chapter in CHAPTERS
        for path in sorted((RECIPES / chapter).glob("*.py"))
    }


def find_recipe(name: str) -> Recipe:
    """Reads the recipe of that name: a topic, or chapter/topic."""
    paths = recipe_paths()
    topics = {full.partition("/")[2]: full for full in paths}
    full = name if name in paths else topics.get(name)
    if full is None:
        close = difflib.get_close_matches(name, [*topics, *paths], 1, 0.5)
        hint = f"Did you mean {close[0]}?" if close else "See `list`."
        raise RecipeError(f"There is no recipe named {name!r}. {hint}")
    return read_recipe(paths[full])


def all_recipes() -> list[Recipe]:
    """Reads every recipe's header, in the book's order."""
    return [read_recipe(path) for path in recipe_paths().values()]


def read_recipe(path: Path) -> Recipe:
    """Reads a recipe's header.

    Raises:
        RecipeError: where the docstring lacks its title or a field, or a
            field has a value that is not among the known ones.
    """
    path = Path(path)
    where = f"{path.parent.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{where} cannot be read: {error}") from None
    found = re.match(r'\s*r?"""\n(.*?)"""', text, re.DOTALL)
    lines = found[1].strip().splitlines() if found else []
    if len(lines) < 3 or set(lines[1]) != {"="}:
        raise RecipeError(
            f"{where}: expected a docstring that begins with a title "
            "underlined by `=`."
        )
    body = "\n".join(lines[2:])
    fields = {
        match[1]: " ".join(match[2].split())
        for match in re.finditer(
            r"^:(\w+): (.*(?:\n(?!:\w+: ).+)*)", body, re.MULTILINE
        )
    }
    story = re.split(r"^:\w+: ", body, maxsplit=1, flags=re.MULTILINE)[0]
    for field in FIELDS:
        if field not in fields:
            raise RecipeError(f"{where}: the header has no `:{field}:` field.")
    for field in fields:
        if field not in FIELDS + OPTIONAL_FIELDS:
            raise RecipeError(f"{where}: unknown header field `:{field}:`.")
    recipe = Recipe(path, lines[0].strip(), story.strip(), fields)
    if recipe.level not in LEVELS:
        raise RecipeError(
            f"{where}: expected `:level:` to be one of {', '.join(LEVELS)}. "
            f"Received: {recipe.level}"
        )
    unknown = [name for name in recipe.backends if name not in BACKENDS]
    if unknown:
        raise RecipeError(
            f"{where}: expected `:backends:` out of {', '.join(BACKENDS)}. "
            f"Received: {unknown[0]}"
        )
    return recipe


@functools.cache
def _headings() -> dict[str, set[str]]:
    headings: dict[str, set[str]] = {}
    with open(DATA / "notes.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            headings.setdefault(row["title"], set()).add(row["heading"])
    return headings


def split_citation(citation: str) -> tuple[str, str]:
    """Splits "title, heading" of the notes; both may contain commas.

    Raises:
        RecipeError: where data/notes.csv has no such title or heading.
    """
    for title, headings in _headings().items():
        heading = citation.removeprefix(f"{title}, ")
        if heading != citation and heading in headings:
            return title, heading
    raise RecipeError(f"data/notes.csv has no title and heading {citation!r}.")


# Syntax trees


@functools.cache
def syntax_tree(path: Path) -> ast.Module:
    """Reads a file's syntax tree, once.

    Raises:
        RecipeError: where the file is not Python.
    """
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        where = f"{path.parent.name}/{path.name}, line {error.lineno}"
        raise RecipeError(f"{where}: {error.msg}.") from None


def main_function(path: Path) -> ast.FunctionDef:
    """The syntax tree of a recipe's `main`."""
    for node in syntax_tree(path).body:
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            return node
    where = f"{path.parent.name}/{path.name}"
    raise RecipeError(f"{where}: expected a function `main`.")


def constant(path: Path, name: str) -> dict | None:
    """Value of a recipe's literal such as QUICK; None where it has none."""
    for node in syntax_tree(path).body:
        if isinstance(node, ast.Assign) and name in bound_names(node):
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                where = f"{path.parent.name}/{path.name}"
                raise RecipeError(
                    f"{where}: expected {name} to be a literal."
                ) from None
    return None


def symbols(path: Path) -> set[str]:
    """Every name and attribute that a recipe and its helpers use."""
    used = set()
    for file in [path, *helper_files(path)]:
        for node in ast.walk(syntax_tree(file)):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                used.update(alias.name for alias in node.names)
    return used


def bound_names(node: ast.stmt) -> set[str]:
    """Names that a statement at the top of a module gives a meaning to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(a.asname or a.name).partition(".")[0] for a in node.names}
    return {
        name.id
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }


def loaded_names(node: ast.AST) -> set[str]:
    """Names that occur anywhere in a syntax tree, but for attributes."""
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def trial_calls(path: Path) -> list[ast.Call]:
    """The calls of `run_trials` in a recipe's `main`, in their order."""
    calls = [
        node
        for node in ast.walk(main_function(path))
        if isinstance(node, ast.Call)
        and "run_trials" in loaded_names(node.func)
    ]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def training_nodes(
    path: Path, calls: list[ast.Call] | None = None
) -> list[ast.stmt]:
    """The statements of a recipe that its trials depend on.

    They are FULL, whatever the calls of `run_trials` name, all that those
    names lead to, and statements that bind no name. Drawing, claims and the
    text are not among them.

    Args:
        path: the recipe's file.
        calls: the calls in question; all by default.
    """
    body = syntax_tree(path).body
    calls = trial_calls(path) if calls is None else calls
    wanted = {"FULL"}.union(*map(loaded_names, calls)) - {"run_trials"}
    known: set[str] = set()
    while wanted - known:
        known |= wanted
        for node in body:
            if bound_names(node) & known:
                wanted |= loaded_names(node)
    return [
        node
        for node in body
        if (bound_names(node) & known)
        or not (
            bound_names(node)
            or is_docstring(node)
            or "__name__" in loaded_names(node)  # the file's last lines
        )
    ]


def is_docstring(node: ast.stmt) -> bool:
    """Whether a statement is a text that stands by itself."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def imported_helpers(nodes: list[ast.stmt]) -> Iterator[Path]:
    """Files of our rooms that the import statements among `nodes` reach."""
    for node in nodes:
        if not isinstance(node, ast.ImportFrom) or node.level:
            continue
        package, *rooms = (node.module or "").split(".")
        if package != "kerasrecipes" or not rooms or rooms[0] in HARNESS:
            continue
        target = PACKAGE.joinpath(*rooms)
        if target.with_suffix(".py").exists():
            yield target.with_suffix(".py")
            continue
        names = {alias.name for alias in node.names}
        for line in syntax_tree(target / "__init__.py").body:
            exported = bound_names(line) & names
            if isinstance(line, ast.ImportFrom) and exported:
                yield from imported_helpers([line])


def helper_files(path: Path) -> list[Path]:
    """Files of the helpers that a recipe's training uses, directly or not."""
    found: list[Path] = []
    waiting = [*imported_helpers(training_nodes(path))]
    while waiting:
        file = waiting.pop(0)
        if file not in found:
            found.append(file)
            waiting += imported_helpers(syntax_tree(file).body)
    return sorted(found)


def _canonical(node) -> str:
    """A syntax tree as text, the same from every Python version."""
    if isinstance(node, list):
        return "[" + ",".join(map(_canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for field, value in sorted(ast.iter_fields(node)):
        if field in ("ctx", "kind", "type_comment", "type_params"):
            continue
        if field == "body" and isinstance(value, list):
            value = [line for line in value if not is_docstring(line)]
        if value is not None and value != []:
            parts.append(f"{field}={_canonical(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def fingerprint(path: Path) -> str:
    """Hash of everything in our files that a recipe's trials depend on.

    Comments, docstrings, `main`, QUICK, figures and the harness are not part
    of it: changing them leaves recorded results valid.
    """
    trees = [_canonical(training_nodes(path))]
    trees += [
        file.relative_to(PACKAGE).as_posix() + _canonical(syntax_tree(file))
        for file in helper_files(path)
    ]
    return hashlib.sha256("\n".join(trees).encode()).hexdigest()[:16]


# Recorded results

_CHECKSUM = ',\n "checksum": "'


def seal(text: str) -> str:
    """A JSON object's text with a checksum of the text as last entry."""
    body = text.removesuffix("\n}\n")
    return f'{body}{_CHECKSUM}{zlib.crc32(body.encode()):08x}"\n}}\n'


def load_results(
    recipe: Recipe, backend: str = "tensorflow", trials: bool = True
) -> dict | None:
    """The recorded results of a recipe, or None where it has none.

    Args:
        recipe: the recipe.
        backend: that of the recording.
        trials: whether to read the trials, too, which are nearly all of it.

    Raises:
        RecipeError: where the file is damaged.
    """
    path = recipe.results(backend)
    try:
        text = path.read_text(encoding="utf-8")
        head, runs, _ = text.partition(',\n "runs": [')
        results = json.loads(text if trials or not runs else f"{head}}}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from None
    if seal(text.rpartition(_CHECKSUM)[0]) != text:
        raise RecipeError(f"{path} is damaged: its checksum is another.")
    results.pop("checksum", None)
    return results
