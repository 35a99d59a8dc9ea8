import contextlib
import json

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients
from keras import ops

from kerasrecipes.layers import LocalResponseNormalization

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

# A float32 has a relative error of 6e-8. The sum of squares, the logarithm
# and the exponential of numbers of this size add up to a few times that.
RELATIVE_ERROR = 1e-6
REGIONS = ["across_channels", "within_channel"]
ALPHA_MODES = ["sum", "mean"]
# alpha is large enough for every neighbour to count in the sixth digit.
NUMBERS = {"k": 1.3, "alpha": 0.3, "beta": 0.6}


def get_window(index, size, length):
    """Indices from size // 2 before to (size - 1) // 2 behind that exist."""
    wanted = range(index - size // 2, index + (size - 1) // 2 + 1)
    return [neighbour for neighbour in wanted if 0 <= neighbour < length]


def normalize_by_loops(inputs, size, k, alpha, beta, region, alpha_mode):
    """The formula in float64, one value at a time, channels last."""
    inputs = inputs.astype("float64")
    outputs = np.empty_like(inputs)
    for index in np.ndindex(inputs.shape):
        if region == "across_channels":
            *position, channel = index
            neighbours = [
                inputs[(*position, other)]
                for other in get_window(channel, size, inputs.shape[-1])
            ]
            terms = size
        else:
            image, row, column, channel = index
            neighbours = [
                inputs[image, other_row, other_column, channel]
                for other_row in get_window(row, size, inputs.shape[1])
                for other_column in get_window(column, size, inputs.shape[2])
            ]
            terms = size * size
        total = sum(neighbour**2 for neighbour in neighbours)
        if alpha_mode == "mean":
            total /= terms
        outputs[index] = inputs[index] / (k + alpha * total) ** beta
    return outputs


def make_inputs(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def run(inputs, dtype=None, **arguments):
    layer = LocalResponseNormalization(dtype=dtype, **arguments)
    return ops.convert_to_numpy(layer(inputs))


def make_layer(inputs, **arguments):
    layer = LocalResponseNormalization(**arguments)
    layer.build(inputs.shape)
    return layer


# ----------------------------------------------------------------------
# The formula


# An odd image of 7 x 5 pixels and 6 channels: the last size is larger.
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17])
@pytest.mark.parametrize("alpha_mode", ALPHA_MODES)
@pytest.mark.parametrize("region", REGIONS)
def test_equals_the_formula(region, alpha_mode, size):
    inputs = make_inputs((2, 7, 5, 6))
    arguments = {
        **NUMBERS,
        "size": size,
        "region": region,
        "alpha_mode": alpha_mode,
    }
    expected = normalize_by_loops(inputs, **arguments)
    np.testing.assert_allclose(
        run(inputs, **arguments), expected, rtol=RELATIVE_ERROR
    )
    channels_first = np.moveaxis(inputs, -1, 1)
    outputs = run(channels_first, data_format="channels_first", **arguments)
    np.testing.assert_allclose(
        np.moveaxis(outputs, 1, -1), expected, rtol=RELATIVE_ERROR
    )


@pytest.mark.parametrize("shape", [(1, 3), (3, 6), (2, 5, 4), (2, 2, 3, 4, 5)])
def test_any_rank_across_channels(shape):
    inputs = make_inputs(shape)
    arguments = {**NUMBERS, "size": 4}
    expected = normalize_by_loops(
        inputs, **arguments, region="across_channels", alpha_mode="sum"
    )
    np.testing.assert_allclose(
        run(inputs, **arguments), expected, rtol=RELATIVE_ERROR
    )
    channels_first = np.moveaxis(inputs, -1, 1)
    outputs = run(channels_first, data_format="channels_first", **arguments)
    np.testing.assert_allclose(
        np.moveaxis(outputs, 1, -1), expected, rtol=RELATIVE_ERROR
    )


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 5, 3), (1, 6, 1, 2)])
def test_smallest_batch_and_images(shape, region):
    inputs = make_inputs(shape)
    expected = normalize_by_loops(
        inputs, 3, **NUMBERS, region=region, alpha_mode="mean"
    )
    outputs = run(inputs, size=3, **NUMBERS, region=region, alpha_mode="mean")
    np.testing.assert_allclose(outputs, expected, rtol=RELATIVE_ERROR)


