"""Noise where the recipe puts it, against ridge, NumPy and all labels."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.regularization import noise_injection as recipe


@pytest.fixture(scope="module")
def facts():
    return [recipe.measure(seed) for seed in range(3)]


def test_input_noise_is_ridge(facts):
    for found in facts:
        assert abs(found["input noise, errors off"]) < 5
        assert found["off ridge, as a share"] < 0.1


def test_standard_errors_tell_another_penalty():
    """A tenth more or less than ridge's penalty would be found out."""
    generator = np.random.default_rng(0)
    x, w = generator.normal(size=(50, 10)), generator.normal(size=10)
    noise = layers.GaussianNoise(0.5, seed=0)
    many = noise(np.tile(x, (2000, 1)), training=True)
    errors = ((ops.convert_to_numpy(many) @ w).reshape(2000, 50) - x @ w) ** 2
    penalty = 0.25 * w @ w
    assert abs(recipe.standard_errors(errors.mean(1), penalty)) < 5
    for wrong in (0.9, 1.1):
        off = recipe.standard_errors(errors.mean(1), wrong * penalty)
        assert abs(off) > 5


def test_noise_on_weights_of_a_linear_model(facts):
    assert all(abs(found["weight noise, errors off"]) < 5 for found in facts)


def test_smoothing_is_label_noise(facts):
    """By hand, from log-probabilities."""
    assert all(abs(found["label noise, off"]) < 1e-5 for found in facts)
    p = np.array([0.1, 0.2, 0.7])
    smooth = keras.losses.CategoricalCrossentropy(label_smoothing=0.3)
    found = float(ops.convert_to_numpy(smooth(np.eye(3)[[2]], p[None])))
    expected = -(0.7 * np.log(p[2]) + 0.1 * np.log(p).sum())
    assert found == pytest.approx(expected, rel=1e-5)


def test_silence_at_inference(facts):
    assert all(found["at inference"] == 0 for found in facts)
    model = recipe.build_model(inputs=0.3, hidden=0.5, weights=0.2)
    x = np.random.default_rng(0).normal(size=(6, 64)).astype("float32")
    first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
    np.testing.assert_array_equal(first, second)


def test_noisy_dense_without_noise_is_dense():
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    noisy = recipe.NoisyDense(4, 0.3, activation="relu")
    dense = layers.Dense(4, activation="relu")
    dense.build(x.shape)
    noisy.build(x.shape)
    weights = [w + 0.1 for w in dense.get_weights()]
    dense.set_weights(weights)
    noisy.set_weights(weights)
    found, expected = (
        ops.convert_to_numpy(layer(x)) for layer in (noisy, dense)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_noisy_dense_has_one_noise_for_a_batch():
    """The same rows have the same outputs, and another call has others."""
    layer = recipe.NoisyDense(4, 0.3)
    x = np.ones((6, 5), "float32")
    calls = [ops.convert_to_numpy(layer(x, training=True)) for _ in range(2)]
    for outputs in calls:
        np.testing.assert_allclose(outputs, outputs[[0] * 6], atol=1e-6)
    assert (np.abs(calls[0] - calls[1]) > 1e-4).all()
    copy = recipe.NoisyDense.from_config(layer.get_config())
    assert copy.stddev == 0.3 and copy.units == 4


def test_noise_draws_anew_in_every_step_of_fit():
    """At a rate of zero, all that moves a loss is the noise."""
    model = recipe.build_model(weights=0.3)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = np.ones((4, 64), "float32"), np.zeros((4, 10), "float32")
    history = model.fit(x, y, epochs=4, verbose=0).history["loss"]
    assert len(set(history)) == 4
