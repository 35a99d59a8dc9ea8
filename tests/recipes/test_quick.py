"""Every recipe, run as `--quick` runs it. Recipes are found, not listed."""

import ast
import importlib
import json
import math
import re

import matplotlib.image
import pytest

from kerasrecipes import catalogue
from kerasrecipes.engine import engine
from kerasrecipes.experiment import pool
from kerasrecipes.options import Options, parameters
from kerasrecipes.running import run

RECIPES = catalogue.recipe_paths()
# The one recipe that runs twice: the same numbers must come again.
SHORTEST = min(
    RECIPES, key=lambda name: (len(RECIPES[name].read_bytes()), name)
)
# First words of a sentence that leans on the one before it.
LEANING = ("It", "Its", "Nor", "So", "Then", "There", "They", "This")

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
    for one in report["runs"]:
        assert bool(one["trials"]) is not one["timing"]
    assert trials
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
        # It is also read alone, in the gallery's ledger.
        assert claim["text"].split()[0] not in LEANING, claim["text"]
        assert catalogue.split_citation(claim["notes"]) in cited
        if claim["effect"] is None:
            continue
        if claim["exact"]:
            assert claim["outcome"] == "supported", claim
        else:
            assert math.isfinite(claim["effect"])

    pictures = sorted(tmp_path.glob("*.png"))
    assert pictures
    for path in pictures:
        picture = matplotlib.image.imread(path)[..., :3]
        assert min(picture.shape[:2]) > 100
        assert picture.std() > 0.01, "an empty picture"
    others = set(tmp_path.iterdir()) - set(pictures)
    assert [path.name for path in others] == ["report.json"]

    assert any(
        one["exact"] and one["effect"] is not None for one in report["claims"]
    )

    if name == SHORTEST:
        run_quickly(name, tmp_path / "again")
        again = read_report(tmp_path / "again")
        assert trials_of(again) == trials_of(report)


@every_recipe
def test_what_takes_times(name):
    """A quick run leaves it out; here it is run once for each variant."""
    recipe = catalogue.find_recipe(name)
    calls = [
        ast.unparse(call)
        for call in catalogue.trial_calls(recipe.path)
        if any(keyword.arg == "timing" for keyword in call.keywords)
    ]
    if not calls:
        pytest.skip("it takes no times")
    if engine() not in recipe.backends:
        pytest.skip(f"it runs on {', '.join(recipe.backends)}")

    def run_trials(function, variants=None, conditions=None, *, seeds, timing):
        assert timing is True
        for given in (conditions or {"": {}}).values():
            for arguments in (variants or {"": {}}).values():
                try:
                    scores = function(seed=0, **given, **arguments)
                except ModuleNotFoundError as error:
                    if "extras" not in recipe.fields:
                        raise
                    pytest.skip(str(error))
                scores.pop("curves", None)
                assert scores and all(map(math.isfinite, scores.values()))

    module = importlib.import_module(
        f"kerasrecipes.recipes.{name.replace('/', '.')}"
    )
    sizes = {p.name: p.default for p in parameters(recipe.path)}
    for call in calls:
        names = {**vars(module), **sizes, "run_trials": run_trials}
        exec(call, names)  # noqa: S102 (the recipe's own words)


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
