"""Copies as text: what they hold, what they leave out, what is overwritten."""

import ast
import builtins
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from kerasrecipes import catalogue, copying
from kerasrecipes.excerpts import (
    helper_text,
    import_line,
    packages,
    recipe_text,
    setting_lines,
    single_imports,
)
from kerasrecipes.notebooks import notebook_cells, to_markdown
from kerasrecipes.options import UsageError, parameters

RECIPES = catalogue.recipe_paths()
HELPERS = copying.helper_names()
ONE = "local_response"
OWN = "recipe_helpers"

every_recipe = pytest.mark.parametrize("name", RECIPES)
every_helper = pytest.mark.parametrize("name", HELPERS)


def planned(*names, notebook=False):
    return copying.plan(names, OWN, notebook)


def top_level(text):
    """Names that a text defines, and the statements that do so."""
    found = {}
    for node in ast.parse(text).body:
        for one in [*single_imports(node)] or [node]:
            for name in catalogue.bound_names(one):
                found.setdefault(name, []).append(one)
    return found


def has_no_trace_of_us(text):
    """Whether nothing is imported from kerasrecipes."""
    modules = [
        getattr(node, "module", None) or node.names[0].name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    return not any(name.startswith("kerasrecipes") for name in modules)


# ----------------------------------------------------------------------
# Recipes


@every_recipe
def test_a_copied_recipe_is_clean(name, tmp_path):
    """No name is missing or unused, and it is formatted: ruff says so."""
    copies = planned(name)
    copying.write_copies(copies, tmp_path, force=False)
    words = ["--isolated", "--line-length", "80"]
    for command in (
        ["check", "--select", "E,F,W", *words, str(tmp_path)],
        ["format", "--check", *words, str(tmp_path)],
    ):
        ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
        said = subprocess.run(
            [ruff, *command], capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stdout


@every_recipe
def test_a_copied_recipe_is_without_the_harness(name):
    recipe = catalogue.find_recipe(name)
    text = recipe_text(recipe, OWN)
    assert has_no_trace_of_us(text)
    names = top_level(text)
    for left_out in ("main", "QUICK", "FULL", "Claim", "Report", "cook"):
        assert left_out not in names
    assert not re.search(r"\bplot_|run_trials|kerasrecipes\.", text)
    assert "matplotlib" not in text or "matplotlib" in packages([text])
    assert ":question:" not in text
    for paper in recipe.fields.get("papers", "").split("; "):
        assert paper in text
    assert text.startswith(f'"""\n{recipe.title}\n')


@every_recipe
def test_its_code_is_the_recipes_own(name):
    recipe = catalogue.find_recipe(name)
    source = top_level(recipe.path.read_text(encoding="utf-8"))
    added = {"run_once"}
    for one, nodes in top_level(recipe_text(recipe, OWN)).items():
        if one in added or any(isinstance(n, ast.ImportFrom) for n in nodes):
            continue
        if one in {parameter.name for parameter in parameters(recipe.path)}:
            continue
        found = [ast.dump(node) for node in nodes]
        assert found == [ast.dump(node) for node in source[one]], one


@every_recipe
def test_all_prose_of_what_is_copied_is_there(name):
    recipe = catalogue.find_recipe(name)
    source = recipe.path.read_text(encoding="utf-8")
    text = recipe_text(recipe, OWN)
    titles = re.findall(r"# %%\n# (.+)\n", text)
    assert titles[-1] == "Each variant once"
    assert titles[-2] == "What to make of it"
    assert "The experiment" not in titles
    comments = [line for line in text.splitlines() if line.startswith("# ")]
    for line in comments[:-3]:
        assert line in source


@every_recipe
def test_it_trains_with_the_default_settings(name):
    recipe = catalogue.find_recipe(name)
    defaults = {p.name: p.default for p in parameters(recipe.path)}
    lines = setting_lines(recipe)
    assert lines
    for line in lines:
        setting, value = line.split(" = ")
        assert ast.literal_eval(value) == defaults[setting]
    text = recipe_text(recipe, OWN)
    tail = ast.parse(text).body[-1]
    assert ast.unparse(tail.test) == "__name__ == '__main__'"
    calls = [node for node in tail.body if isinstance(node, ast.Expr)]
    used = set().union(*map(catalogue.loaded_names, calls))
    assert {line.split(" = ")[0] for line in lines} <= used
    # Every name that the calls use is there when the file is read.
    known = {*top_level(text), *dir(builtins), *defaults}
    assert used <= known


@every_recipe
def test_helpers_are_those_that_it_reaches(name):
    """Every file is imported by another one, and every import has a file."""
    copies = {copy.path.as_posix(): copy.content for copy in planned(name)}
    topic = name.partition("/")[2]
    files = {
        Path(path).stem
        for path in copies
        if path.startswith(OWN) and path.endswith(".py")
    } - {"__init__"}
    imported = set()
    for path, text in copies.items():
        if not path.endswith(".py"):
            continue
        start = rf"{OWN}\." if path == f"{topic}.py" else r"\."
        imported |= set(re.findall(rf"(?m)^from {start}(\w+) import", text))
    assert imported == files


def test_names_are_distinct():
    """Helpers lie in one folder, and a name is a helper's or a topic's."""
    files = set(HELPERS.values())
    assert len({file.name for file in files}) == len(files)
    assert not set(HELPERS) & {path.stem for path in RECIPES.values()}


# ----------------------------------------------------------------------
# Helpers, imports, packages


@every_helper
def test_a_helper_alone(name, tmp_path):
    copies = planned(name)
    file = HELPERS[name]
    (main,) = [copy for copy in copies if copy.path.name == file.name]
    assert name in top_level(main.content)
    for copy in copies:
        if copy.path.suffix == ".py":
            assert has_no_trace_of_us(copy.content)
    stamp = main.content.split("\n\n")[0]
    is_keras_class = "register_keras_serializable" in main.content
    assert ("Before a saved model is loaded" in stamp) == is_keras_class
    if is_keras_class:
        lines = stamp.replace("# ", "").splitlines()
        start = lines.index("Before a saved model is loaded:") + 1
        statement = ast.parse("\n".join(lines[start:-1])).body[0]
        assert statement.module == f"{OWN}.{file.stem}"
        # A function that lies beside a class is not what a model has saved.
        assert {alias.name for alias in statement.names} == {
            node.name
            for node in ast.parse(main.content).body
            if isinstance(node, ast.ClassDef)
            and "register_keras_serializable" in ast.unparse(node)
        }
        # The originals and the copies are registered under one name.
        assert 'package="kerasrecipes"' in main.content


def test_data_come_along_with_their_loader():
    paths = {copy.path.as_posix() for copy in planned("load_eeg")}
    assert {f"{OWN}/eeg.csv", f"{OWN}/eeg.md"} <= paths
    assert not any("stocks" in path for path in paths)
    text = helper_text(HELPERS["load_eeg"])
    assert "resources.files(__package__)" in text
    assert "kerasrecipes.data" not in text


@pytest.mark.parametrize(
    ("module", "names", "line"),
    [
        ("", ["keras"], "import keras"),
        ("a.b", ["c", "d"], "from a.b import c, d"),
        ("a", ["b" * 66], f"from a import {'b' * 66}"),
        ("a", ["b" * 67], f"from a import (\n    {'b' * 67},\n)"),
    ],
)
def test_import_lines(module, names, line):
    assert import_line(module, [ast.alias(name) for name in names]) == line


def test_packages_have_the_names_that_pip_knows():
    text = "import os, keras\nfrom sklearn.svm import SVC\nfrom .a import b\n"
    assert packages([text, "def f():\n    import scipy.stats"]) == [
        "keras",
        "scikit-learn",
        "scipy",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("droput", "dropout"),
        ("LocalResponseNormalisation", "LocalResponseNormalization"),
        ("regularization/dropuot", "regularization/dropout"),
        ("../dropout", ""),
        ("", ""),
    ],
)
def test_unknown_names(name, hint):
    with pytest.raises(UsageError, match=r"^There is no recipe or helper"):
        copying.find(name)
    if hint:
        with pytest.raises(UsageError, match=rf"Did you mean {hint}\?$"):
            copying.find(name)


@pytest.mark.parametrize("package", ["../x", "a.b", "a-b", "class", "", "/x"])
def test_names_of_packages(package):
    with pytest.raises(UsageError, match=r"^Expected --helpers to be a name"):
        copying.plan([ONE], package, False)


def test_a_package_with_the_recipes_name():
    with pytest.raises(UsageError, match="another name than the recipe"):
        copying.plan([ONE], ONE, False)


# ----------------------------------------------------------------------
# Files that are there already


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "project"
    copying.write_copies(planned(ONE), folder, force=False)
    return folder


def states(folder, *names, notebook=False):
    return {
        copy.path.name: copying.state(copy, folder)
        for copy in planned(*names, notebook=notebook)
    }


def contents(folder):
    return {
        path: path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_copying_twice_changes_nothing(folder):
    before = contents(folder)
    assert set(states(folder, ONE).values()) == {"up to date"}
    copying.write_copies(planned(ONE), folder, force=False)
    assert contents(folder) == before


def test_recipes_share_helpers(folder):
    kept = folder / OWN / "folds.py"
    before = kept.stat().st_mtime_ns
    copying.write_copies(planned("dropout"), folder, force=False)
    assert kept.stat().st_mtime_ns == before
    assert {path.name for path in folder.iterdir()} == {
        "dropout.py",
        "local_response.py",
        OWN,
    }


def test_a_changed_file_is_never_lost(folder):
    path = folder / "local_response.py"
    path.write_text(path.read_text("utf-8").replace("seed", "sEEd"), "utf-8")
    before = contents(folder)
    assert states(folder, ONE)[path.name] == "changed since it was copied"
    with pytest.raises(UsageError, match=r"^Nothing was written") as caught:
        copying.write_copies(planned(ONE, "dropout"), folder, force=False)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(folder) == before
    (copy,) = [one for one in planned(ONE) if one.path.name == path.name]
    difference = copying.difference(copy, folder)
    assert re.search(r"(?m)^-.*sEEd", difference)
    assert re.search(r"(?m)^\+.*seed", difference)
    copying.write_copies(planned(ONE), folder, force=True)
    assert states(folder, ONE)[path.name] == "up to date"


def test_an_older_form_is_told_from_a_changed_one(folder):
    path = folder / "local_response.py"
    body = '"""An older form."""\n'
    path.write_text(copying.stamped(body, RECIPES[f"normalization/{ONE}"]))
    assert states(folder, ONE)[path.name] == "older form"
    path.write_text("print('mine')\n")
    assert states(folder, ONE)[path.name] == "not a copy"
    with pytest.raises(UsageError, match="not a copy"):
        copying.write_copies(planned(ONE), folder, force=False)
    assert path.read_text() == "print('mine')\n"


def test_a_package_may_have_an_init_of_its_own(folder):
    path = folder / OWN / "__init__.py"
    path.write_text("mine = 1\n")
    copying.write_copies(planned("dropout"), folder, force=True)
    assert path.read_text() == "mine = 1\n"


def test_places_that_cannot_be(tmp_path):
    there = tmp_path / "file"
    there.write_text("")
    with pytest.raises(UsageError, match=r"^Expected --to to be a folder"):
        copying.write_copies(planned(ONE), there, force=True)
    (tmp_path / "a" / "local_response.py").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / OWN).write_text("")
    for name in "ab":
        with pytest.raises(UsageError, match="is in the way"):
            copying.write_copies(planned(ONE), tmp_path / name, force=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / OWN).symlink_to(outside)
    with pytest.raises(UsageError, match="leads out of"):
        copying.write_copies(planned(ONE), tmp_path / "c", force=True)
    assert not list(outside.iterdir())


def test_a_failure_leaves_no_half_of_a_file(folder, monkeypatch):
    path = folder / "local_response.py"
    path.write_text("mine\n")

    def full(self, content):
        Path(self).touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match="No space"):
        copying.write_copies(planned(ONE), folder, force=True)
    assert path.read_text() == "mine\n"
    assert not list(folder.glob(".*"))


