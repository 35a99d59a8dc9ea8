import json

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients
from keras import layers, ops

from kerasrecipes.layers import LocallyConnected1D

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

# Sums of a few dozen products of numbers near one, in float32.
TOLERANCE = 1e-5
# Windows that fit, that leave a rest, and that reach over both ends.
WINDOWS = [
    (kernel_size, strides, padding)
    for kernel_size in (1, 2, 3, 7)
    for strides in (1, 2, 3)
    for padding in ("valid", "same")
]

every_window = pytest.mark.parametrize(
    ("kernel_size", "strides", "padding"), WINDOWS
)


def make(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def run(layer, x):
    return ops.convert_to_numpy(layer(ops.convert_to_tensor(x)))


def make_layer(shape, **arguments):
    """A layer whose weights are all different."""
    layer = LocallyConnected1D(4, **arguments)
    layer.build(shape)
    layer.set_weights(
        [make(w.shape, 1 + i) for i, w in enumerate(layer.weights)]
    )
    return layer


def connect_by_loops(x, kernel, bias, strides, padding):
    """The formula in float64, a sum at a time; zeros outside the inputs."""
    batch, steps, channels = x.shape
    positions, width, _, filters = kernel.shape
    reach = (positions - 1) * strides + width
    before = max(reach - steps, 0) // 2 if padding == "same" else 0
    y = np.zeros((batch, positions, filters))
    for example, t, f in np.ndindex(*y.shape):
        total = float(bias[t, f])
        for i in range(width):
            step = strides * t + i - before
            if 0 <= step < steps:
                for c in range(channels):
                    total += float(x[example, step, c]) * kernel[t, i, c, f]
        y[example, t, f] = total
    return y


@every_window
def test_equals_the_loops(kernel_size, strides, padding):
    x = make((2, 8, 3))
    window = {"kernel_size": kernel_size, "strides": strides}
    layer = make_layer(x.shape, padding=padding, **window)
    kernel, bias = layer.get_weights()
    expected = connect_by_loops(x, kernel, bias, strides, padding)
    y = run(layer, x)
    np.testing.assert_allclose(y, expected, atol=TOLERANCE)
    assert y.shape == layer.compute_output_shape(x.shape)
    first = make_layer(
        (2, 3, 8), padding=padding, data_format="channels_first", **window
    )
    first.set_weights([kernel, bias])
    y = run(first, x.transpose(0, 2, 1))
    np.testing.assert_allclose(y, expected.transpose(0, 2, 1), atol=TOLERANCE)
    assert y.shape == first.compute_output_shape((2, 3, 8))


@every_window
def test_equal_kernels_are_a_convolution(kernel_size, strides, padding):
    x = make((2, 9, 3))
    arguments = {
        "kernel_size": kernel_size,
        "strides": strides,
        "padding": padding,
        "activation": "tanh",
    }
    conv, layer = (
        layers.Conv1D(4, **arguments),
        make_layer(x.shape, **arguments),
    )
    conv.build(x.shape)
    conv.bias.assign(make(4))
    positions = layer.kernel.shape[0]
    layer.set_weights([np.stack([w] * positions) for w in conv.get_weights()])
    np.testing.assert_allclose(run(layer, x), run(conv, x), atol=TOLERANCE)
    assert layer.count_params() == positions * conv.count_params()


def test_by_hand():
    """Windows of two: 1 * 1 + 2 * 2, 2 * 3 + 3 * 4; then biases and ReLU."""
    layer = LocallyConnected1D(1, 2, activation="relu")
    x = np.array([[[1.0], [2.0], [3.0]]], "float32")
    layer.build(x.shape)
    kernel = np.array([1.0, 2.0, 3.0, 4.0]).reshape(2, 2, 1, 1)
    layer.set_weights([kernel, np.array([[1.0], [-20.0]])])
    np.testing.assert_allclose(run(layer, x), [[[6.0], [0.0]]])


def test_without_a_bias():
    x = make((2, 5, 3))
    layer = make_layer(x.shape, kernel_size=2, use_bias=False)
    (kernel,) = layer.get_weights()
    expected = connect_by_loops(x, kernel, np.zeros((4, 4)), 1, "valid")
    np.testing.assert_allclose(run(layer, x), expected, atol=TOLERANCE)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_gradients_by_loops(padding):
    """The kernel's is the windows times the cotangents, summed over x."""
    x = make((3, 6, 2))
    layer = make_layer(x.shape, kernel_size=3, strides=2, padding=padding)
    kernel, bias = layer.get_weights()
    cotangents = make(layer.compute_output_shape(x.shape), 5)
    of_x, of_kernel, of_bias = compute_gradients(layer, x, cotangents)
    np.testing.assert_allclose(of_bias, cotangents.sum(0), atol=TOLERANCE)
    # Linear in each: the derivative is the difference to zero.
    for found, place in ((of_x, 0), (of_kernel, 1)):
        for index in np.ndindex(found.shape):
            one = [np.zeros_like(x), np.zeros_like(kernel)]
            one[1 - place] = [x, kernel][1 - place]
            one[place][index] = 1.0
            y = connect_by_loops(*one, 0 * bias, 2, padding)
            np.testing.assert_allclose(
                found[index], (y * cotangents).sum(), atol=TOLERANCE
            )


# ----------------------------------------------------------------------
# Starts


def test_kernels_start_as_those_of_a_convolution():
    """Glorot's limit is that of a window, and positions differ."""
    keras.utils.set_random_seed(0)
    layer = LocallyConnected1D(16, 9)
    layer.build((None, 200, 4))
    kernel, bias = layer.get_weights()
    limit = np.sqrt(6 / (9 * 4 + 9 * 16))
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    # A uniform number's deviation is the limit over the root of three.
    np.testing.assert_allclose(kernel.std(), limit / 3**0.5, rtol=0.01)
    assert len(np.unique(kernel[:, 0, 0, 0])) == 192
    assert not bias.any()


@pytest.mark.parametrize(
    "initializer",
    [
        keras.initializers.HeNormal(seed=3),
        keras.initializers.Orthogonal(seed=3),
        keras.initializers.RandomUniform(seed=keras.random.SeedGenerator(3)),
    ],
)
def test_seeds_of_initializers(initializer):
    kernels = []
    for _ in range(2):
        copy = keras.initializers.deserialize(
            keras.initializers.serialize(initializer)
        )
        layer = LocallyConnected1D(4, 3, kernel_initializer=copy)
        layer.build((None, 8, 2))
        kernels.append(layer.get_weights()[0])
        assert len(np.unique(kernels[-1][:, 0, 0, 0])) == 6
    np.testing.assert_array_equal(*kernels)


def test_without_a_seed_keras_own_seed_decides():
    kernels = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        layer = LocallyConnected1D(4, 3)
        layer.build((None, 8, 2))
        kernels.append(layer.get_weights()[0])
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).all()


