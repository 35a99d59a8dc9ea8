"""What is recorded is what the recipes say. Nothing is trained here."""

import importlib
import importlib.util
import shutil

import pytest

from kerasrecipes import catalogue, recording
from kerasrecipes.engine import engine
from kerasrecipes.experiment.trials import Session, use
from kerasrecipes.running import as_json, by_key, figure_files
from kerasrecipes.text import markdown

RECIPES = catalogue.recipe_paths()
SEEDS = 10

every_recipe = pytest.mark.parametrize("name", RECIPES)
pytestmark = pytest.mark.skipif(
    engine() != "tensorflow", reason="results are recorded on TensorFlow"
)


def load_recorded(name):
    """A recipe, its `main` and its recorded results."""
    recipe = catalogue.find_recipe(name)
    stored = catalogue.load_results(recipe)
    assert stored is not None, (
        f"{name} has no recorded results. Say: "
        f"kerasrecipes record {recipe.topic}"
    )
    module = importlib.import_module(
        f"kerasrecipes.recipes.{name.replace('/', '.')}"
    )
    return recipe, module.main, stored


@every_recipe
def test_what_is_recorded_is_current(name):
    recipe, main, _ = load_recorded(name)
    assert recording.check_recording(recipe, main) == []


@every_recipe
def test_recorded_results(name):
    recipe, _, stored = load_recorded(name)
    assert stored["recipe"] == name and stored["title"] == recipe.title
    assert stored["backend"] == "tensorflow"
    assert stored["failures"] == []
    assert {"keras", "numpy", "python", "tensorflow"} <= set(stored["versions"])
    assert stored["processor"] and stored["cores"] and stored["seconds"] > 0

    assert stored["settings"].get("seeds", SEEDS) >= SEEDS
    seeds = {trial["seed"] for one in stored["runs"] for trial in one["trials"]}
    assert len(seeds) >= SEEDS
    for one in stored["runs"]:
        groups = {}
        for trial in one["trials"]:
            place = (trial["variant"], trial["condition"])
            groups.setdefault(place, []).append(trial["seed"])
        assert groups
        # Every variant from the same seeds: they are compared in pairs.
        assert len({tuple(sorted(found)) for found in groups.values()}) == 1

    cited = recipe.notes
    for claim in stored["claims"]:
        assert catalogue.split_citation(claim["notes"]) in cited
        if claim["exact"]:
            assert claim["outcome"] == "supported", claim["text"]


@every_recipe
def test_the_page_beside_it_is_current(name, tmp_path):
    recipe, main, stored = load_recorded(name)
    with use(Session(recorded=by_key(stored))):
        report = main(**stored["settings"])
    drawn = figure_files(tmp_path, recipe.topic, report)
    figures = [path.name for path in drawn]
    assert figures, "One picture shows the finding."
    page = recipe.results().with_suffix(".md")
    text = markdown(recipe.title, report.to_dict(), figures)
    assert page.read_text(encoding="utf-8") == text
    for figure in figures:
        content = page.with_name(figure).read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 5_000


def test_no_results_without_a_recipe():
    known = set()
    for path in RECIPES.values():
        recipe = catalogue.read_recipe(path)
        stored = recipe.results()
        known |= {stored.parent / f"{recipe.topic}.md", stored}
        known |= {recipe.results(one) for one in catalogue.BACKENDS}
        known |= {
            recipe.results(one).with_suffix(".md") for one in catalogue.BACKENDS
        }
    files = [
        path
        for path in catalogue.RESULTS.rglob("*")
        if path.is_file() and path.parent.name != "benchmarks"
    ]
    pages = [path.read_text("utf-8") for path in files if path.suffix == ".md"]
    for path in files:
        if path.suffix == ".png":
            assert any(f"]({path.name})" in page for page in pages), path
        else:
            assert path in known, path


def test_indexes_are_current():
    for path, text in recording.indexes().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name} is not what `kerasrecipes record` writes."
        )


# ----------------------------------------------------------------------
# That a fault would be seen: a recipe for the tests, recorded and changed

TEMPORARY = '''"""
A recipe for the tests
======================

It counts and trains nothing.

:question: Is a fault in the evidence seen?
:level: beginner
:notes: Deep Neural Nets Basics, Perceptron
:backends: tensorflow, jax, torch
"""

from matplotlib.figure import Figure

from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {"plain": {}, "other": {"shift": 1.0}}
QUICK = {"epochs": 1, "seeds": 1}
FULL = {"epochs": 4, "seeds": 10}


def train(seed: int, epochs: int, shift: float = 0.0) -> dict:
    """Adds up a few numbers."""
    return {"score": shift * (2 + seed % 3) + epochs + seed / 8}


def main(epochs: Count = 2, seeds: Count = 3) -> Report:
    """Compares the two.

    Args:
        epochs: a number.
        seeds: repetitions.
    """
    trials = run_trials(train, VARIANTS, seeds=seeds, epochs=epochs)
    notes = "Deep Neural Nets Basics, Perceptron"
    return Report(
        trials.table("score"),
        Figure(),
        Claim(
            "The other is higher",
            trials.is_higher("score", "other", than="plain"),
            notes,
        ),
    )


if __name__ == "__main__":
    cook(main)
'''


