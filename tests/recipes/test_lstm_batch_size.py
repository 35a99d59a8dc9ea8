"""Rows that are trained on, the twin, and what the recipe draws."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasrecipes.datasets import load_eeg
from kerasrecipes.recipes.recurrent import lstm_batch_size as recipe


@pytest.mark.parametrize(
    ("budget", "batch", "updates", "rows"),
    [
        ("epochs", 32, 23, 710),
        ("epochs", 720, 1, 710),
        ("updates", 32, 23, 23 * 32),
        ("updates", 128, 23, 23 * 128),
    ],
)
def test_budgets(monkeypatch, budget, batch, updates, rows):
    """Fold 0 has 710 windows; each pass takes all before any comes again."""
    seen = []

    def fit(model, x, y, batch_size, shuffle, verbose):
        assert not shuffle
        seen.append((x, -(-len(x) // batch_size)))

    monkeypatch.setattr(keras.Sequential, "fit", fit)
    recipe.train(0, epochs=1, budget=budget, batch=batch)
    ((x, found),) = seen
    assert found == updates and len(x) == rows
    (windows, _), _ = load_eeg(recipe.STEPS, fold=0)
    known = np.unique(windows.reshape(len(windows), -1), axis=0)
    once = np.unique(x[: len(windows)].reshape(-1, recipe.STEPS * 4), axis=0)
    assert len(once) == len(known)


def test_a_twin_reads_on_where_a_window_ends():
    keras.utils.set_random_seed(1)
    model = recipe.build_model()
    x = np.random.default_rng(2).normal(size=(30, 4)).astype("float32")
    twin = recipe.make_twin(model)
    first = recipe.forecast_live(twin, x[:12])
    then = recipe.forecast_live(twin, x[12:])
    whole = ops.convert_to_numpy(model(x[None]))[0]
    np.testing.assert_allclose(np.append(first, then, 0), whole, atol=1e-6)
    twin.layers[0].reset_state()
    again = recipe.forecast_live(twin, x[:12])
    np.testing.assert_array_equal(again, first)


def test_windows_and_the_series_have_the_same_targets():
    _, (_, y) = load_eeg(recipe.STEPS, fold=3)
    _, (_, live) = load_eeg(steps=79, fold=3)
    np.testing.assert_array_equal(y[:, -1], live[0, recipe.STEPS - 1 :])


def test_facts():
    found = recipe.measure(seed=4)
    assert found["updates, 100"] == 11 and found["updates, all"] == 1
    assert found["alone, off"] < 1e-6 and found["twin, off"] < 1e-6
    assert found["refused"] == 2


def test_as_many_updates_in_either_form():
    """64 and 65 are compared at the same number of them."""
    assert {-(-192 // size) for size in (64, 65)} == {3}
    assert recipe.TIMED[-1] == 192
