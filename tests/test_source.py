"""What can be said of the files without running them.

Recipes and modules are found, not listed.
"""

import ast
import configparser
import itertools
import re
import subprocess
import sys
import tomllib
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kerasrecipes import catalogue, options

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kerasrecipes"
RECIPES = catalogue.recipe_paths()
MODULES = {
    path.relative_to(ROOT).as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# Packages of the helper package that a recipe takes its parts from; the
# harness runs recipes and is none of them.
ROOMS = sorted(
    path.parent.name
    for path in PACKAGE.glob("*/__init__.py")
    if path.parent.name != "experiment"
)

# Who may import whom, beside the standard library: the design's table.
ROOM_IMPORTS = {
    "layers": {"keras", "numpy"},
    "cells": {"keras", "numpy"},
    "losses": {"keras", "numpy"},
    "metrics": {"keras", "numpy"},
    "analysis": {"keras", "numpy", "sklearn"},
    "callbacks": {"keras", "numpy", "sklearn"},
    "datasets": {
        "numpy",
        "sklearn",
        "networkx",
        "keras.datasets",
        "keras.utils",
    },
}
CHECKS = "kerasrecipes.checks"
RECIPE_IMPORTS = {"keras", "numpy", "sklearn", "matplotlib"}
HARNESS_OF_RECIPES = {"kerasrecipes.experiment", "kerasrecipes.plotting"}
# What the harness may not load before it is needed.
SLOW_TO_LOAD = {"keras", "tensorflow", "jax", "torch"}
QUICK_TO_LOAD = {"catalogue", "cli", "options"}

# Lines: one file is read like an article; those with many claims are longer.
LONGEST = 390
CONSTANTS = ["VARIANTS", "CONDITIONS", "QUICK", "FULL"]
FIRST_PARTS = ast.Assign | ast.AnnAssign
IMPORTS = ast.Import | ast.ImportFrom

every_recipe = pytest.mark.parametrize("name", RECIPES)
every_module = pytest.mark.parametrize("name", MODULES)
every_module_of_the_harness = pytest.mark.parametrize(
    "name", [name for name in MODULES if name.split("/")[1] not in ROOMS]
)
every_file = pytest.mark.parametrize(
    "path", [*RECIPES.values(), *MODULES.values()], ids=[*RECIPES, *MODULES]
)


def read_tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def functions_of(tree):
    """Functions at the top of a module, by name."""
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: node for node in found}


def names_in(node):
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def calls_of(function, tree):
    """Calls of a function that is known by its bare name."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == function
    ]


def keywords_of(call):
    return {keyword.arg: keyword.value for keyword in call.keywords}


def imports_in(tree, *, at_load=False):
    """Pairs of a module and the names taken from it (none: the module).

    Args:
        tree: a syntax tree.
        at_load: whether imports within functions are left out.
    """
    found = []
    inside = {
        node
        for function in ast.walk(tree)
        if at_load and isinstance(function, ast.FunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if node in inside:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            found.append(("." * node.level + (node.module or ""), names))
    return found


def is_within(module, allowed):
    """Whether a module is one of these, or lies in one of them."""
    return any(f"{module}.".startswith(f"{name}.") for name in allowed)


def is_standard(module):
    return module.partition(".")[0] in sys.stdlib_module_names


def arguments_of(function):
    """Names of the arguments, without `self`, those with stars included."""
    taken = function.args
    every = [
        *taken.posonlyargs,
        *taken.args,
        taken.vararg,
        *taken.kwonlyargs,
        taken.kwarg,
    ]
    names = [one.arg for one in every if one]
    return [name for name in names if name not in ("self", "cls")]


def documented_arguments(docstring):
    """Names of the entries in a docstring's `Args:`; None without one."""
    found = re.search(r"^Args:\n((?:(?: +.*)?\n?)*)", docstring, re.MULTILINE)
    if not found:
        return None
    return re.findall(r"^ {4}\*{0,2}(\w+): ", found[1], re.MULTILINE)


# ----------------------------------------------------------------------
# A recipe's header


def test_no_recipe_is_overlooked():
    files = set((ROOT / "recipes").rglob("*.py"))
    assert files - {ROOT / "recipes/__init__.py"} == set(RECIPES.values()), (
        "A recipe lies in the folder of a chapter in catalogue.CHAPTERS."
    )