class House:
    """A folder with one recipe and its results, as a checkout has them."""

    def __init__(self, folder, monkeypatch, text=TEMPORARY):
        self.path = folder / "recipes/foundations/temporary.py"
        monkeypatch.setattr(catalogue, "RECIPES", folder / "recipes")
        monkeypatch.setattr(catalogue, "RESULTS", folder / "data/results")
        if not folder.exists():
            self.path.parent.mkdir(parents=True)
            markers = "<!-- questions -->\n<!-- end of questions -->\n"
            (folder / "README.md").write_text(markers)
        self.path.write_text(text)
        self.recipe = catalogue.find_recipe("temporary")
        spec = importlib.util.spec_from_file_location("temporary", self.path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.main = module.main

    def check(self):
        return recording.check_recording(self.recipe, self.main)

    def stored(self):
        return catalogue.load_results(self.recipe)

    def store(self, results):
        path = self.recipe.results()
        path.write_text(catalogue.seal(as_json(results)), encoding="utf-8")


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    house = House(tmp_path / "house", monkeypatch)
    assert recording.record(house.recipe, house.main, SEEDS, 1) == 0
    return house


@pytest.fixture
def changed(house, tmp_path, monkeypatch):
    """Copies the house with something in its recipe replaced."""

    def change(*pairs):
        text = TEMPORARY
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        # Another folder: a file that was read once is not read again.
        folder = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(tmp_path / "house", folder)
        return House(folder, monkeypatch, text)

    return change


def test_a_good_recording_has_no_fault(house):
    assert house.check() == []
    assert recording.retrain_one(house.recipe, house.main) == []
    for path, text in recording.indexes().items():
        assert path.read_text(encoding="utf-8") == text
        assert "Is a fault in the evidence seen?" in text


def test_what_trials_do_not_depend_on_may_change(changed):
    assert changed(('"seeds": 1}', '"seeds": 2}')).check() == []
    assert changed(("Adds up a few", "Adds a few")).check() == []


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("epochs + seed / 8", "epochs + seed / 9")], "has changed"),
        ([('{"shift": 1.0}', '{"shift": 2.0}')], "has changed"),
        ([('"epochs": 4', '"epochs": 5')], "settings"),
        ([('"seeds": 10', '"seeds": 11')], "settings"),
        ([("The other is higher", "It is higher")], "claims"),
        ([("is_higher", "is_lower")], "claims"),
        # A score, an option and a variant that the recording has not.
        ([('"score":', '"points":'), ('"score"', '"points"')], "has changed"),
        ([("epochs", "passes")], "settings"),
        ([('"other": {', '"another": {'), ('"other"', '"another"')], "trial"),
    ],
    ids=lambda value: value[0][1] if isinstance(value, list) else value,
)
def test_a_changed_recipe_is_reported(changed, pairs, words):
    assert any(words in fault for fault in changed(*pairs).check())


def test_changed_settings_are_reported_beside_more_seeds(house, changed):
    """More seeds than FULL asks for are good; other epochs are not."""
    assert recording.record(house.recipe, house.main, 12, 1) == 0
    assert house.check() == []
    faults = changed(('"epochs": 4', '"epochs": 5')).check()
    assert any("settings" in fault for fault in faults)


def test_a_changed_default_is_reported_where_there_is_no_full(
    tmp_path, monkeypatch
):
    """`main` is not in the fingerprint, but its defaults are settings."""
    lines = TEMPORARY.splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("FULL"))
    house = House(tmp_path / "house", monkeypatch, text)
    assert recording.record(house.recipe, house.main, SEEDS, 1) == 0
    assert house.check() == []
    text = text.replace("epochs: Count = 2", "epochs: Count = 3")
    shutil.copytree(tmp_path / "house", tmp_path / "copy")
    copy = House(tmp_path / "copy", monkeypatch, text)
    assert any("settings" in fault for fault in copy.check())


def test_a_changed_score_is_reported(house):
    results = house.stored()
    scores = results["runs"][0]["trials"][1]["scores"]
    scores["score"] += 0.5
    house.store(results)
    faults = house.check()
    assert any("tables" in fault for fault in faults)
    assert any("claims" in fault for fault in faults)


def test_another_score_than_training_gives_is_reported(house):
    """Whoever changes all numbers in the file must fool the training, too."""
    results = house.stored()
    results["runs"][0]["trials"][0]["scores"]["score"] += 1e-3
    house.store(results)
    (fault,) = recording.retrain_one(house.recipe, house.main)
    assert "score" in fault


def test_a_missing_trial_is_reported(house):
    results = house.stored()
    results["runs"][0]["trials"].pop()
    house.store(results)
    (fault,) = house.check()
    assert "no recorded trial" in fault and "other" in fault


def test_a_changed_verdict_is_reported(house):
    results = house.stored()
    results["claims"][0]["outcome"] = "contradicted"
    house.store(results)
    (fault,) = house.check()
    assert "claims" in fault


def test_missing_results_are_reported(house):
    house.recipe.results().unlink()
    (fault,) = house.check()
    assert "no recorded results" in fault


def test_damaged_results_are_reported(house):
    path = house.recipe.results()
    path.write_text(path.read_text(encoding="utf-8")[:-30], encoding="utf-8")
    with pytest.raises(catalogue.RecipeError, match="cannot be read"):
        house.check()
