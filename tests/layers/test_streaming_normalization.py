import json

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients
from keras import layers, ops

from kerasrecipes.layers import StreamingNormalization

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

# A float32 has a relative error of 6e-8, and a division by epsilon, where a
# spread is small, makes a hundred times as much of values up to five.
TOLERANCE = 3e-5


def make_batches(shape, count=12, seed=0):
    """Batches that differ in their means, as (count, *shape)."""
    generator = np.random.default_rng(seed)
    shifts = generator.normal(size=(count, *[1] * len(shape)))
    x = shifts + generator.normal(0.5, 2, (count, *shape))
    return x.astype("float32")


def run(layer, x, training=True, **arguments):
    x = ops.convert_to_tensor(x)
    return ops.convert_to_numpy(layer(x, training=training, **arguments))


class Twin:
    """The layer in float64, from all that was seen: no running statistics.

    A batch is kept as (channels, values).
    """

    def __init__(self, decay, order=2, epsilon=1e-3, axis=-1):
        self.decay, self.order, self.epsilon = decay, order, epsilon
        self.axis, self.batches, self.deviations = axis, [], []

    def weights(self):
        return self.decay ** np.arange(len(self.batches))[::-1]

    def channels(self, x):
        return np.moveaxis(x.astype("float64"), self.axis, 0).reshape(
            x.shape[self.axis], -1
        )

    def __call__(self, x):
        values = self.channels(x)
        self.batches.append(values)
        means = [batch.mean(1) for batch in self.batches]
        mean = np.average(means, 0, self.weights())
        if self.order == 1:
            off = np.abs(values - mean[:, None]).mean(1)
            self.deviations.append(off)
            spread = np.average(self.deviations, 0, self.weights())
            scale = spread + self.epsilon
        else:
            squares = [
                np.square(batch - mean[:, None]).mean(1)
                for batch in self.batches
            ]
            spread = np.average(squares, 0, self.weights())
            scale = np.sqrt(spread + self.epsilon)
        shape = [1] * x.ndim
        shape[self.axis] = -1
        self.mean, self.spread = mean, spread
        return (x - mean.reshape(shape)) / scale.reshape(shape)


# ----------------------------------------------------------------------
# The formula


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("decay", [0.0, 0.7, 0.99])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 4), -1),
        ((5, 4), 1),
        ((1, 3, 2, 4), -1),
        ((2, 4, 3), 1),
    ],
)
def test_equals_the_twin_over_several_steps(shape, axis, decay, order):
    layer = StreamingNormalization(axis, decay, order=order, epsilon=0.01)
    twin = Twin(decay, order, 0.01, axis)
    for batch in make_batches(shape):
        y, expected = run(layer, batch), twin(batch)
        np.testing.assert_allclose(y, expected, atol=TOLERANCE)
        # Inference has the same statistics.
        again = run(layer, batch, training=False)
        np.testing.assert_allclose(again, expected, atol=TOLERANCE)
    for weight, value in zip(
        layer.weights[2:4], (twin.mean, twin.spread), strict=True
    ):
        np.testing.assert_allclose(
            ops.convert_to_numpy(weight), value, rtol=TOLERANCE, atol=1e-6
        )
    seen = ops.convert_to_numpy(layer.seen)
    np.testing.assert_allclose(seen, 1 - decay**12, rtol=TOLERANCE)


def test_by_hand():
    """0, 4: the second sample weighs 1 / 1.5; mean 8/3, variance 32/9."""
    layer = StreamingNormalization(decay=0.5, epsilon=1e-12)
    run(layer, np.zeros((1, 1), "float32"))
    y = run(layer, np.full((1, 1), 4, "float32"))
    np.testing.assert_allclose(y, (4 / 3) / (32 / 9) ** 0.5, rtol=1e-6)


