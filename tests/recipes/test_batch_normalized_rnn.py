"""Normalized projections and an LSTM, against NumPy, step by step."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasrecipes.recipes.normalization import batch_normalized_rnn as recipe

every_statistics = pytest.mark.parametrize("statistics", ["sequence", "frame"])


def make_inputs(steps=8, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(0.5, 2, (20, steps, 8)).astype("float32")


def make_model(statistics, steps=8):
    """The recurrent part, with scales and shifts that are not 1 and 0."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(recipe.read(steps, statistics))
    model.build((None, steps, 8))
    generator = np.random.default_rng(1)
    lstm = model.layers[-1]
    _, recurrent, bias = lstm.get_weights()
    scale = generator.uniform(0.5, 2, len(bias))
    shift = generator.normal(size=len(bias))
    lstm.set_weights([np.diag(scale), recurrent, shift])
    return model, scale, shift


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_steps(z, recurrent):
    """An LSTM that adds what comes from its state to its projections."""
    h = c = np.zeros((len(z), recipe.UNITS))
    for step in range(z.shape[1]):
        i, f, g, o = np.split(z[:, step] + h @ recurrent, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


@every_statistics
def test_the_formula(statistics):
    model, scale, shift = make_model(statistics)
    x = make_inputs()
    z = x.astype("float64") @ model.layers[0].get_weights()[0]
    normal = np.empty_like(z)
    for step in range(8):
        seen = z if statistics == "sequence" else z[:, [step]]
        mean, variance = seen.mean((0, 1)), seen.var((0, 1))
        normal[:, step] = (z[:, step] - mean) / np.sqrt(variance + 0.001)
    recurrent = model.layers[-1].get_weights()[1]
    expected = by_steps(normal * scale + shift, recurrent)
    outputs = ops.convert_to_numpy(model(x, training=True))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=5e-6)


@every_statistics
def test_training_keeps_the_kernel_diagonal(statistics):
    model, _, _ = make_model(statistics)
    before = np.diag(model.layers[-1].get_weights()[0])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    targets = np.random.default_rng(2).normal(size=(20, recipe.UNITS))
    model.fit(make_inputs(), targets, epochs=2, verbose=0)
    kernel = model.layers[-1].get_weights()[0]
    np.testing.assert_array_equal(kernel, np.diag(np.diag(kernel)))
    assert (np.diag(kernel) != before).all()


def test_sequence_wise_reads_any_length():
    model, _, _ = make_model("sequence")
    assert model(make_inputs(steps=13)).shape == (20, recipe.UNITS)


@every_statistics
def test_variants_start_from_the_same_weights(statistics):
    starts = []
    for kind in (None, statistics):
        keras.utils.set_random_seed(3)
        model = recipe.build_model(8, kind)
        weights = [w for w in model.get_weights() if w.ndim == 2]
        starts.append([w for w in weights if len(w) != w.shape[1]])
    for plain, normalized in zip(*starts, strict=True):
        np.testing.assert_array_equal(plain, normalized)
