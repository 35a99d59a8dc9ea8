"""A trial depends on its seed alone, and not on what was drawn before it.

Or a copied recipe would find other numbers than the recipe itself. Of the
functions that `run_trials` is given, `measure` is the one that may forget it:
it makes layers by the way.
"""

import importlib
import inspect

import keras
import pytest

from kerasrecipes import catalogue
from kerasrecipes.engine import engine


@pytest.mark.parametrize("name", catalogue.recipe_paths())
def test_facts_depend_on_the_seed_alone(name):
    if engine() not in catalogue.find_recipe(name).backends:
        pytest.skip("it has no facts on this engine")
    recipe = importlib.import_module(
        f"kerasrecipes.recipes.{name.replace('/', '.')}"
    )
    if not hasattr(recipe, "measure"):
        pytest.skip("it has no facts to measure")
    # Some have conditions, by name.
    several = len(inspect.signature(recipe.measure).parameters) > 1
    for condition in recipe.CONDITIONS.values() if several else [{}]:
        found = []
        for drawn_before in (1, 2):
            keras.utils.set_random_seed(drawn_before)
            scores = recipe.measure(seed=0, **condition)
            scores.pop("curves", None)
            found.append({score: float(scores[score]) for score in scores})
        assert found[0] == found[1]
