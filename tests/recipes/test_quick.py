"""Every recipe, run as `--quick` runs it. Recipes are found, not listed."""

import importlib
import json
import math
import re

import matplotlib.image
import pytest

from kerasrecipes import catalogue
from kerasrecipes.engine import engine
from kerasrecipes.experiment import pool
from kerasrecipes.options import Options
from kerasrecipes.running import run

RECIPES = catalogue.recipe_paths()
# The one recipe that runs twice: the same numbers must come again.
SHORTEST = min(
    RECIPES, key=lambda name: (len(RECIPES[name].read_bytes()), name)
)

every_recipe = pytest.mark.parametrize("name", RECIPES)


def run_quickly(name, folder):
    """Runs a recipe as `--quick` does; returns its exit status."""
    recipe = catalogue.find_recipe(name)
    if engine() not in recipe.backends:
        pytest.skip(f"it runs on {', '.join(recipe.backends)}")
    module = importlib.import_module(
        f"kerasrecipes.recipes.{name.replace('/', '.')}"
    )
    options = Options(quick=True, jobs=1, out=folder)
    return run(recipe, module.main, {}, options)


def read_report(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def trials_of(report):
    """Scores and curves of every trial whose scores are no times."""
    return [
        (one["function"], {**trial, "seconds": None})
        for one in report["runs"]
        if not one["timing"]
        for trial in one["trials"]
    ]


@every_recipe
def test_a_quick_run(name, tmp_path):
    status = run_quickly(name, tmp_path)
    report = read_report(tmp_path)
    assert report["failures"] == []
    assert status == 0

    trials = [trial for one in report["runs"] for trial in one["trials"]]
    assert trials and all(one["trials"] for one in report["runs"])
    assert sum(trial["seconds"] for trial in trials) > 0
    for trial in trials:
        assert trial["scores"]
        values = [*trial["scores"].values()]
        for curve in trial["curves"].values():
            values += curve
        assert all(map(math.isfinite, values))

    assert report["tables"] and report["claims"]
    texts = [claim["text"] for claim in report["claims"]]
    assert len(texts) == len(set(texts))
    cited = catalogue.find_recipe(name).notes
    for claim in report["claims"]:
        assert not claim["text"].endswith(".")
        assert catalogue.split_citation(claim["notes"]) in cited
        if claim["exact"]:
            assert claim["outcome"] == "supported", claim
        elif claim["effect"] is not None:
            assert math.isfinite(claim["effect"])

    pictures = sorted(tmp_path.glob("*.png"))
    assert pictures
    for path in pictures:
        picture = matplotlib.image.imread(path)[..., :3]
        assert min(picture.shape[:2]) > 100
        assert picture.std() > 0.01, "an empty picture"
    others = set(tmp_path.iterdir()) - set(pictures)
    assert [path.name for path in others] == ["report.json"]

    if name == SHORTEST:
        run_quickly(name, tmp_path / "again")
        again = read_report(tmp_path / "again")
        assert trials_of(again) == trials_of(report)


@every_recipe
def test_failed_trials_are_named(name, tmp_path, monkeypatch, capsys):
    """Whatever `main` makes of them: a figure of nothing must hide nothing."""
    tried = []

    def fail(function, arguments):
        tried.append(function.__name__)
        return {"error": "ValueError: no luck", "traceback": ""}

    monkeypatch.setattr(pool, "run_one", fail)
    assert run_quickly(name, tmp_path) == 1
    said = re.findall(
        r"^A trial failed: (\w+) \(.*\bseed \d+\): ValueError: no luck$",
        capsys.readouterr().err,
        re.MULTILINE,
    )
    assert tried and said == tried
