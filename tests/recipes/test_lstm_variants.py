"""What the recipe compares; its cells have tests of their own."""

import numpy as np
import pytest

from kerasrecipes.recipes.recurrent import lstm_variants as recipe


@pytest.mark.parametrize("features", [2, 6, 8])
def test_no_cell_has_more_weights_than_the_lstm(features):
    counts = {}
    for name, cell in recipe.VARIANTS.items():
        model = recipe.build_model(features, 5, each_step=True, **cell)
        counts[name] = model.layers[0].count_params()
    most = counts["LSTM"]
    assert most == 4 * recipe.UNITS * (features + 1 + recipe.UNITS)
    assert counts.pop("peepholes") == most + 3 * recipe.UNITS
    assert min(counts.values()) > 0.9 * most
    assert max(counts.values()) == most


@pytest.mark.parametrize("task", ["adding", "copy", "digits"])
def test_chance(task):
    """What the prose says of guessing, on the tasks as they are here."""
    _, (_, y), outputs = recipe.load(task, seed=0)
    chance = {"adding": 0.19, "copy": 0.25, "digits": 0.1}[task]
    generator = np.random.default_rng(0)
    if task == "adding":
        right = np.abs(y - 1) < 0.1
    else:
        right = generator.integers(task == "copy", outputs, y.shape) == y
        right = right[:, -3:] if task == "copy" else right
    # Four standard errors of a share of 180 digits, or of more sequences.
    error = np.sqrt(chance * (1 - chance) / right.size)
    assert abs(right.mean() - chance) < 4 * error
