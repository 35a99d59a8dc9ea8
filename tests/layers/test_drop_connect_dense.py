import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients
from keras import ops

from kerasrecipes.layers import DropConnectDense

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

MODES = ["per_example", "per_batch"]
FEATURES, UNITS = 6, 5


def make_inputs(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def make_layer(kernel, bias=None, **arguments):
    """A layer with these weights."""
    layer = DropConnectDense(
        kernel.shape[1], use_bias=bias is not None, **arguments
    )
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return layer


def run(layer, inputs, training=True):
    return ops.convert_to_numpy(layer(inputs, training=training))


def find_masks(batch, rate, mask_mode, seed):
    """Masks that a layer with this seed applies in its first call.

    Its outputs show them: for the kernel, where every example holds the unit
    vectors and all weights are ones; for the bias, where all inputs are zeros.

    Returns:
        Zeros and ones of the shapes (batch, features, units), (batch, units).
    """
    arguments = {"rate": rate, "mask_mode": mask_mode, "seed": seed}
    ones = np.ones((FEATURES, UNITS), "float32")
    layer = make_layer(ones, ones[0], **arguments)
    layer.bias.assign(0 * ones[0])
    units = np.tile(np.eye(FEATURES, dtype="float32"), (batch, 1, 1))
    kernels = run(layer, units) > 0
    layer = make_layer(ones, ones[0], **arguments)
    biases = run(layer, np.zeros((batch, FEATURES), "float32")) > 0
    return kernels.astype("float64"), biases.astype("float64")


def connect_by_loops(inputs, kernel, bias, masks, rate):
    """The formula in float64, an example at a time, before the activation."""
    outputs = []
    for example, of_kernel, of_bias in zip(inputs, *masks, strict=True):
        sums = [
            np.dot(of_kernel[:, unit] * kernel[:, unit], example)
            + of_bias[unit] * bias[unit]
            for unit in range(UNITS)
        ]
        outputs.append(np.array(sums) / (1 - rate))
    return np.array(outputs)


def make_weights():
    return make_inputs((FEATURES, UNITS), seed=1), make_inputs(UNITS, seed=2)


# ----------------------------------------------------------------------
# The formula


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("mask_mode", MODES)
@pytest.mark.parametrize("batch", [1, 4])
def test_equals_the_formula(batch, mask_mode, activation):
    rate = 0.4
    kernel, bias = make_weights()
    inputs = make_inputs((batch, FEATURES))
    arguments = {"rate": rate, "mask_mode": mask_mode, "seed": 3}
    masks = find_masks(batch, **arguments)
    assert {*masks[0].flat} == {0.0, 1.0}
    expected = connect_by_loops(inputs, kernel, bias, masks, rate)
    if activation == "relu":
        expected = np.maximum(expected, 0)
    elif activation == "tanh":
        expected = np.tanh(expected)
    layer = make_layer(kernel, bias, activation=activation, **arguments)
    np.testing.assert_allclose(
        run(layer, inputs), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("mask_mode", MODES)
def test_positions_of_an_example_share_its_mask(mask_mode):
    kernel, bias = make_weights()
    inputs = make_inputs((4, 3, 2, FEATURES))
    arguments = {"rate": 0.4, "mask_mode": mask_mode, "seed": 3}
    outputs = run(make_layer(kernel, bias, **arguments), inputs)
    assert outputs.shape == (4, 3, 2, UNITS)
    for position in np.ndindex(3, 2):
        alone = run(
            make_layer(kernel, bias, **arguments),
            inputs[(slice(None), *position)],
        )
        np.testing.assert_allclose(
            outputs[(slice(None), *position)], alone, rtol=1e-5, atol=1e-6
        )


def test_masks_of_examples_differ_or_not():
    kernels, biases = find_masks(4, 0.5, "per_example", seed=0)
    assert len(np.unique(kernels, axis=0)) == len(np.unique(biases, axis=0))
    assert len(np.unique(kernels, axis=0)) == 4
    kernels, biases = find_masks(4, 0.5, "per_batch", seed=0)
    assert (
        len(np.unique(kernels, axis=0)) == len(np.unique(biases, axis=0)) == 1
    )


def test_weights_are_dropped_one_by_one():
    """Not row by row, as dropout of the inputs would do it."""
    kernels, biases = find_masks(2000, 0.3, "per_example", seed=0)
    # A correlation of 2,000 pairs has the standard deviation 0.022.
    flat = np.concatenate([kernels.reshape(2000, -1), biases], axis=1)
    correlations = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)
    deviation = np.sqrt(0.3 * 0.7 / 2000)
    assert np.abs(flat.mean(0) - 0.7).max() < 5 * deviation


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_mean_and_variance_before_the_activation(rate):
    """Over 20,000 masks; the bounds are five standard errors.

    That of a variance needs the fourth moment, which is taken from the sums.
    """
    kernel, bias = make_weights()
    example = make_inputs(FEATURES)
    layer = make_layer(kernel, bias, rate=rate, seed=0)
    sums = run(layer, np.tile(example, (20_000, 1))).astype("float64")
    mean = example @ kernel + bias
    variance = np.square(example) @ np.square(kernel) + np.square(bias)
    variance = variance * rate / (1 - rate)
    assert (np.abs(sums.mean(0) - mean) < 5 * np.sqrt(variance / 20_000)).all()
    squares = np.square(sums - mean)
    error = squares.std(0) / np.sqrt(20_000)
    assert (np.abs(squares.mean(0) - variance) < 5 * error).all()


# ----------------------------------------------------------------------
# Inference


@pytest.mark.parametrize("mask_mode", MODES)
@pytest.mark.parametrize("shape", [(3, FEATURES), (1, 4, FEATURES)])
def test_inference_is_dense(shape, mask_mode):
    kernel, bias = make_weights()
    layer = make_layer(kernel, bias, activation="tanh", mask_mode=mask_mode)
    dense = keras.layers.Dense(UNITS, activation="tanh")
    inputs = make_inputs(shape)
    dense.build(shape)
    dense.set_weights([kernel, bias])
    np.testing.assert_array_equal(
        run(layer, inputs, training=False), run(dense, inputs)
    )


@pytest.mark.parametrize("inference", ["mean", "moments"])
@pytest.mark.parametrize("training", [True, False])
def test_rate_zero_is_dense(training, inference):
    kernel, bias = make_weights()
    inputs = make_inputs((3, FEATURES))
    layer = make_layer(
        kernel, bias, rate=0, inference=inference, activation="relu"
    )
    expected = np.maximum(inputs @ kernel + bias, 0)
    np.testing.assert_allclose(
        run(layer, inputs, training), expected, rtol=1e-5, atol=1e-6
    )


def make_wide_layer(activation, **arguments):
    """With 400 small weights for a unit: such a sum is nearly normal."""
    return make_layer(
        make_inputs((400, UNITS), seed=1) / 20,
        make_inputs(UNITS, seed=2) / 20,
        activation=activation,
        seed=0,
        **arguments,
    )


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_moments_are_the_mean_over_masks(activation):
    example = make_inputs((1, 400))
    layer = make_wide_layer(activation, inference="moments")
    (found,) = run(layer, example, training=False)
    outputs = np.concatenate(
        [run(layer, np.tile(example, (500, 1))) for _ in range(8)]
    )
    # Five standard errors, a hundredth for the quadrature, and as much for
    # sums that are not quite normal; the mean network is off by 0.1 and more.
    error = 5 * outputs.std(0) / np.sqrt(len(outputs)) + 0.02
    assert (np.abs(found - outputs.mean(0)) < error).all()
    (plain,) = run(make_wide_layer(activation), example, training=False)
    assert (
        np.abs(plain - outputs.mean(0)).max()
        > np.abs(found - outputs.mean(0)).max()
    )


def test_moments_of_a_linear_layer_are_its_mean():
    example = make_inputs((3, 400))
    found, plain = (
        run(make_wide_layer(None, inference=inference), example, training=False)
        for inference in ("moments", "mean")
    )
    np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-5)


