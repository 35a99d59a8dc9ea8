import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients
from keras import ops

from kerasrecipes.layers import DropBlock2D

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)


def drop_by_loops(inputs, rate, size, numbers):
    """The paper's algorithm in float64, block by block, channels last.

    Args:
        inputs: array of shape (batch, height, width, channels).
        rate: share to drop.
        size: height and width of a block.
        numbers: from 0 to 1, one for each place where a block may begin.
    """
    _, height, width, _ = inputs.shape
    # The paper's blocks are square; a small image cuts one off.
    tall, wide = min(size, height), min(size, width)
    gamma = rate / (tall * wide) * (height * width)
    gamma /= (height - tall + 1) * (width - wide + 1)
    kept = np.ones(inputs.shape)
    for example, row, column, channel in np.ndindex(*numbers.shape):
        if numbers[example, row, column, channel] < gamma:
            block = slice(row, row + tall), slice(column, column + wide)
            kept[(example, *block, channel)] = 0.0
    outputs = inputs * kept
    for example in range(len(inputs)):
        if kept[example].any():
            outputs[example] *= kept[example].size / kept[example].sum()
    return outputs


def make_inputs(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def run(inputs, training=True, **arguments):
    layer = DropBlock2D(**arguments)
    return ops.convert_to_numpy(layer(inputs, training=training))


def find_kept(shape, **arguments):
    """Which units of ones are kept."""
    return run(np.ones(shape, "float32"), **arguments) > 0


# ----------------------------------------------------------------------
# The formula


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    ("image", "size"),
    [
        *[((7, 5), size) for size in (1, 2, 3, 4, 5, 7, 20)],
        *[((6, 6), 6), ((1, 4), 2), ((1, 4), 3)],
    ],
)
def test_equals_the_formula(monkeypatch, image, size, data_format):
    rate = 0.4
    inputs = make_inputs((3, *image, 2))
    places = [max(length - size + 1, 1) for length in image]
    # About half of them are below gamma, so that a wrong gamma shows.
    gamma = rate * np.prod(image) / np.prod(places)
    gamma /= np.prod(np.minimum(image, size))
    numbers = np.random.default_rng(size).random((3, *places, 2)) * 2 * gamma
    first = data_format == "channels_first"

    def give_numbers(shape, dtype=None, seed=None):
        given = np.moveaxis(numbers, -1, 1) if first else numbers
        assert tuple(shape) == given.shape
        return ops.convert_to_tensor(given, "float32")

    monkeypatch.setattr(keras.random, "uniform", give_numbers)
    outputs = run(
        np.moveaxis(inputs, -1, 1) if first else inputs,
        rate=rate,
        block_size=size,
        data_format=data_format,
    )
    np.testing.assert_allclose(
        np.moveaxis(outputs, 1, -1) if first else outputs,
        drop_by_loops(inputs, rate, size, numbers),
        # One division and two products in float32.
        rtol=1e-6,
    )


