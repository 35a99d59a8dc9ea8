"""The GRU's gates in NumPy, sequences of a lag, and the recipe's facts."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasrecipes.recipes.recurrent import gru as recipe


@pytest.mark.parametrize("reset_after", [True, False])
def test_every_step_of_both_forms(reset_after):
    layer = recipe.make_gru(1, reset_after)
    layer.return_sequences = True
    generator = np.random.default_rng(2)
    x = generator.normal(size=(6, 20, 2)).astype("float32")
    start = generator.normal(size=(6, recipe.UNITS)).astype("float32")
    found = recipe.read(x, layer.get_weights(), start, reset_after)
    assert found.shape == (20, 3, 6, recipe.UNITS)
    said = ops.convert_to_numpy(layer(x, initial_state=start))
    np.testing.assert_allclose(found[:, 2].swapaxes(0, 1), said, atol=1e-6)


@pytest.mark.parametrize(("gate", "place"), [("z", 0), ("r", 1)])
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("reset_after", [True, False])
def test_held_gates(gate, place, value, reset_after):
    layer = recipe.make_gru(3, reset_after, **{gate: value})
    x = np.random.default_rng(4).normal(size=(6, 20, 2))
    start = np.ones((6, recipe.UNITS))
    found = recipe.read(x, layer.get_weights(), start, reset_after)
    np.testing.assert_allclose(found[:, place], value, atol=1e-12)
    assert found[:, 1 - place].std() > 0.01


def test_sequences_of_a_lag():
    for lag in recipe.LONGER:
        x, y = recipe.make_lag(50, lag, seed=5)
        steps = recipe.BEFORE + max(lag, recipe.LAGS[-1])
        assert x.shape == (50, steps, 2) and x.dtype == "float32"
        assert x[:, :-lag, 1].max() == 0
        marks = x[:, -lag:, 1]
        np.testing.assert_array_equal(marks[:, : lag // 2].sum(1), 1)
        np.testing.assert_array_equal(marks[:, lag // 2 :].sum(1), 1)
        sums = (x[:, :, 0] * x[:, :, 1]).sum(axis=1, keepdims=True)
        np.testing.assert_array_equal(sums, y)


def test_no_two_lags_or_seeds_share_their_numbers():
    numbers = [
        recipe.make_lag(20, lag, seed)[0][0, -10:, 0]
        for lag in recipe.LONGER
        for seed in (0, 1, 10_000)
    ]
    assert len(np.unique(numbers, axis=0)) == len(numbers)


def test_facts():
    found = recipe.measure(seed=6)
    assert found["reset after, off"] < 1e-6
    assert found["reset before, off"] < 1e-6
    assert found["biases moved, change"] < 1e-6
    assert found["z = 1, off"] == found["parameters, off"] == 0
    assert found["r = 0, past seen"] < 1e-6
    assert found["parameters, spread"] < 0.03
    assert found["weights refused"] == 1
    assert found["in the other form, off"] > 0.1


def test_a_trial_of_a_gru():
    found = recipe.train(0, epochs=1, sequences=20, cell="GRU", units=23)
    curves = found.pop("curves")
    assert np.isfinite([*found.values()]).all()
    assert len(curves["error"]) == len(recipe.LONGER)
    assert len(curves["z"]) == len(curves["r"]) == len(curves["z of one unit"])
    for curve in ("z", "r"):
        assert 0 < min(curves[curve]) <= max(curves[curve]) < 1


def test_a_state_stays_between_its_bounds():
    """It is an average of what was and a tanh."""
    layer = recipe.make_gru(7)
    keras.utils.set_random_seed(7)
    x = 100 * keras.random.normal((4, 50, 2))
    said = ops.convert_to_numpy(layer(x))
    assert np.abs(said).max() <= 1 + 1e-6
