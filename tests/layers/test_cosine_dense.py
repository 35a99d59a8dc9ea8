"""Cosines against NumPy, one pair of vectors at a time."""

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients, run_eagerly
from keras import layers

from kerasrecipes.layers import CosineDense

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

# A float32 has a relative error of 6e-8, and sums have a dozen terms.
ERROR = 1e-6


def make_inputs(shape, seed=0):
    return np.random.default_rng(seed).normal(0.5, 2, shape).astype("float32")


def make_layer(features=6, units=4, **arguments):
    layer = CosineDense(units, **arguments)
    layer.build((None, features))
    layer.kernel.assign(make_inputs((features, units), seed=9))
    return layer


def by_loops(x, w):
    """The formula in float64; a vector of zeros has no direction."""
    x, w = x.astype("float64"), w.astype("float64")
    y = np.zeros((*x.shape[:-1], w.shape[1]))
    for place in np.ndindex(y.shape):
        a, b = x[place[:-1]], w[:, place[-1]]
        product = sum(p * q for p, q in zip(a, b, strict=True))
        lengths = sum(p * p for p in a) ** 0.5 * sum(q * q for q in b) ** 0.5
        y[place] = product / lengths if lengths else 0
    return y


@pytest.mark.parametrize("shape", [(1, 6), (7, 6), (2, 3, 6), (2, 3, 2, 6)])
def test_equals_the_formula(shape):
    layer, x = make_layer(), make_inputs(shape)
    x[0] = 0
    expected = by_loops(x, layer.kernel.numpy())
    assert expected.any() or shape[0] == 1
    np.testing.assert_allclose(run_eagerly(layer, x), expected, atol=ERROR)
    bent = make_layer(activation="relu")
    np.testing.assert_allclose(
        run_eagerly(bent, x), np.maximum(expected, 0), atol=ERROR
    )


def test_outputs_are_between_minus_one_and_one():
    layer = make_layer()
    w = layer.kernel.numpy()
    same = run_eagerly(layer, np.concatenate([w.T, -w.T]))
    assert np.abs(same).max() <= 1 + ERROR
    np.testing.assert_allclose(np.diag(same[:4]), 1, atol=ERROR)
    np.testing.assert_allclose(np.diag(same[4:]), -1, atol=ERROR)
    single = make_layer(features=1)
    outputs = run_eagerly(single, make_inputs((5, 1)))
    np.testing.assert_allclose(np.abs(outputs), 1, atol=ERROR)


# Squares of the first and the last are zero and infinite in float32.
@pytest.mark.parametrize("size", [1e-30, 1e-4, 7.0, 1e30])
def test_lengths_do_not_count(size):
    layer, x = make_layer(), make_inputs((5, 6))
    expected = run_eagerly(layer, x)
    scaled = run_eagerly(layer, x * np.float32(size))
    np.testing.assert_allclose(scaled, expected, atol=ERROR)
    layer.kernel.assign(layer.kernel.numpy() * np.float32(size))
    np.testing.assert_allclose(run_eagerly(layer, x), expected, atol=ERROR)


def test_one_sample_does_not_touch_another():
    layer, x = make_layer(), make_inputs((5, 6))
    expected = run_eagerly(layer, x)[1:]
    x[0] = 1e30
    np.testing.assert_array_equal(run_eagerly(layer, x)[1:], expected)


def test_gradients_equal_differences_of_the_formula():
    x, weights = make_inputs((3, 6)), make_inputs((3, 4), seed=2)
    # One entry alone: there a maximum has no slope of its own.
    x[1] = np.eye(6, dtype="float32")[2]
    layer = make_layer()
    w = layer.kernel.numpy()
    of_x, of_w = compute_gradients(layer, x, weights)
    step = 1e-4
    for found, values, by in (
        (of_x, x, lambda v: by_loops(v, w)),
        (of_w, w, lambda v: by_loops(x, v)),
    ):
        for place in np.ndindex(values.shape):
            change = np.zeros(values.shape)
            change[place] = step
            slope = weights * (by(values + change) - by(values - change))
            assert found[place] == pytest.approx(
                slope.sum() / (2 * step), rel=1e-3, abs=1e-4
            )


def test_gradients_are_orthogonal_to_what_they_turn():
    layer, x = make_layer(), make_inputs((5, 6))
    w = layer.kernel.numpy()
    of_x, of_w = compute_gradients(layer, x, make_inputs((5, 4), seed=2))
    assert np.abs(of_x).max() > 0.01 and np.abs(of_w).max() > 0.01
    np.testing.assert_allclose((of_x * x).sum(1), 0, atol=1e-5)
    np.testing.assert_allclose((of_w * w).sum(0), 0, atol=1e-5)


def test_zeros_among_inputs_and_weights():
    layer, x = make_layer(), make_inputs((5, 6))
    w = layer.kernel.numpy()
    x[2], w[:, 1] = 0, 0
    layer.kernel.assign(w)
    outputs = run_eagerly(layer, x)
    np.testing.assert_array_equal(outputs[2], 0)
    np.testing.assert_array_equal(outputs[:, 1], 0)
    for gradient in compute_gradients(layer, x, make_inputs((5, 4), seed=2)):
        assert np.isfinite(gradient).all()
        assert gradient.any()


def test_fit_and_reload(tmp_path):
    model = keras.Sequential(
        [layers.Input((6,)), CosineDense(8, "relu"), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    before = [w.numpy() for w in model.weights]
    x, y = make_inputs((9, 6)), make_inputs((9, 1), seed=1)
    model.fit(x, y, verbose=0)
    for weight, was in zip(model.weights, before, strict=True):
        assert np.abs(weight.numpy() - was).max() > 0, weight.path
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        run_eagerly(loaded, x), run_eagerly(model, x), rtol=ERROR
    )