def test_by_hand(monkeypatch):
    """Gamma is 0.4 / 4 * 9 / 4 = 0.225, and one of four blocks is dropped."""
    numbers = np.array([[0.9, 0.22], [0.23, 0.5]], "float32")
    monkeypatch.setattr(
        keras.random,
        "uniform",
        lambda *_, **__: ops.reshape(numbers, (1, 2, 2, 1)),
    )
    outputs = run(np.ones((1, 3, 3, 1), "float32"), rate=0.4, block_size=2)
    expected = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 1]]) * 9 / 5
    np.testing.assert_allclose(outputs[0, :, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("size", [2, 3])
def test_zeros_come_in_blocks(size):
    kept = find_kept((20, 8, 7, 3), rate=0.3, block_size=size, seed=0)
    windows = np.lib.stride_tricks.sliding_window_view(
        kept, (size, size), (1, 2)
    )
    dropped = ~windows.any((-2, -1))  # where a whole block is
    expected = np.zeros_like(kept)
    for example, row, column, channel in np.argwhere(dropped):
        block = slice(row, row + size), slice(column, column + size)
        expected[(example, *block, channel)] = True
    np.testing.assert_array_equal(~kept, expected)
    assert 0 < expected.sum() < expected.size


@pytest.mark.parametrize(
    ("image", "size"), [((8, 8), 1), ((7, 5), 3), ((6, 6), 4), ((4, 9), 9)]
)
def test_share_of_kept_units(image, size):
    """A unit is kept if no block that covers it begins.

    The masks of 10,000 channels are independent: each share is binomial, and
    within five standard deviations but once in 1.7 million.
    """
    rate = 0.3
    shares = find_kept((100, *image, 100), rate=rate, block_size=size, seed=1)
    shares = shares.mean((0, 3))
    places = [max(length - size + 1, 1) for length in image]
    blocks = np.zeros(image)  # that cover a unit
    for row, column in np.ndindex(*places):
        blocks[row : row + size, column : column + size] += 1
    gamma = rate * np.prod(image) / np.prod(places)
    gamma /= np.prod(np.minimum(image, size))
    expected = (1 - gamma) ** blocks
    deviation = np.sqrt(expected * (1 - expected) / 10_000)
    assert (np.abs(shares - expected) < 5 * deviation).all()
    # Overlaps: never more than the rate is dropped.
    assert expected.mean() >= 1 - rate - 1e-12


def test_blocks_of_one_are_dropout():
    kept = find_kept((50, 10, 10, 20), rate=0.3, block_size=1, seed=0)
    shares = kept.mean((0, 3))  # of 1,000 units each
    deviation = np.sqrt(0.3 * 0.7 / 1000)
    assert np.abs(shares - 0.7).max() < 5 * deviation


@pytest.mark.parametrize("size", [6, 7])
def test_blocks_as_large_as_the_image_are_spatial_dropout(size):
    kept = find_kept((100, 6, 6, 100), rate=0.3, block_size=size, seed=0)
    whole = kept.all((1, 2))
    np.testing.assert_array_equal(whole, kept.any((1, 2)))
    assert abs(whole.mean() - 0.7) < 5 * np.sqrt(0.3 * 0.7 / 10_000)


def test_the_sum_of_ones_is_kept_in_every_example():
    outputs = run(
        np.ones((30, 9, 8, 4), "float32"), rate=0.4, block_size=3, seed=0
    )
    assert (outputs == 0).any((1, 2, 3)).all()
    np.testing.assert_allclose(outputs.mean((1, 2, 3)), 1.0, rtol=1e-6)


def test_an_example_does_not_depend_on_its_batch():
    inputs = make_inputs((8, 6, 6, 3))
    one, other = inputs.copy(), inputs.copy()
    other[1:] = np.nan
    arguments = {"rate": 0.3, "block_size": 2, "seed": 3}
    np.testing.assert_array_equal(
        run(one, **arguments)[0], run(other, **arguments)[0]
    )


# ----------------------------------------------------------------------
# Extremes


@pytest.mark.parametrize("rate", [0, 0.5])
def test_inference_changes_nothing(rate):
    inputs = make_inputs((2, 5, 4, 3))
    outputs = run(inputs, training=False, rate=rate, block_size=2)
    np.testing.assert_array_equal(outputs, inputs)


def test_rate_zero_changes_nothing():
    inputs = make_inputs((2, 5, 4, 3))
    np.testing.assert_array_equal(run(inputs, rate=0, block_size=2), inputs)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_rate_near_one_is_finite(size):
    inputs = make_inputs((1, 4, 4, 2))
    for seed in range(20):
        outputs = run(inputs, rate=0.999999, block_size=size, seed=seed)
        assert np.isfinite(outputs).all()
        if size != 3:  # blocks of three leave rims, of which some are kept
            assert not outputs.any()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 3, 1), (1, 2, 2, 5)])
def test_smallest_batch_and_images(shape):
    """All units are dropped, or the kept ones are scaled."""
    for seed in range(10):
        outputs = run(
            np.ones(shape, "float32"), rate=0.5, block_size=3, seed=seed
        )
        kept = np.count_nonzero(outputs)
        assert outputs.sum() == pytest.approx(np.prod(shape) * (kept > 0))


