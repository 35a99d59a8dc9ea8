"""What the recipe measures with, against Keras; its layer has its own tests."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.normalization import recurrent_batch_norm as recipe


def test_the_formula_without_scales_is_an_lstm():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(5, 9, 4)).astype("float32")
    lstm = layers.LSTM(recipe.UNITS, return_sequences=True)
    expected = ops.convert_to_numpy(lstm(x))
    outputs, _, slope = recipe.by_formula(x, *lstm.get_weights())
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=2e-6)
    assert 0 < slope < 1


def test_slope_of_a_tanh():
    """A bias of 2 for the candidates, and nothing else."""
    x, kernel = np.zeros((5, 3, 4)), np.zeros((4, 4 * recipe.UNITS))
    recurrent = np.zeros((recipe.UNITS, 4 * recipe.UNITS))
    bias = np.repeat([0.0, 0.0, 2.0, 0.0], recipe.UNITS)
    _, _, slope = recipe.by_formula(x, kernel, recurrent, bias)
    assert slope == pytest.approx(1 / np.cosh(2) ** 2)


@pytest.mark.parametrize("gamma", [None, 0.1])
def test_the_probe_holds_the_gradient(gamma):
    """One step of SGD at a rate of 1, against a difference of the loss."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(8, 4, 8)).astype("float32")
    y = generator.integers(0, 10, 8)
    probe, lstm = recipe.Probe(), recipe.make_lstm(gamma, 4)
    model = keras.Sequential([probe, lstm, layers.Dense(10)])
    model.build(x.shape)
    model.compile(keras.optimizers.SGD(1.0), recipe.LOSS, run_eagerly=True)
    direction = generator.normal(size=x.shape)
    losses = [
        float(recipe.LOSS(y, model(x + step * direction, training=True)))
        for step in (0.01, -0.01)
    ]
    model.train_on_batch(x, y)
    gradient = -ops.convert_to_numpy(probe.added)
    slope = (losses[0] - losses[1]) / 0.02
    assert np.sum(gradient * direction) == pytest.approx(slope, rel=0.01)