def test_gamma_and_beta():
    layer = StreamingNormalization()
    plain = StreamingNormalization(center=False, scale=False)
    batch = make_batches((3, 4))[0]
    layer.build(batch.shape)
    plain.build(batch.shape)
    assert len(plain.weights) == 3 and not plain.trainable_weights
    layer.gamma.assign([1, 2, 3, 4])
    layer.beta.assign([0, 1, 0, -1])
    np.testing.assert_allclose(
        run(layer, batch),
        run(plain, batch) * [1, 2, 3, 4] + [0, 1, 0, -1],
        atol=TOLERANCE,
    )


# ----------------------------------------------------------------------
# The first samples, and the two ends


def test_before_any_training():
    batch = make_batches((3, 4))[0]
    y = run(StreamingNormalization(), batch, training=False)
    np.testing.assert_allclose(y, batch / 1.001**0.5, rtol=1e-5)


def test_first_vectors():
    """The first becomes beta; no later one is beyond 1 / sqrt(weight)."""
    for seed in range(5):
        layer = StreamingNormalization()
        for time, x in enumerate(make_batches((1, 50), 30, seed), 1):
            weight = 0.01 / (1 - 0.99**time)
            most = np.abs(run(layer, x)).max()
            assert most <= (weight**-0.5 + TOLERANCE if time > 1 else 0.0)


@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (6, 3)])
def test_full_share_is_batch_norm(shape):
    streaming = StreamingNormalization(decay=0.9, batch_share=1.0)
    batch_norm = layers.BatchNormalization()
    twin = Twin(0.9)
    for batch in make_batches(shape):
        twin(batch)
        np.testing.assert_allclose(
            run(streaming, batch), run(batch_norm, batch), atol=TOLERANCE
        )
    # Only what normalizes the batch is its own.
    mean = ops.convert_to_numpy(streaming.running_mean)
    np.testing.assert_allclose(mean, twin.mean, rtol=1e-4, atol=1e-6)


def test_share_is_a_mixture_with_the_past():
    decay, share = 0.95, 0.3
    layer = StreamingNormalization(decay=decay, batch_share=share)
    *past, last = make_batches((1, 6, 4))
    twin = Twin(decay)
    for batch in past:
        run(layer, batch)
        twin(batch)
    x = last.reshape(-1, 4).astype("float64")
    mean = (1 - share) * twin.mean + share * x.mean(0)
    second = (1 - share) * (twin.spread + twin.mean**2)
    second += share * np.square(x).mean(0)
    expected = (last - mean) / np.sqrt(second - mean**2 + 1e-3)
    np.testing.assert_allclose(run(layer, last), expected, atol=TOLERANCE)


# ----------------------------------------------------------------------
# Training, masks, dtypes


def test_inference_and_frozen_layers_move_nothing():
    batches = make_batches((2, 4))
    layer = StreamingNormalization()
    run(layer, batches[0])
    before = [ops.convert_to_numpy(w) for w in layer.weights]
    at_rest = run(layer, batches[1], training=False)
    layer.trainable = False
    np.testing.assert_array_equal(run(layer, batches[1]), at_rest)
    for old, weight in zip(before, layer.weights, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(weight))


@pytest.mark.parametrize("batch_share", [0.0, 0.5])
@pytest.mark.parametrize("order", [1, 2])
def test_masked_steps_do_not_count(order, batch_share):
    arguments = {"order": order, "batch_share": batch_share}
    masked, plain = (StreamingNormalization(**arguments) for _ in range(2))
    for batch in make_batches((2, 5, 4)):
        padded = np.concatenate([batch, np.full((2, 3, 4), np.nan)], 1)
        mask = np.arange(8)[None].repeat(2, 0) < 5
        y = run(masked, padded.astype("float32"), mask=mask)
        expected = run(plain, batch)
        np.testing.assert_allclose(y[:, :5], expected, atol=TOLERANCE)
    before = [ops.convert_to_numpy(w) for w in masked.weights]
    y = run(masked, batch, mask=np.zeros((2, 5), bool))
    at_rest = run(plain, batch, training=False)
    np.testing.assert_allclose(y, at_rest, atol=TOLERANCE)
    for old, weight in zip(before, masked.weights, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(weight))