def test_float16_has_no_overflow():
    """131,072 units are more than a float16 can count."""
    layer = DropBlock2D(0.3, block_size=3, seed=0, dtype="float16")
    outputs = layer(np.ones((1, 64, 64, 32), "float16"), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    outputs = ops.convert_to_numpy(outputs).astype("float64")
    # Each is rounded to eleven bits.
    assert outputs.mean() == pytest.approx(1.0, rel=2.0**-11)


# ----------------------------------------------------------------------
# Seeds, shapes, gradients


def test_two_calls_differ():
    layer = DropBlock2D(0.5, block_size=2, seed=0)
    ones = np.ones((4, 6, 6, 3), "float32")
    first, second = (
        ops.convert_to_numpy(layer(ones, training=True)) for _ in range(2)
    )
    assert (first != second).any()


def test_equal_seeds_agree_and_others_differ():
    arguments = {"shape": (4, 6, 6, 3), "rate": 0.5, "block_size": 2}
    first, again, other = (find_kept(seed=s, **arguments) for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_without_a_seed_keras_own_seed_decides():
    arguments = {"shape": (4, 6, 6, 3), "rate": 0.5, "block_size": 2}
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        found.append([find_kept(**arguments) for _ in range(2)])
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0][0] != found[0][1]).any()


def test_every_example_and_channel_has_its_own_mask():
    kept = find_kept((4, 8, 8, 5), rate=0.5, block_size=2, seed=0)
    masks = np.moveaxis(kept, -1, 1).reshape(20, -1)
    assert len(np.unique(masks, axis=0)) == 20


def test_unknown_height_and_width():
    symbols = keras.Input((None, None, 3))
    outputs = DropBlock2D(0.3, block_size=3, seed=0)(symbols)
    assert outputs.shape == (None, None, None, 3)
    model = keras.Model(symbols, outputs)
    model.compile("sgd", lambda y_true, y_pred: ops.mean(y_pred), metrics=[])
    for shape in [(2, 7, 5, 3), (3, 2, 6, 3), (1, 9, 9, 3)]:
        ones = np.ones(shape, "float32")
        np.testing.assert_array_equal(model.predict(ones, verbose=0), ones)
        kept = ops.convert_to_numpy(model(ones, training=True))
        assert kept.shape == shape
        assert kept.mean() == pytest.approx(1.0) and (kept == 0).any()


@pytest.mark.filterwarnings("ignore:.*trainable weights:UserWarning")
def test_unknown_height_and_width_in_a_graph():
    """The sizes are tensors there, on TensorFlow."""
    symbols = keras.Input((None, None, 3))
    model = keras.Model(symbols, DropBlock2D(0.3, block_size=3)(symbols))
    model.compile("sgd", lambda y_true, y_pred: ops.max(y_pred))
    ones = np.ones((4, 7, 5, 3), "float32")
    for x in (ones, ones[:, :2]):
        loss = model.train_on_batch(x, x)
        assert 1.0 < loss < 10.0  # scaled, as it is only in training


class InTraining(keras.layers.Layer):
    """A layer in training, whatever calls it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs, training=True)


def test_gradient_is_that_of_a_product():
    inputs = make_inputs((3, 6, 5, 4))
    cotangents = make_inputs(inputs.shape, seed=1)
    layer = DropBlock2D(0.4, block_size=3, seed=0)
    layer.build(inputs.shape)
    (gradient,) = compute_gradients(InTraining(layer), inputs, cotangents)
    factors = gradient / cotangents
    kept = factors > 0.5
    assert 0 < kept.sum() < kept.size
    for example in range(3):
        scale = kept[example].size / kept[example].sum()
        np.testing.assert_allclose(
            factors[example], scale * kept[example], rtol=1e-5
        )


def test_gradient_is_finite_where_nothing_is_kept():
    layer = DropBlock2D(0.999999, block_size=4, seed=0)
    layer.build((2, 4, 4, 1))
    (gradient,) = compute_gradients(
        InTraining(layer), make_inputs((2, 4, 4, 1)), np.ones((2, 4, 4, 1))
    )
    assert not gradient.any()


def test_another_rank_is_refused():
    with pytest.raises(ValueError, match="expected ndim=4, found ndim=3"):
        DropBlock2D(0.5)(np.ones((2, 5, 3), "float32"))


def test_numpy_numbers_as_arguments():
    layer = DropBlock2D(np.float32(0.5), np.int64(3), seed=np.int32(4))
    config = layer.get_config()
    values = [config[name] for name in ("rate", "block_size", "seed")]
    assert values == [0.5, 3, 4]
    assert [type(value) for value in values] == [float, int, int]