def test_moments_of_a_square_by_hand():
    """A polynomial is integrated exactly: mean squared plus variance."""
    kernel, bias = make_weights()
    inputs = make_inputs((3, 2, FEATURES))
    layer = make_layer(
        kernel, bias, rate=0.25, inference="moments", activation=ops.square
    )
    mean = inputs @ kernel + bias
    variance = (np.square(inputs) @ np.square(kernel) + np.square(bias)) / 3
    np.testing.assert_allclose(
        run(layer, inputs, training=False),
        np.square(mean) + variance,
        rtol=1e-5,
    )


def test_moments_of_a_relu_are_near_the_integral():
    kernel = np.ones((1, UNITS), "float32")
    inputs = np.full((1, 1), 2.0, "float32")
    layer = make_layer(
        kernel,
        np.float32([-6, -3, -2, -1, 2]),
        inference="moments",
        activation="relu",
    )
    mean = 2.0 + np.array([-6, -3, -2, -1, 2])
    deviation = np.sqrt(4.0 + np.array([36, 9, 4, 1, 4]))
    steps = np.linspace(-9, 9, 200_001)
    density = np.exp(-np.square(steps) / 2) / np.sqrt(2 * np.pi)
    values = np.maximum(mean[:, np.newaxis] + np.outer(deviation, steps), 0)
    expected = (values * density).sum(1) * (steps[1] - steps[0])
    (found,) = run(layer, inputs, training=False)
    assert (np.abs(found - expected) < 0.01 * deviation).all()


def test_predictions_are_deterministic():
    example = make_inputs((2, 400))
    for inference in ("mean", "moments"):
        layer = make_wide_layer("relu", inference=inference)
        first, second = (run(layer, example, training=False) for _ in range(2))
        np.testing.assert_array_equal(first, second)


# ----------------------------------------------------------------------
# Extremes, seeds, gradients