def test_fit_moves_the_statistics_sample_by_sample():
    """Under `fit` in batches of one, in order, on every backend."""
    x = make_batches((4,), 20)
    model = keras.Sequential([layers.Input((4,)), StreamingNormalization()])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(x, x, batch_size=1, shuffle=False, verbose=0)
    twin = Twin(0.99)
    for row in x:
        y = twin(row[None])
    np.testing.assert_allclose(
        model.predict(x[-1:], verbose=0), y, atol=TOLERANCE
    )


def test_several_calls_in_one_step():
    """Steps of a network that is written out move shared statistics."""
    x = make_batches((3, 4), 10)
    inputs = keras.Input((3, 4))
    layer = StreamingNormalization(decay=0.9)
    steps = [layer(inputs[:, step]) for step in range(3)]
    model = keras.Model(inputs, ops.stack(steps, axis=1))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(x, x, batch_size=1, shuffle=False, verbose=0)
    twin = Twin(0.9)
    for row in x.reshape(-1, 4):
        twin(row[None])
    mean = ops.convert_to_numpy(layer.running_mean)
    np.testing.assert_allclose(mean, twin.mean, rtol=1e-4, atol=1e-5)


class InTraining(layers.Layer):
    """A layer in training, whatever calls it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs, training=True)


@pytest.mark.parametrize("order", [1, 2])
def test_gradient_flows_through_the_batch_alone(order):
    """Differences of the twin, whose past stays as it was."""
    *past, last = make_batches((2, 3), 4)
    last = last.astype("float64")
    layer = StreamingNormalization(decay=0.8, order=order)
    for batch in past:
        run(layer, batch)

    def loss(x):
        twin = Twin(0.8, order)
        for batch in past:
            twin(batch)
        return (twin(x) * cotangents).sum()

    cotangents = np.random.default_rng(1).normal(size=last.shape)
    expected = np.zeros(last.shape)
    for index in np.ndindex(last.shape):
        change = np.zeros(last.shape)
        change[index] = 1e-5
        expected[index] = (loss(last + change) - loss(last - change)) / 2e-5
    found, *_ = compute_gradients(
        InTraining(layer), last.astype("float32"), cotangents.astype("float32")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_keep_their_statistics(dtype):
    # 300 ** 2 is beyond the largest float16.
    x = 300 * make_batches((1, 50, 3))
    layer = StreamingNormalization(dtype=dtype)
    twin = Twin(0.99)
    for batch in x:
        short = ops.cast(batch, dtype)
        y = layer(short, training=True)
        expected = twin(ops.convert_to_numpy(ops.cast(short, "float32")))
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    y = ops.convert_to_numpy(ops.cast(y, "float32"))
    np.testing.assert_allclose(y, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("axis", "shape", "message"),
    [
        (
            2,
            (None, 4),
            "`axis=2` is not an axis behind the batch. "
            "Received: input_shape=(None, 4)",
        ),
        (
            -2,
            (None, 4),
            "`axis=-2` is not an axis behind the batch. "
            "Received: input_shape=(None, 4)",
        ),
        (
            -1,
            (None, 4, None),
            "The number of channels must be known. "
            "Received: input_shape=(None, 4, None)",
        ),
    ],
)
def test_bad_input_shape(axis, shape, message):
    with pytest.raises(ValueError) as error:
        StreamingNormalization(axis).build(shape)
    assert str(error.value) == message


def test_numpy_numbers_as_arguments():
    layer = StreamingNormalization(
        axis=np.int64(1), decay=np.float32(0.5), order=np.int32(1), epsilon=1
    )
    config = json.loads(json.dumps(layer.get_config()))
    values = [config[name] for name in ("axis", "decay", "order", "epsilon")]
    assert values == [1, 0.5, 1, 1.0]