def test_every_topic_is_one_recipe():
    topics = [path.stem for path in RECIPES.values()]
    assert len(topics) == len(set(topics))


@every_recipe
def test_module_name(name):
    """A script's folder comes first in sys.path: it must hide no module."""
    topic = RECIPES[name].stem
    assert re.fullmatch(r"[a-z][a-z0-9_]*", topic)
    assert topic not in sys.stdlib_module_names
    elsewhere = [path for path in sys.path if path.endswith("site-packages")]
    assert PathFinder.find_spec(topic, elsewhere) is None


@every_recipe
def test_header(name):
    recipe = catalogue.read_recipe(RECIPES[name])
    docstring = ast.get_docstring(read_tree(recipe.path), clean=False)
    blank, title, underline, after, *_ = docstring.splitlines()
    assert blank == "" and title == recipe.title
    assert not title.endswith(".")
    assert underline == "=" * len(title)
    assert after == "" and recipe.story
    assert recipe.question.endswith("?")


@every_recipe
def test_cited_headings_are_in_the_notes(name):
    """`notes` raises where data/notes.csv has no such title and heading."""
    assert catalogue.read_recipe(RECIPES[name]).notes


@every_recipe
def test_fewer_backends_have_a_reason(name):
    recipe = catalogue.read_recipe(RECIPES[name])
    assert set(recipe.backends) <= set(catalogue.BACKENDS)
    assert len(recipe.backends) == len(set(recipe.backends))
    if set(recipe.backends) != set(catalogue.BACKENDS):
        assert re.search(r"\(.{10,}\)", recipe.fields["backends"]), (
            "Say why in parentheses."
        )


@every_recipe
def test_papers_are_abstract_pages(name):
    recipe = catalogue.read_recipe(RECIPES[name])
    papers = recipe.fields.get("papers")
    for paper in papers.split(";") if papers else []:
        found = re.fullmatch(r".+ \d{4}[a-z]?, (https://\S+)", paper.strip())
        assert found, "Expected `Author et al. 2014, https://...; ...`"
        assert ".pdf" not in found[1] and "/pdf/" not in found[1]


def recipes_before(name):
    before = catalogue.read_recipe(RECIPES[name]).fields.get("before")
    return [part.strip() for part in before.split(",")] if before else []


@every_recipe
def test_recipes_before_it_exist_and_do_not_come_after_it(name):
    waiting, seen = recipes_before(name), set()
    while waiting:
        other = waiting.pop()
        assert other in RECIPES
        assert other != name
        if other not in seen:
            seen.add(other)
            waiting += recipes_before(other)


# ----------------------------------------------------------------------
# A recipe's parts


@every_recipe
def test_length(name):
    lines = RECIPES[name].read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST, (
        "Nobody reads on: cut the recipe in two, or move a helper to a room."
    )


@every_recipe
def test_parts_are_in_order(name):
    body = read_tree(RECIPES[name]).body
    kinds = [
        "docstring"
        if isinstance(node, ast.Expr)
        else "import"
        if isinstance(node, IMPORTS)
        else "constant"
        if isinstance(node, FIRST_PARTS)
        else "function"
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        else "end"
        for node in body
    ]
    phases = [kind for kind, _ in itertools.groupby(kinds)]
    # A constant may stand beside the function that it belongs to.
    assert phases[:4] == ["docstring", "import", "constant", "function"]
    assert set(phases[4:-1]) <= {"constant", "function"}
    assert phases[-2:] == ["function", "end"] and kinds.count("end") == 1
    assert isinstance(body[-2], ast.FunctionDef) and body[-2].name == "main"
    ending = 'if __name__ == "__main__":\n    cook(main)'
    assert ast.unparse(body[-1]) == ast.unparse(ast.parse(ending))