@pytest.mark.parametrize("mask_mode", MODES)
def test_rate_near_one_is_finite(mask_mode):
    kernel, bias = make_weights()
    layer = make_layer(
        kernel, bias, rate=0.999, mask_mode=mask_mode, activation="relu"
    )
    outputs = run(layer, make_inputs((50, FEATURES)))
    assert np.isfinite(outputs).all()
    assert np.mean(outputs == 0) > 0.9


def test_float16_keeps_the_rate():
    """In float16 numbers below 0.001 would be far apart from each other."""
    layer = DropConnectDense(200, 0.999, seed=0, dtype="float16")
    layer.build((None, 200))
    layer.set_weights([np.eye(200), np.zeros(200)])
    outputs = layer(np.ones((100, 200), "float16"), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    kept = np.mean(ops.convert_to_numpy(outputs) > 0)
    assert abs(kept - 0.001) < 5 * np.sqrt(0.001 / 20_000)


@pytest.mark.parametrize("mask_mode", MODES)
def test_two_calls_differ(mask_mode):
    kernel, bias = make_weights()
    layer = make_layer(kernel, bias, mask_mode=mask_mode, seed=0)
    inputs = make_inputs((4, FEATURES))
    assert (run(layer, inputs) != run(layer, inputs)).any()


def test_equal_seeds_agree_and_others_differ():
    kernel, bias = make_weights()
    inputs = make_inputs((4, FEATURES))
    first, again, other = (
        run(make_layer(kernel, bias, seed=seed), inputs) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_without_a_seed_keras_own_seed_decides():
    kernel, bias = make_weights()
    inputs = make_inputs((4, FEATURES))
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        layers = [make_layer(kernel, bias) for _ in range(2)]
        found.append([run(layer, inputs) for layer in layers])
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0][0] != found[0][1]).any()


class InTraining(keras.layers.Layer):
    """A layer in training, whatever calls it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs, training=True)


def test_gradients_of_one_mask():
    """Those of a dense layer with the masked weights."""
    kernel, bias = make_weights()
    inputs = make_inputs((4, FEATURES))
    cotangents = make_inputs((4, UNITS), seed=4)
    layer = make_layer(kernel, bias, rate=0.4, mask_mode="per_batch", seed=3)
    of_inputs, of_kernel, of_bias = compute_gradients(
        InTraining(layer), inputs, cotangents
    )
    # Which weights were kept is seen in the gradients.
    kept = of_kernel != 0
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose(
        of_kernel, inputs.T @ cotangents / 0.6 * kept, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        of_inputs, cotangents @ (kernel * kept).T / 0.6, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        of_bias, cotangents.sum(0) / 0.6 * (of_bias != 0), rtol=1e-4
    )


def test_gradients_of_a_mask_for_each_example():
    """Of inputs that are all ones, and of one example with a weight."""
    kernel, bias = make_weights()
    cotangents = np.zeros((4, UNITS), "float32")
    cotangents[2] = 1.0
    layer = make_layer(kernel, bias, rate=0.4, seed=3)
    of_inputs, of_kernel, _ = compute_gradients(
        InTraining(layer), np.ones((4, FEATURES), "float32"), cotangents
    )
    assert not of_inputs[[0, 1, 3]].any()
    kept = of_kernel != 0
    np.testing.assert_allclose(of_kernel, kept / 0.6, rtol=1e-5)
    np.testing.assert_allclose(
        of_inputs[2], (kernel * kept).sum(1) / 0.6, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("rate", [0.5, 0.999])
@pytest.mark.parametrize("mask_mode", MODES)
def test_gradients_are_finite_in_training(mask_mode, rate):
    kernel, bias = make_weights()
    layer = make_layer(
        kernel, bias, rate=rate, mask_mode=mask_mode, activation="relu"
    )
    for inputs in (make_inputs((4, FEATURES)), np.zeros((1, FEATURES))):
        gradients = compute_gradients(
            InTraining(layer), inputs, np.ones((len(inputs), UNITS))
        )
        assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_gradients_of_moments_are_finite_at_zero():
    """There the standard deviation is zero, and its slope infinite."""
    layer = make_layer(
        np.zeros((FEATURES, UNITS)), inference="moments", activation="relu"
    )
    gradients = compute_gradients(
        layer, np.zeros((2, FEATURES)), np.ones((2, UNITS))
    )
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_arguments_of_dense_are_taken():
    layer = DropConnectDense(
        UNITS,
        0.3,
        activation="tanh",
        kernel_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.5),
    )
    layer(make_inputs((2, FEATURES)))
    assert len(layer.losses) == 1
    assert layer.get_config()["activation"] == "tanh"
    copy = DropConnectDense.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    with pytest.raises(ValueError, match="Could not interpret"):
        DropConnectDense(UNITS, activation="softmaxx")


def test_numpy_numbers_as_arguments():
    layer = DropConnectDense(np.int64(3), np.float32(0.5), seed=np.int32(4))
    config = layer.get_config()
    values = [config[name] for name in ("units", "rate", "seed")]
    assert values == [3, 0.5, 4]
    assert [type(value) for value in values] == [int, float, int]
