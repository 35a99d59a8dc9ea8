"""Blocks of biases, the initializer of the recipe, and its trials."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.recurrent import forget_bias as recipe


def test_keras_order_of_the_blocks():
    """Only the second block's bias moves the forget gate."""
    layer = layers.LSTM(3, return_state=True)
    layer.build((None, 4, 2))
    *kernels, bias = map(np.zeros_like, layer.get_weights())
    state = [np.zeros((1, 3), "float32"), np.ones((1, 3), "float32")]
    kept = []
    for block in range(4):
        moved = bias.copy()
        moved[3 * block : 3 * block + 3] = 50.0
        layer.set_weights([*kernels, moved])
        nothing = np.zeros((1, 4, 2), "float32")
        _, _, c = layer(nothing, initial_state=state)
        kept.append(ops.convert_to_numpy(c).mean())
    # Half open, four steps long; wide open; half of 1 is added at each step.
    added = 0.5 * (1 + 0.5 + 0.25 + 0.125)
    expected = [0.5**4, 1.0, 0.5**4 + added, 0.5**4]
    np.testing.assert_allclose(kept, expected, atol=1e-6)


@pytest.mark.parametrize("longest", [3, 50, 1000])
def test_chrono(longest):
    keras.utils.set_random_seed(1)
    bias = ops.convert_to_numpy(recipe.Chrono(longest)((4000,), "float32"))
    i, f, *others = bias.reshape(4, 1000)
    np.testing.assert_array_equal(i, -f)
    np.testing.assert_array_equal(others, 0.0)
    times = np.exp(f.astype("float64"))
    assert times.min() > 1 - 1e-5 and times.max() < longest - 1 + 1e-3 * longest
    # Spread evenly: mean and variance of a uniform distribution.
    width = longest - 2
    assert times.mean() == pytest.approx(1 + width / 2, rel=0.06)
    assert times.std() == pytest.approx(width / 12**0.5, rel=0.06)


@pytest.mark.parametrize(
    ("start", "blocks"),
    [("zeros", [0, 0, 0, 0]), ("ones", [0, 1, 0, 0])],
)
def test_starts(start, blocks):
    found = recipe.biases(start)
    np.testing.assert_array_equal(found, np.repeat([blocks], 24, axis=0).T)


def test_without_biases_there_is_no_forget_bias():
    layer = layers.LSTM(3, use_bias=False)
    layer.build((None, 4, 2))
    assert len(layer.get_weights()) == 2


def test_facts():
    found = recipe.measure(seed=2)
    assert found["default, off"] == found["input + forget"] == 0
    assert found["forget block"] == found["overwritten forget block"] == 1
    assert found["other blocks"] == found["all blocks"] == 5
    assert found["cell, off"] < 1e-5 and found["times out of range"] < 1e-4
    for curve in found["curves"].values():
        assert len(curve) == recipe.STEPS + 1 and curve[0] == 1
        assert np.all(np.diff(curve) < 0)


def test_a_trial():
    found = recipe.train(0, epochs=1, steps=4, start="chrono")
    assert 0 < found["error"] < 1
    assert len(found["curves"]["training error"]) == 1