@every_recipe
def test_constants_are_in_order(name):
    names = [
        target.id
        for node in read_tree(RECIPES[name]).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    found = [one for one in names if one in CONSTANTS]
    assert found == [one for one in CONSTANTS if one in found]
    assert "QUICK" in found
    if "CONDITIONS" in found:
        assert "VARIANTS" in found


def blocks_of(path):
    """First line, title and prose of every `# %%` block."""
    lines = path.read_text(encoding="utf-8").splitlines()
    blocks = []
    for number, line in enumerate(lines):
        if line.startswith("# %%"):
            text = itertools.takewhile(
                lambda one: one.startswith("#"), lines[number:]
            )
            blocks.append((number, list(text)))
    return blocks


@every_recipe
def test_blocks_have_titles(name):
    blocks = blocks_of(RECIPES[name])
    assert blocks
    for _, (marker, *text) in blocks:
        assert marker == "# %%"
        assert re.fullmatch(r"# \S.*[^.\s]", text[0])
        assert text[1] == "# " + "-" * (len(text[0]) - 2), text[0]
    titles = [text[1] for _, text in blocks]
    assert len(titles) == len(set(titles))


@every_recipe
def test_the_article_ends_with_what_to_make_of_it(name):
    path = RECIPES[name]
    blocks = blocks_of(path)
    main = catalogue.main_function(path)
    (above, experiment), (below, conclusion) = blocks[-2:]
    assert experiment[1] == "# The experiment"
    assert conclusion[1] == "# What to make of it"
    assert above < main.lineno - 1 and below >= main.end_lineno
    assert len(conclusion) > 4, "When to reach for it, and two things to try."


@every_recipe
def test_a_reader_is_told_where_own_data_goes(name):
    text = RECIPES[name].read_text(encoding="utf-8")
    prose = " ".join(re.findall(r"^ *#(.*)", text, re.MULTILINE))
    assert len(re.findall(r"\byour own\b", prose)) == 1


@every_recipe
def test_settings_of_every_size(name):
    path = RECIPES[name]
    known = {one.name: one.default for one in options.parameters(path)}
    every = set(options.Options.__dataclass_fields__)
    assert not every & set(known), "An option of every recipe has this name."
    quick = catalogue.constant(path, "QUICK")
    full = catalogue.constant(path, "FULL") or {}
    assert set(quick) <= {*known, "variants", "conditions"}
    assert set(full) <= set(known)
    for setting, default in known.items():
        if isinstance(default, int | float):
            low = quick.get(setting, default)
            assert low <= default <= full.get(setting, default), setting


def keys_of(tree, constant):
    """Keys of a dict at the top of a module, whatever their values are."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and constant in names_in(node):
            return [ast.literal_eval(key) for key in node.value.keys]
    return []


@every_recipe
def test_a_quick_run_compares_with_the_baseline(name):
    path = RECIPES[name]
    quick = catalogue.constant(path, "QUICK")
    for kind in {"variants", "conditions"} & set(quick):
        known = keys_of(read_tree(path), kind.upper())
        assert set(quick[kind]) <= set(known)
        assert known[0] in quick[kind]
        if kind == "variants":
            assert len(quick[kind]) > 1


@every_recipe
def test_every_function_says_what_it_does(name):
    for function in functions_of(read_tree(RECIPES[name])).values():
        docstring = ast.get_docstring(function)
        assert docstring, function.name
        assert docstring.splitlines()[0].endswith(".")


@every_recipe
def test_main_documents_its_options(name):
    main = catalogue.main_function(RECIPES[name])
    documented = documented_arguments(ast.get_docstring(main)) or []
    assert documented == arguments_of(main)
    found = options.parameters(RECIPES[name])
    assert [one.name for one in found] == arguments_of(main)
    assert ast.unparse(main.returns) == "Report"


@every_recipe
def test_what_the_trials_depend_on_can_be_read(name):
    path = RECIPES[name]
    assert re.fullmatch(r"[0-9a-f]{16}", catalogue.fingerprint(path))
    functions = functions_of(read_tree(path))
    calls = calls_of("run_trials", catalogue.main_function(path))
    assert calls
    for call in calls:
        assert isinstance(call.args[0], ast.Name)
        assert call.args[0].id in functions


# ----------------------------------------------------------------------
# Who imports whom, and what nobody may use


@every_recipe
def test_imports_of_a_recipe(name):
    tree = read_tree(RECIPES[name])
    for module, names in imports_in(tree):
        if is_within(module, {"kerasrecipes"}):
            room = module.removeprefix("kerasrecipes.")
            assert room in ROOMS or module in HARNESS_OF_RECIPES, module
            assert names and "*" not in names
            assert set(names) <= public_names(room)
        else:
            allowed = is_standard(module) or is_within(module, RECIPE_IMPORTS)
            assert allowed, f"{module} is not among what recipes import."
    assert imports_in(tree) == imports_in(tree, at_load=True), (
        "Import at the top, where a reader looks for it."
    )


def public_names(room):
    """What a room or a module of the harness offers."""
    path = PACKAGE / room / "__init__.py"
    if not path.exists():
        names = functions_of(read_tree(PACKAGE / f"{room}.py"))
        return {name for name in names if not name.startswith("_")}
    for node in read_tree(path).body:
        if isinstance(node, ast.Assign) and names_in(node) == {"__all__"}:
            return set(ast.literal_eval(node.value))
    return set()


@every_recipe
def test_only_main_knows_the_harness(name):
    """So that everything else can be copied without it."""
    tree = read_tree(RECIPES[name])
    harness = {
        imported
        for module, names in imports_in(tree)
        if is_within(module, HARNESS_OF_RECIPES)
        for imported in names
    }
    allowed = [functions_of(tree)["main"], tree.body[-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            allowed.append(node.returns)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            allowed.append(node.annotation)
    known = {
        use for part in allowed if part is not None for use in ast.walk(part)
    }
    outside = [
        f"{node.id} in line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
        and node.id in harness
        and node not in known
    ]
    assert not outside


def functions_reached(function, functions):
    """The functions of a module that one of them leads to, with itself."""
    reached, waiting = set(), {function}
    while waiting:
        reached |= waiting
        used = set().union(*(names_in(functions[one]) for one in waiting))
        waiting = (used & set(functions)) - reached
    return [functions[one] for one in reached]


@every_recipe
def test_seeds_of_one_data_set_test_on_disjoint_folds(name):
    """Else intervals are too narrow: they must know that seeds overlap."""
    tree = read_tree(RECIPES[name])
    functions = functions_of(tree)
    loaders = {
        imported
        for module, names in imports_in(tree)
        if module == "kerasrecipes.datasets"
        for imported in names
        if imported.startswith("load_")
    }
    for run in calls_of("run_trials", catalogue.main_function(RECIPES[name])):
        given = keywords_of(run)
        trial = run.args[0].id
        loads = [
            call
            for function in functions_reached(trial, functions)
            for loader in loaders
            for call in calls_of(loader, function)
        ]
        assert all(len(call.args) <= 1 for call in loads), (
            "Give `fold` by its name."
        )
        folds = [keywords_of(call).get("fold") for call in loads]
        if "seeds" not in given or "timing" in given:
            continue  # no paired scores: there is nothing to widen
        assert not any(
            fold is None or isinstance(fold, ast.Constant) for fold in folds
        ), f"All seeds of {trial} test on the same examples: say fold=seed."
        if folds:
            assert "folds" in given, (
                f"Say run_trials({trial}, ..., folds=FOLDS)"
            )
            assert ast.unparse(given["folds"]) == "FOLDS"
        else:
            assert "folds" not in given


@every_file
def test_nothing_that_hides_what_it_does(path):
    tree = read_tree(path)
    for module, names in imports_in(tree):
        parts = [*module.split("."), *names]
        assert not is_within(module, {"keras.src", "tensorflow.keras"})
        assert not is_within(module, {"matplotlib.pyplot"}) and not (
            module == "matplotlib" and "pyplot" in names
        ), "pyplot keeps every figure: use matplotlib.figure.Figure."
        own = is_within(module, {"kerasrecipes"})
        if not own and module != "__future__":
            assert not [part for part in parts if part.startswith("_")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert node.attr != "Lambda", "A Lambda layer cannot be loaded."
            assert ast.unparse(node) != "keras.src"
        elif isinstance(node, ast.Name):
            assert node.id not in ("Lambda", "__import__")
        elif isinstance(node, ast.ImportFrom):
            assert "Lambda" not in [alias.name for alias in node.names]


# Modules that make objects, of any kind, of a file's bytes.
PICKLES = {"_pickle", "cloudpickle", "dill", "marshal", "pickle", "shelve"}
# Functions that run what a text or a file says.
RUNS_WHAT_IT_READS = {
    "builtins.compile",
    "builtins.eval",
    "builtins.exec",
    "compile",
    "eval",
    "exec",
    "joblib.load",
    "pandas.read_pickle",
    "torch.load",
    "yaml.full_load",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
}
SWITCH = "enable_unsafe_deserialization"
# What switches a check off unless it has this value, and its place among the
# arguments of the functions whose it is.
GUARDS = {"safe_mode": True, "allow_pickle": False}
GUARDED = {"load_model": 3, "numpy.load": 2}


def full_name(node, imported):
    """A dotted name as it is where it was imported; None of other nodes."""
    if isinstance(node, ast.Name):
        return imported.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = full_name(node.value, imported)
        return owner and f"{owner}.{node.attr}"
    return None


def find_unsafe_reading(tree):
    """What makes more of a file, or of a text, than numbers and settings.

    Joblib sends trials to processes by pickling, on its own: what it reads was
    written by this program, and a moment ago.
    """
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {
                alias.asname: alias.name for alias in node.names if alias.asname
            }
        elif isinstance(node, ast.ImportFrom):
            imported |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}"
                for alias in node.names
            }
    found = []
    for module, names in imports_in(tree):
        parts = {*module.split("."), *names}
        every = {f"{module}.{name}" for name in names}
        found += [*(PICKLES & parts), *(RUNS_WHAT_IT_READS & every)]
    for node in ast.walk(tree):
        name = full_name(node, imported) or ""
        if name in RUNS_WHAT_IT_READS or name.endswith(SWITCH):
            found.append(name)
        elif isinstance(node, ast.Constant) and node.value in (
            *PICKLES,  # to `import_module`
            *GUARDS,  # in arguments that are given as a dict
        ):
            found.append(node.value)
        elif isinstance(node, ast.Call):
            called = full_name(node.func, imported) or ""
            found += [
                guard
                for guard, value in keywords_of(node).items()
                if guard in GUARDS and ast.unparse(value) != str(GUARDS[guard])
            ]
            found += [
                called
                for guarded, place in GUARDED.items()
                if f".{called}".endswith(f".{guarded}")
                and len(node.args) > place
            ]
    return found


@every_file
def test_nothing_unpickles_or_evaluates_text(path):
    assert not find_unsafe_reading(read_tree(path)), "Save weights and JSON."


@pytest.mark.parametrize(
    "unsafe",
    [
        "import pickle",
        "from dill import loads",
        "import joblib.externals.cloudpickle",
        "from joblib.externals import cloudpickle as pack",
        "import joblib\njoblib.load('trials')",
        "import joblib as j\nload = j.load",
        "from joblib import load",
        "import marshal as m",
        "import shelve",
        "import importlib\nimportlib.import_module('pickle')",
        "def f(text):\n    return eval(text)",
        "exec('x = 1')",
        "code = compile(text, 'text', 'exec')",
        "import builtins\nbuiltins.eval('1')",
        "from builtins import exec as run",
        "import numpy as np\nnp.load('x.npy', allow_pickle=True)",
        "import numpy as np\nnp.load('x.npy', None, True)",
        "import numpy as np\nnp.load('x.npy', allow_pickle=trusted)",
        "import keras\nkeras.saving.load_model(path, safe_mode=False)",
        "import keras\nkeras.saving.load_model(path, None, True, False)",
        "from keras.saving import load_model\nload_model(p, None, True, False)",
        "layer.from_config(config, safe_mode=not strict)",
        "load(path, **{'safe_mode': False})",
        "import keras\nkeras.config.enable_unsafe_deserialization()",
        "from keras.config import enable_unsafe_deserialization as go\ngo()",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "from yaml import unsafe_load",
        "import torch\ntorch.load(path)",
    ],
)
def test_what_unpickles_or_evaluates_text_is_found(unsafe):
    assert find_unsafe_reading(ast.parse(unsafe))


def test_what_reads_numbers_and_settings_is_not_found():
    safe = """
import json, re
import joblib
import keras
import numpy as np
from joblib.externals.loky import get_reusable_executor

joblib.Parallel(2)
model.compile("sgd", "mse")
re.compile("a+")
json.loads("{}")
np.load("x.npy")
np.load("x.npy", allow_pickle=False)
keras.saving.load_model(path)
keras.saving.load_model(path, None, True)
keras.saving.load_model(path, safe_mode=True)
model.load_weights(path)
"""
    assert find_unsafe_reading(ast.parse(safe)) == []


# Whatever opens a connection: modules, and functions that get a file.
NETWORKS = {"ftplib", "http", "requests", "socket", "urllib", "urllib3"}
DOWNLOADS = {"keras.datasets", "keras.utils.get_file", "get_file"}


def find_downloads(tree):
    """What a file uses of the network, by its names."""
    found = []
    for module, names in imports_in(tree):
        parts = {module, *(f"{module}.{name}" for name in names)}
        found += [one for one in parts if is_within(one, NETWORKS | DOWNLOADS)]
        if is_within(module, {"sklearn.datasets"}):
            found += [name for name in names if name.startswith("fetch_")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in DOWNLOADS or node.attr.startswith("fetch_"):
                found.append(name)
    return found


@every_file
def test_nothing_downloads(path):
    assert not find_downloads(read_tree(path)), (
        "A recipe needs no network unless it has an option `--dataset`. The "
        "first one that has it brings the tests: its file is checked against "
        "a SHA-256, and half a file is loaded again."
    )


@pytest.mark.parametrize(
    "loads",
    [
        "import urllib.request",
        "from urllib import request",
        "import socket",
        "from http.client import HTTPSConnection",
        "import keras\nkeras.datasets.mnist.load_data()",
        "from keras.datasets import mnist",
        "from keras import datasets",
        "import keras\nkeras.utils.get_file('x', 'https://example.org/x')",
        "from keras.utils import get_file",
        "from sklearn.datasets import fetch_openml",
        "from sklearn import datasets\ndatasets.fetch_covtype()",
    ],
)
def test_what_downloads_is_found(loads):
    assert find_downloads(ast.parse(loads))


@every_file
def test_nothing_prints_by_the_way(path):
    tree = read_tree(path)
    assert not calls_of("breakpoint", tree)
    if path in RECIPES.values() or path.relative_to(PACKAGE).parts[0] in ROOMS:
        assert not calls_of("print", tree)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_of_a_room(room):
    assert room in ROOM_IMPORTS, (
        "A new room: what may it import? Say so in ROOM_IMPORTS, and in the "
        "contracts of pyproject.toml."
    )
    allowed = ROOM_IMPORTS[room] | {f"kerasrecipes.{room}", CHECKS}
    for path in (PACKAGE / room).rglob("*.py"):
        for module, names in imports_in(read_tree(path)):
            modules = [f"{module}.{name}" for name in names] or [module]
            assert (
                is_standard(module)
                or is_within(module, allowed)
                or all(is_within(one, allowed) for one in modules)
            ), f"{path.name} imports {module}."


@every_module_of_the_harness
def test_the_harness_loads_no_engine(name):
    """Keras takes seconds: a command imports it when it needs it."""
    for module, _ in imports_in(read_tree(MODULES[name]), at_load=True):
        assert not is_within(module, SLOW_TO_LOAD), module
        assert not is_within(module, {"recipes", "kerasrecipes.recipes"})
        if MODULES[name].stem in QUICK_TO_LOAD:
            assert not is_within(module, {"numpy", "scipy", "matplotlib"})


def test_every_room_is_under_contract():
    with open(ROOT / "pyproject.toml", "rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    rooms = {f"kerasrecipes.{room}" for room in ROOMS}
    bound = [set(one.get("source_modules", ())) for one in contracts]
    assert rooms in bound


def run_tool(*words):
    answer = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_import_contracts():
    code = "import importlinter.cli as cli; cli.lint_imports_command()"
    run_tool("-c", code, "--no-cache", "--no-logo")


def test_ruff_finds_nothing():
    run_tool("-m", "ruff", "check", "--no-cache", ".")


def test_ruff_would_format_nothing():
    run_tool("-m", "ruff", "format", "--no-cache", "--check", ".")


# ----------------------------------------------------------------------
# Docstrings of the helper package


def find_documented(tree):
    """What a reader may meet: name, node, and the class that it is in."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append((node.name, node, None))
        if isinstance(node, ast.ClassDef):
            found += [
                (f"{node.name}.{inner.name}", inner, node)
                for inner in node.body
                if isinstance(inner, ast.FunctionDef)
            ]
    return [one for one in found if not re.search(r"(^|\.)_", one[0])]


def needs_no_words(node, owner):
    """A property, or what a base class documents."""
    if owner is None:
        return False
    return bool(owner.bases) or "property" in map(
        ast.unparse, node.decorator_list
    )


def arguments_to_document(node):
    """Those of a function, or of a class's constructor."""
    if isinstance(node, ast.FunctionDef):
        return arguments_of(node)
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return arguments_of(inner)
    return []


@every_module
def test_docstrings(name):
    """Everything has one, and `Args:` is complete or not there."""
    faults = []
    for where, node, owner in find_documented(read_tree(MODULES[name])):
        docstring = ast.get_docstring(node)
        if needs_no_words(node, owner):
            continue
        if docstring is None:
            faults.append(f"{where} has no docstring")
            continue
        if not docstring.splitlines()[0].endswith("."):
            faults.append(f"{where}: the first line is no sentence")
        entries = documented_arguments(docstring)
        arguments = arguments_to_document(node)
        # A dataclass has fields in place of arguments.
        is_function = isinstance(node, ast.FunctionDef)
        if entries is not None and (is_function or arguments):
            if entries != arguments:
                faults.append(f"{where}: has {entries}, expected {arguments}")
        elif len(arguments) > 2 and owner is None:
            faults.append(f"{where}: `Args:` are missing")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in MODULES
        if name.count("/") > 1 or name.endswith("/plotting.py")
    ],
)
def test_docstrings_of_what_recipes_use_name_every_argument(name):
    """A method's arguments may be explained once, in its class."""
    offered = public_names(name.split("/")[1].removesuffix(".py"))
    faults = []
    for where, node, owner in find_documented(read_tree(MODULES[name])):
        if where.partition(".")[0] not in offered:
            continue
        if needs_no_words(node, owner):
            continue
        texts = [ast.get_docstring(one) or "" for one in (node, owner) if one]
        named = set(re.findall(r"`(\w+)`", " ".join(texts)))
        named |= set(documented_arguments(texts[0]) or [])
        faults += [
            f"{where}: `{argument}`"
            for argument in arguments_to_document(node)
            if argument not in named
        ]
    assert not faults, "\n".join(faults)