def test_initializers_that_draw_nothing():
    layer = LocallyConnected1D(
        2, 3, kernel_initializer="ones", bias_initializer="ones"
    )
    y = run(layer, np.ones((1, 5, 2)))
    np.testing.assert_array_equal(y, np.full((1, 3, 2), 7.0))
    layer = LocallyConnected1D(
        2, 3, kernel_initializer=lambda shape, dtype: ops.ones(shape, dtype)
    )
    np.testing.assert_array_equal(run(layer, np.ones((1, 5, 2))), y - 1)


# ----------------------------------------------------------------------
# Arguments and shapes


def test_regularizers_and_constraints():
    layer = LocallyConnected1D(
        4,
        3,
        kernel_regularizer="l2",
        bias_regularizer=keras.regularizers.L1(0.5),
        kernel_constraint=keras.constraints.MaxNorm(0.1, axis=(1, 2)),
        bias_constraint="non_neg",
        activity_regularizer="l2",
    )
    layer.build((None, 6, 2))
    layer.set_weights([make(w.shape) for w in layer.weights])
    kernel, bias = layer.get_weights()
    y = run(layer, make((1, 6, 2)))
    expected = [0.01 * np.square(kernel).sum(), 0.5 * np.abs(bias).sum()]
    expected.append(0.01 * np.square(y).sum())
    found = sorted(ops.convert_to_numpy(loss) for loss in layer.losses)
    np.testing.assert_allclose(found, sorted(expected), rtol=1e-4)
    model = keras.Sequential([layers.Input((6, 2)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(make((2, 6, 2)), make((2, 4, 4)))
    kernel, bias = layer.get_weights()
    norms = np.sqrt(np.square(kernel).sum(axis=(1, 2)))  # a filter, a place
    assert norms.max() <= 0.1 + 1e-6
    assert bias.min() >= 0


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        (
            {},
            (None, None, 2),
            "The number of steps must be known. "
            "Received: input_shape=(None, None, 2)",
        ),
        (
            {"data_format": "channels_first"},
            (None, None, 8),
            "The number of channels must be known. "
            "Received: input_shape=(None, None, 8)",
        ),
        (
            {"strides": 2},
            (None, 2, 1),
            "A window of 3 steps does not fit. "
            "Received: input_shape=(None, 2, 1)",
        ),
    ],
)
def test_bad_input_shape(arguments, shape, message):
    with pytest.raises(ValueError) as error:
        LocallyConnected1D(4, 3, **arguments).build(shape)
    assert str(error.value) == message


def test_another_number_of_steps_is_refused():
    layer = LocallyConnected1D(4, 3)
    run(layer, make((2, 8, 2)))
    with pytest.raises(ValueError, match="expected axis 1 of input shape"):
        layer(make((2, 9, 2)))


def test_unknown_steps_have_unknown_positions():
    shape = LocallyConnected1D(4, 3).compute_output_shape((None, None, 2))
    assert shape == (None, None, 4)


def test_numpy_numbers_as_arguments():
    layer = LocallyConnected1D(np.int64(3), np.int32(2), np.int8(2))
    config = json.loads(json.dumps(layer.get_config()))
    values = [config[name] for name in ("filters", "kernel_size", "strides")]
    assert values == [3, 2, 2]
