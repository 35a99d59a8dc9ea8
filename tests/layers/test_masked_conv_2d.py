"""Masked convolution against loops over the pixels that may be seen."""

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients, run_eagerly

from kerasrecipes.layers import MaskedConv2D

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

# A float32 has a relative error of 6e-8, and sums have up to 75 terms.
ERROR = 3e-6


def make_inputs(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def make_layer(channels=3, **arguments):
    arguments = {"filters": 4, "kernel_size": 3, **arguments}
    layer = MaskedConv2D(**arguments)
    layer.build((None, None, None, channels))
    for seed, weight in enumerate(layer.weights):
        weight.assign(make_inputs(weight.shape, seed=10 + seed))
    return layer


def by_loops(x, kernel, bias, mask_type):
    """Sums over pixels in reading order, up to the own one, in float64."""
    size, width = len(kernel), x.shape[2]
    y = np.zeros((*x.shape[:3], kernel.shape[3]))
    for image, row, column in np.ndindex(*x.shape[:3]):
        for place in range(row * width + column + 1):
            r, c = divmod(place, width)
            if mask_type == "A" and (r, c) == (row, column):
                continue
            i, j = r - row + size // 2, c - column + size // 2
            if 0 <= i < size and 0 <= j < size:
                y[image, row, column] += x[image, r, c] @ kernel[i, j]
    return y + bias


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(
    ("shape", "kernel_size"),
    [
        ((2, 5, 4, 3), 3),
        ((3, 4, 6, 3), 5),
        ((1, 2, 3, 3), 1),
        ((1, 1, 1, 3), 3),
    ],
)
def test_equals_sums_over_earlier_pixels(mask_type, shape, kernel_size):
    layer = make_layer(kernel_size=kernel_size, mask_type=mask_type)
    x = make_inputs(shape)
    kernel, bias = (w.numpy().astype("float64") for w in layer.weights)
    expected = by_loops(x.astype("float64"), kernel, bias, mask_type)
    np.testing.assert_allclose(run_eagerly(layer, x), expected, atol=ERROR)


def test_activation_and_no_bias():
    layer = make_layer(activation="relu", use_bias=False)
    x = make_inputs((2, 4, 4, 3))
    (kernel,) = layer.weights
    expected = by_loops(x, kernel.numpy().astype("float64"), 0.0, "B")
    found = run_eagerly(layer, x)
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=ERROR)


@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_no_pixel_sees_its_future(mask_type):
    layer, x = make_layer(mask_type=mask_type), make_inputs((1, 4, 5, 3))
    before = run_eagerly(layer, x).reshape(20, 4)
    for place in range(20):
        changed = x.reshape(20, 3).copy()
        changed[place] += 1.0
        after = run_eagerly(layer, changed.reshape(x.shape)).reshape(20, 4)
        found = np.flatnonzero(np.any(after != before, axis=1))
        own = [place] if mask_type == "B" else []
        assert set(found) <= {*own, *range(place + 1, 20)}
        assert set(found) >= set(own)
        if place % 5 < 4:
            assert place + 1 in found


@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_gradient_of_what_is_masked_is_zero(mask_type):
    layer = make_layer(mask_type=mask_type)
    x = make_inputs((2, 4, 4, 3))
    cotangents = make_inputs((2, 4, 4, 4), seed=1)
    before = run_eagerly(layer, x)
    seen = 4 + (mask_type == "B")
    # Whatever is there, also what is no number, changes nothing.
    kernel = layer.kernel.numpy().reshape(9, 3, 4).copy()
    kernel[seen:] = np.nan
    layer.kernel.assign(kernel.reshape(3, 3, 3, 4))
    np.testing.assert_array_equal(run_eagerly(layer, x), before)
    gradients = compute_gradients(layer, x, cotangents)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_training_leaves_masked_weights_as_they_were():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Input((4, 4, 1)), MaskedConv2D(1, 3, mask_type="A")]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = model.layers[0].kernel.numpy().ravel().copy()
    x = make_inputs((8, 4, 4, 1))
    model.fit(x, x + 1.0, verbose=0)
    after = model.layers[0].kernel.numpy().ravel()
    np.testing.assert_array_equal(after[4:], before[4:])
    assert (after[:4] != before[:4]).all()


def test_unknown_height_and_width():
    symbols = keras.Input((None, None, 2))
    outputs = MaskedConv2D(3, 3)(symbols)
    assert outputs.shape == (None, None, None, 3)
    model = keras.Model(symbols, outputs)
    for shape in [(2, 5, 3, 2), (1, 1, 7, 2)]:
        assert model(make_inputs(shape)).shape == (*shape[:3], 3)


def test_another_rank_is_refused():
    with pytest.raises(ValueError, match="expected ndim=4, found ndim=3"):
        MaskedConv2D(2, 3)(np.ones((2, 5, 3), "float32"))


def test_numpy_numbers_as_arguments():
    config = MaskedConv2D(np.int64(4), np.int32(3)).get_config()
    assert [type(config[name]) for name in ("filters", "kernel_size")] == (
        [int, int]
    )