# The squares 1, 4, 9 in windows of three: 5, 14, 13. In windows of two, the
# channel and the one before: 1, 5, 13.
@pytest.mark.parametrize(
    ("size", "alpha_mode", "expected"),
    [
        (3, "sum", [1 / 6, 2 / 15, 3 / 14]),
        (3, "mean", [3 / 8, 6 / 17, 9 / 16]),
        (2, "sum", [1 / 2, 2 / 6, 3 / 14]),
        (2, "mean", [2 / 3, 4 / 7, 6 / 15]),
    ],
)
def test_by_hand_across_channels(size, alpha_mode, expected):
    outputs = run(
        np.array([[1.0, 2.0, 3.0]], "float32"),
        size=size,
        k=1.0,
        alpha=1.0,
        beta=1.0,
        alpha_mode=alpha_mode,
    )
    np.testing.assert_allclose(outputs, [expected], rtol=RELATIVE_ERROR)


# The squares 1, 4 / 9, 16: a window of 3 x 3 has them all, 30; one of 2 x 2
# ends at its pixel: 1, 5 / 10, 30.
@pytest.mark.parametrize(
    ("size", "alpha_mode", "expected"),
    [
        (3, "sum", [[1 / 31, 2 / 31], [3 / 31, 4 / 31]]),
        (3, "mean", [[3 / 13, 6 / 13], [9 / 13, 12 / 13]]),
        (2, "sum", [[1 / 2, 2 / 6], [3 / 11, 4 / 31]]),
        (2, "mean", [[4 / 5, 8 / 9], [12 / 14, 16 / 34]]),
    ],
)
def test_by_hand_within_channel(size, alpha_mode, expected):
    outputs = run(
        np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]], "float32"),
        size=size,
        k=1.0,
        alpha=1.0,
        beta=1.0,
        region="within_channel",
        alpha_mode=alpha_mode,
    )
    np.testing.assert_allclose(
        outputs[0, :, :, 0], expected, rtol=RELATIVE_ERROR
    )


def test_defaults_are_those_of_the_paper():
    inputs = 50 * make_inputs((2, 3, 3, 8))
    expected = normalize_by_loops(
        inputs, 5, 2.0, 1e-4, 0.75, "across_channels", "sum"
    )
    np.testing.assert_allclose(run(inputs), expected, rtol=RELATIVE_ERROR)


# ----------------------------------------------------------------------
# Special cases


@pytest.mark.parametrize("alpha_mode", ALPHA_MODES)
@pytest.mark.parametrize("region", REGIONS)
def test_size_one_looks_at_no_neighbour(region, alpha_mode):
    inputs = make_inputs((2, 4, 3, 5))
    outputs = run(
        inputs, size=1, **NUMBERS, region=region, alpha_mode=alpha_mode
    )
    expected = inputs / (1.3 + 0.3 * inputs**2) ** 0.6
    np.testing.assert_allclose(outputs, expected, rtol=RELATIVE_ERROR)


@pytest.mark.parametrize("region", REGIONS)
def test_alpha_zero_divides_by_a_power_of_k(region):
    inputs = make_inputs((2, 4, 3, 5))
    outputs = run(inputs, k=3.0, alpha=0.0, beta=0.5, region=region)
    np.testing.assert_allclose(outputs, inputs / 3**0.5, rtol=RELATIVE_ERROR)


@pytest.mark.parametrize("region", REGIONS)
def test_beta_zero_changes_nothing(region):
    inputs = make_inputs((2, 4, 3, 5))
    np.testing.assert_array_equal(run(inputs, beta=0, region=region), inputs)


@pytest.mark.parametrize("region", REGIONS)
def test_zeros_stay_zeros(region):
    inputs = np.zeros((2, 4, 3, 5), "float32")
    np.testing.assert_array_equal(run(inputs, region=region), inputs)


@pytest.mark.parametrize("alpha_mode", ALPHA_MODES)
def test_constant_map_within_channel(alpha_mode):
    """Windows inside see 9 pixels, at a border 6, in a corner 4."""
    inputs = np.full((1, 6, 7, 2), 2.0, "float32")
    outputs = run(
        inputs,
        size=3,
        k=1.0,
        alpha=0.5,
        beta=1.0,
        region="within_channel",
        alpha_mode=alpha_mode,
    )
    weight = 0.5 if alpha_mode == "sum" else 0.5 / 9
    inside, border, corner = (
        2 / (1 + weight * pixels * 4) for pixels in (9, 6, 4)
    )
    expected = np.full((6, 7), inside)
    expected[[0, -1], :] = expected[:, [0, -1]] = border
    expected[[0, 0, -1, -1], [0, -1, 0, -1]] = corner
    for channel in range(2):
        np.testing.assert_allclose(
            outputs[0, :, :, channel], expected, rtol=RELATIVE_ERROR
        )