# ----------------------------------------------------------------------
# The checkout


def tracked_files():
    """The files that git knows; without git, those beside this one."""
    try:
        answer = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        names = answer.stdout.decode("utf-8").split("\0")[:-1]
        files = [ROOT / name for name in names]
    except (OSError, subprocess.CalledProcessError):
        rooms = ("kerasrecipes", "recipes", "data", "tests")
        files = [*ROOT.glob("*.*")]
        for room in rooms:
            files += (ROOT / room).rglob("*")
    # During a merge git lists a file once for each side.
    return sorted({path for path in files if path.is_file()})


def tracked_texts():
    """Path and text of every tracked file that is text."""
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8")


def lines_with(pattern):
    return [
        f"{name}, line {number}: {line.strip()[:80]}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_no_machine_is_named():
    """Neither a package registry's host nor a folder of somebody's disk."""
    hosts = r"pypi\.org|pythonhosted\.org|anaconda\.org|registry\.npmjs"
    assert not lines_with(hosts)
    assert not lines_with(r"(?<![\w.~/}-])/(?:work|home|root|tmp|Users)/")


def test_papers_on_arxiv_are_abstract_pages():
    assert not lines_with(r"arxiv\.org/(?!abs/)")


def test_no_names_that_differ_only_in_case():
    names = [path.relative_to(ROOT).as_posix() for path in tracked_files()]
    folded = sorted(name.casefold() for name in names)
    assert len(folded) == len(set(folded)), (
        "Windows and macOS would keep one of them."
    )


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_every_package_is_installed(setup):
    there = {path.parent for path in PACKAGE.rglob("__init__.py")}
    names = {
        ".".join(folder.relative_to(ROOT).parts).replace("/", ".")
        for folder in there
    }
    mapped = setup["options"]["package_dir"].strip().splitlines()
    for line in mapped:
        name, folder = (part.strip() for part in line.split("="))
        assert (ROOT / folder / "__init__.py").exists()
        names.add(name)
    listed = setup["options"]["packages"].split()
    assert listed == sorted(names)


def test_constraints_pin_every_requirement(setup):
    lines = [
        setup["options"]["install_requires"],
        *setup["options.extras_require"].values(),
    ]
    needed = [
        Requirement(line)
        for line in "\n".join(lines).splitlines()
        if line.strip()
    ]
    pins = {}
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if line:
            pin = Requirement(line)
            (exactly,) = pin.specifier
            assert exactly.operator == "==", line
            pins.setdefault(canonicalize_name(pin.name), []).append(exactly)
    for requirement in needed:
        found = pins.get(canonicalize_name(requirement.name), [])
        assert found, f"constraints.txt does not pin {requirement.name}."
        for pin in found:
            assert requirement.specifier.contains(pin.version), requirement
