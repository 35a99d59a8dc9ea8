"""Copied recipes run alone, and give the recipe's own scores to the last bit.

Both are trained in processes of their own with one thread, in their `--quick`
size: the copies where kerasrecipes cannot be imported.
"""

import json
import os
import subprocess
import sys
from datetime import date

import nbformat
import pytest
from nbclient import NotebookClient

from kerasrecipes import catalogue, copying
from kerasrecipes.engine import engine, prepare_engine
from kerasrecipes.excerpts import RUN_ONCE, run_lines, setting_lines
from kerasrecipes.options import size_settings

pytestmark = pytest.mark.copies

RECIPES = [
    recipe for recipe in catalogue.all_recipes() if engine() in recipe.backends
]
# A third of them on each day.
TODAY = [
    recipe
    for number, recipe in enumerate(RECIPES)
    if (number + date.today().toordinal()) % 3 == 0
]
BLOCKED = "import sys\nsys.modules['kerasrecipes'] = None\n"

# Stands around `run_once`: cuts variants down as a quick run does, and keeps
# every score to the last bit.
WATCH = """
def watched(run_once, only, found):
    def kept(kind, named):
        names = only.get(kind, named)
        return named and {n: named[n] for n in named if n in names}

    def watch(function, variants=None, conditions=None, **settings):
        def recorded(**arguments):
            scores = function(**arguments)
            found.append({
                name: float(score).hex()
                for name, score in scores.items()
                if name != "curves"
            })
            return scores
        recorded.__name__ = function.__name__
        run_once(
            recorded,
            kept("variants", variants),
            kept("conditions", conditions),
            **settings,
        )
    return watch
"""

RUN_FILE = (
    BLOCKED
    + WATCH
    + """
import ast, json, runpy
for path, only, target in json.loads(sys.argv[1]):
    names = runpy.run_path(path)
    body = ast.parse(open(path, encoding="utf-8").read()).body[-1].body
    names["run_once"] = watched(names["run_once"], only, found := [])
    exec(compile(ast.Module(body, []), path, "exec"), names)
    with open(target, "w") as file:
        json.dump(found, file)
"""
)

RUN_ORIGINAL = (
    WATCH
    + """
import importlib, json, sys
for name, lines, only, target in json.loads(sys.argv[1]):
    names = dict(vars(importlib.import_module(name)))
    exec(lines[0], names)
    names["run_once"] = watched(names["run_once"], only, found := [])
    exec(lines[1], names)
    with open(target, "w") as file:
        json.dump(found, file)
"""
)


def quick(recipe):
    """Settings of a quick run, and the names that it is cut down to."""
    values = dict(size_settings(recipe.path, "QUICK"))
    only = {
        kind: values.pop(kind)
        for kind in ("variants", "conditions")
        if kind in values
    }
    return values, only


def shortened(recipe, text, start=""):
    """A copied text, with the settings of a quick run."""
    values, _ = quick(recipe)
    lines = zip(
        setting_lines(recipe), setting_lines(recipe, values), strict=True
    )
    for old, new in lines:
        assert text.count(f"\n{start}{old}\n") == 1, old
        text = text.replace(f"\n{start}{old}\n", f"\n{start}{new}\n")
    return text


def run_python(code, tasks, folder):
    """Runs code in a process of its own, with one thread."""
    prepare_engine()
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(tasks)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Copies of every recipe, with the settings of a quick run."""
    folder = tmp_path_factory.mktemp("project")
    names = [recipe.name for recipe in RECIPES]
    planned = copying.plan(names, "recipe_helpers", False)
    copying.write_copies(planned, folder, force=False)
    for recipe in RECIPES:
        path = folder / f"{recipe.topic}.py"
        text = shortened(recipe, path.read_text("utf-8"), "    ")
        path.write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Scores of the recipes themselves, by topic."""
    folder = tmp_path_factory.mktemp("own")
    tasks = []
    for recipe in RECIPES:
        values, only = quick(recipe)
        lines = [*setting_lines(recipe, values), *run_lines(recipe)]
        name = f"kerasrecipes.recipes.{recipe.chapter}.{recipe.topic}"
        target = str(folder / recipe.topic)
        tasks.append([name, [RUN_ONCE, "\n".join(lines)], only, target])
    run_python(RUN_ORIGINAL, tasks, folder)
    return {
        r.topic: json.loads((folder / r.topic).read_text()) for r in RECIPES
    }


def test_copies_give_the_same_scores(folder, own):
    tasks = []
    for recipe in RECIPES:
        target = str(folder / f"{recipe.topic}.json")
        path = str(folder / f"{recipe.topic}.py")
        tasks.append([path, quick(recipe)[1], target])
    said = run_python(RUN_FILE, tasks, folder)
    for recipe in RECIPES:
        text = (folder / f"{recipe.topic}.json").read_text()
        found = json.loads(text)
        assert found and found == own[recipe.topic], recipe.name
        for scores in found:
            for name in scores:
                assert f"\n    {name}: " in said


@pytest.mark.enable_socket  # to the kernel, on this machine
@pytest.mark.parametrize("recipe", TODAY, ids=lambda recipe: recipe.name)
def test_a_notebook_gives_the_same_scores(recipe, own, tmp_path):
    prepare_engine()
    _, only = quick(recipe)
    (copy,) = copying.plan([recipe.name], "recipe_helpers", True)
    notebook = nbformat.reads(copy.content, 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    first, last = cells[0], cells[-1]
    first.source = BLOCKED + shortened(recipe, f"\n{first.source}\n")
    watch = f"run_once = watched(run_once, {only!r}, found := [])\n"
    assert last.source.startswith(RUN_ONCE)
    last.source = last.source.replace(RUN_ONCE, RUN_ONCE + WATCH + watch)
    last.source += "\nimport json\njson.dump(found, open('scores', 'w'))"
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=600, resources=resources)
    client.execute()
    found = json.loads((tmp_path / "scores").read_text())
    assert found and found == own[recipe.topic]
    printed = "".join(output.get("text", "") for output in last.outputs)
    for name in found[0]:
        assert f"\n    {name}: " in printed