# ----------------------------------------------------------------------
# Dtypes and shapes


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    ("dtype", "precision"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8)]
)
def test_large_short_floats_do_not_overflow(dtype, precision, region):
    # 300 ** 2 is beyond the largest float16, 65504.
    inputs = np.full((1, 3, 3, 6), 300.0, "float32")
    layer = LocalResponseNormalization(alpha=1e-2, region=region, dtype=dtype)
    outputs = layer(inputs)
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    expected = normalize_by_loops(inputs, 5, 2.0, 1e-2, 0.75, region, "sum")
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(outputs, "float32")),
        expected,
        # Rounded once, after a computation in float32.
        rtol=precision + RELATIVE_ERROR,
    )


@pytest.mark.parametrize("region", REGIONS)
def test_float64_is_computed_in_float64(region):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras computes in float64 on TensorFlow alone.")
    inputs = make_inputs((2, 5, 4, 6)).astype("float64")
    expected = normalize_by_loops(
        inputs, 3, **NUMBERS, region=region, alpha_mode="mean"
    )
    outputs = run(
        inputs, "float64", size=3, **NUMBERS, region=region, alpha_mode="mean"
    )
    np.testing.assert_allclose(outputs, expected, rtol=1e-14)


def test_integers_become_floats():
    inputs = np.array([[200, 100, 50]], "uint8")
    expected = normalize_by_loops(
        inputs, 3, 1.0, 1.0, 0.5, "across_channels", "sum"
    )
    outputs = run(inputs, size=3, k=1.0, alpha=1.0, beta=0.5)
    np.testing.assert_allclose(outputs, expected, rtol=RELATIVE_ERROR)


@pytest.mark.parametrize("region", REGIONS)
def test_unknown_height_and_width(region):
    symbols = keras.Input((None, None, 4))
    layer = LocalResponseNormalization(size=3, **NUMBERS, region=region)
    outputs = layer(symbols)
    assert outputs.shape == (None, None, None, 4)
    model = keras.Model(symbols, outputs)
    for shape in [(3, 5, 4, 4), (2, 1, 7, 4)]:
        inputs = make_inputs(shape)
        expected = normalize_by_loops(
            inputs, 3, **NUMBERS, region=region, alpha_mode="sum"
        )
        np.testing.assert_allclose(
            model.predict(inputs, batch_size=2, verbose=0),
            expected,
            rtol=RELATIVE_ERROR,
        )


@contextlib.contextmanager
def image_data_format(data_format):
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(data_format)
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def test_data_format_is_that_of_keras_at_construction():
    with image_data_format("channels_first"):
        layer = LocalResponseNormalization(size=3)
    assert layer.get_config()["data_format"] == "channels_first"
    inputs = make_inputs((2, 5, 3, 4))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer(inputs)),
        run(inputs, size=3, data_format="channels_first"),
    )


def test_numpy_numbers_as_arguments():
    layer = LocalResponseNormalization(
        size=np.int64(3), k=np.float32(1.5), alpha=0, beta=np.float64(1)
    )
    config = json.loads(json.dumps(layer.get_config()))
    values = [config[name] for name in ("size", "k", "alpha", "beta")]
    assert values == [3, 1.5, 0.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        (
            {"region": "within_channel"},
            (None, 8, 3),
            'With `region="within_channel"` inputs must have rank 4. '
            "Received: input_shape=(None, 8, 3)",
        ),
        (
            {},
            (8,),
            "Inputs must have rank 2 or more. Received: input_shape=(8,)",
        ),
        (
            {},
            (None, 8, 8, None),
            "The number of channels must be known. "
            "Received: input_shape=(None, 8, 8, None)",
        ),
        (
            {"data_format": "channels_first"},
            (None, None, 8, 8),
            "The number of channels must be known. "
            "Received: input_shape=(None, None, 8, 8)",
        ),
    ],
)
def test_bad_input_shape(arguments, shape, message):
    with pytest.raises(ValueError) as error:
        LocalResponseNormalization(**arguments).build(shape)
    assert str(error.value) == message