# ----------------------------------------------------------------------
# Notebooks


@every_recipe
def test_a_notebook_is_valid_and_stands_alone(name):
    (copy,) = planned(name, notebook=True)
    notebook = nbformat.reads(copy.content, 4)
    nbformat.validate(notebook)
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert texts[0].startswith("# Settings\n")
    code = [text for text in texts if not text.startswith("%%")]
    assert has_no_trace_of_us("\n".join(code))
    # Cells share their names: what is defined twice is the same twice.
    for one, nodes in top_level("\n".join(code)).items():
        assert len({ast.dump(node) for node in nodes}) == 1, one
    assert "kerasrecipes" in notebook.cells[0].source


@every_recipe
def test_prose_of_notebooks_is_markdown(name):
    for kind, text in notebook_cells(catalogue.find_recipe(name)):
        if kind == "markdown":
            assert not re.search(r":\w+:`|``|\.\. math|`_|^[-=]{3,}$", text)
            assert text.count("$$") % 2 == 0


def test_markdown():
    text = (
        "Title\n=====\n\nWith ``code``, :math:`a_1` and `a page "
        "<https://example.org>`_.\n\n.. math::\n\n   a &= b \\\\\n"
        "   c &= d\n\nPart\n----\nMore."
    )
    assert to_markdown(text) == (
        "# Title\n\nWith `code`, $a_1$ and [a page](https://example.org).\n\n"
        "$$\na &= b \\\\\nc &= d\n$$\n\n## Part\nMore."
    )


def test_running_a_notebook_does_not_change_it(tmp_path):
    (copy,) = planned(ONE, notebook=True)
    copying.write_copies([copy], tmp_path, force=False)
    path = tmp_path / copy.path
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"][1]["execution_count"] = 7
    notebook["cells"][1]["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": ["hello"]}
    ]
    path.write_text(json.dumps(notebook), "utf-8")
    assert copying.state(copy, tmp_path) == "up to date"
    notebook["cells"][1]["source"] = ["epochs = 1000"]
    path.write_text(json.dumps(notebook), "utf-8")
    assert copying.state(copy, tmp_path) == "changed since it was copied"
    assert "+epochs" in copying.difference(copy, tmp_path)
    for damaged in ("[1]", "{", '{"cells": 3}'):
        path.write_text(damaged)
        assert copying.state(copy, tmp_path) == "not a copy"


def test_helpers_become_no_notebooks():
    with pytest.raises(UsageError, match=r"^Only recipes become notebooks"):
        planned("ResetStates", notebook=True)