def test_another_number_of_channels_is_refused():
    layer = LocalResponseNormalization()
    layer(make_inputs((2, 3, 3, 4)))
    with pytest.raises(ValueError, match="expected axis -1 of input shape"):
        layer(make_inputs((2, 3, 3, 5)))


# ----------------------------------------------------------------------
# Gradients


@pytest.mark.parametrize("alpha_mode", ALPHA_MODES)
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("size", [2, 3])
def test_gradient_equals_differences_of_the_formula(size, region, alpha_mode):
    inputs = make_inputs((1, 4, 3, 4))
    cotangents = make_inputs(inputs.shape, seed=1)
    arguments = {
        **NUMBERS,
        "size": size,
        "region": region,
        "alpha_mode": alpha_mode,
    }
    step = 1e-5
    expected = np.empty(inputs.shape)
    for index in np.ndindex(inputs.shape):
        change = np.zeros(inputs.shape)
        change[index] = step
        difference = normalize_by_loops(
            inputs + change, **arguments
        ) - normalize_by_loops(inputs - change, **arguments)
        expected[index] = (cotangents * difference).sum() / (2 * step)
    (gradient,) = compute_gradients(
        make_layer(inputs, **arguments), inputs, cotangents
    )
    # The terms of neighbours cancel in part, hence an absolute bound.
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


# ----------------------------------------------------------------------
# Other implementations


@pytest.mark.parity
@pytest.mark.parametrize("size", [1, 3, 5, 15])
def test_parity_with_tensorflow(size):
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    inputs = make_inputs((2, 5, 4, 8))
    cotangents = make_inputs(inputs.shape, seed=1)
    watched = tf.Variable(inputs)
    with tf.GradientTape() as tape:
        expected = tf.nn.local_response_normalization(
            watched,
            depth_radius=size // 2,
            bias=NUMBERS["k"],
            alpha=NUMBERS["alpha"],
            beta=NUMBERS["beta"],
        )
        loss = tf.reduce_sum(expected * cotangents)
    np.testing.assert_allclose(
        run(inputs, size=size, **NUMBERS), expected.numpy(), rtol=1e-5
    )
    (gradient,) = compute_gradients(
        make_layer(inputs, size=size, **NUMBERS), inputs, cotangents
    )
    np.testing.assert_allclose(
        gradient,
        tape.gradient(loss, watched).numpy(),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parity
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 15])
def test_parity_with_torch(size):
    torch = pytest.importorskip("torch", reason="needs torch")
    inputs = make_inputs((2, 8, 5, 4))
    cotangents = make_inputs(inputs.shape, seed=1)
    arguments = {
        **NUMBERS,
        "size": size,
        "alpha_mode": "mean",
        "data_format": "channels_first",
    }
    peer = torch.nn.LocalResponseNorm(size, **NUMBERS)
    watched = torch.tensor(inputs, requires_grad=True)
    expected = peer(watched)
    (expected * torch.tensor(cotangents)).sum().backward()
    np.testing.assert_allclose(
        run(inputs, **arguments), expected.detach().numpy(), rtol=1e-5
    )
    (gradient,) = compute_gradients(
        make_layer(inputs, **arguments), inputs, cotangents
    )
    np.testing.assert_allclose(
        gradient, watched.grad.numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parity
@pytest.mark.parametrize("size", [1, 3, 5])
def test_parity_with_pooling_of_torch(size):
    """Caffe's WITHIN_CHANNEL: k = 1, and zeros outside the image count."""
    torch = pytest.importorskip("torch", reason="needs torch")
    inputs = make_inputs((2, 3, 7, 5))
    images = torch.tensor(inputs)
    means = torch.nn.functional.avg_pool2d(
        images**2, size, 1, size // 2, count_include_pad=True
    )
    expected = images * (1 + 0.3 * means) ** -0.6
    outputs = run(
        inputs,
        size=size,
        k=1.0,
        alpha=0.3,
        beta=0.6,
        region="within_channel",
        alpha_mode="mean",
        data_format="channels_first",
    )
    np.testing.assert_allclose(outputs, expected.numpy(), rtol=1e-5)
