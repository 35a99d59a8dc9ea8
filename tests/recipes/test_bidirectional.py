"""Bidirectional against LSTMs in NumPy, and what the recipe's networks see."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.recurrent import bidirectional

MERGE = {
    "sum": lambda forward, backward: forward + backward,
    "mul": lambda forward, backward: forward * backward,
    "ave": lambda forward, backward: (forward + backward) / 2,
    "concat": lambda forward, backward: np.append(forward, backward, axis=-1),
}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def numpy_lstm(x, kernel, recurrent_kernel, bias):
    """Outputs of an LSTM over one sequence, (steps, features)."""
    h = c = np.zeros(len(recurrent_kernel))
    outputs = []
    for step in x.astype("float64"):
        gates = step @ kernel + h @ recurrent_kernel + bias
        i, f, new, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


@pytest.fixture
def data():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(6, 5, 3)).astype("float32")
    lengths = np.array([5, 1, 3, 2, 4, 5])
    # What stands in the padding must not matter under a mask.
    mask = np.arange(5) < lengths[:, None]
    return x, lengths, mask


def make_layer(x, mode, **arguments):
    """A Bidirectional layer with random weights and biases."""
    lstm = layers.LSTM(4, **arguments)
    layer = layers.Bidirectional(lstm, merge_mode=mode)
    layer.build(x.shape)
    generator = np.random.default_rng(6)
    weights = [generator.normal(size=w.shape) for w in layer.weights]
    layer.set_weights(weights)
    return layer, weights[:3], weights[3:]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("mode", [*MERGE, None])
def test_merge_modes(data, mode, masked):
    x, lengths, mask = data
    layer, forward, backward = make_layer(x, mode, return_sequences=True)
    outputs = layer(x, mask=ops.convert_to_tensor(mask) if masked else None)
    if mode is None:
        assert len(outputs) == 2
        outputs = ops.concatenate(outputs, axis=-1)
    outputs = ops.convert_to_numpy(outputs)
    assert outputs.shape == (6, 5, 8 if mode in ("concat", None) else 4)
    for sequence, length, found in zip(x, lengths, outputs, strict=True):
        length = length if masked else 5
        real = sequence[:length]
        there = numpy_lstm(real, *forward)
        back = numpy_lstm(real[::-1], *backward)[::-1]
        expected = MERGE[mode or "concat"](there, back)
        np.testing.assert_allclose(found[:length], expected, atol=1e-5)
        assert np.all(found[length:] == 0)


def test_the_last_state_is_not_the_last_step(data):
    x, lengths, mask = data
    layer, forward, backward = make_layer(x, "concat")
    state = ops.convert_to_numpy(layer(x, mask=ops.convert_to_tensor(mask)))
    for sequence, length, found in zip(x, lengths, state, strict=True):
        there = numpy_lstm(sequence[:length], *forward)[-1]
        back = numpy_lstm(sequence[:length][::-1], *backward)[-1]
        np.testing.assert_allclose(found, np.append(there, back), atol=1e-5)


def seen_by(reading):
    """Whether the output of a step (row) changes with a word (column)."""
    keras.utils.set_random_seed(0)
    model = bidirectional.build_model(words=True, reading=reading)
    words = np.random.default_rng(0).integers(1, 10, (1, bidirectional.LENGTH))
    steps = range(bidirectional.LENGTH)
    # One batch: the words as they are, then each word changed in turn.
    batch = np.repeat(words, bidirectional.LENGTH + 1, axis=0)
    batch[np.add(steps, 1), steps] += 1
    outputs = ops.convert_to_numpy(model(batch))[:, :, 0]
    return (np.abs(outputs[1:] - outputs[0]) > 0).T


def test_what_each_direction_sees():
    """A step of "forward" does not change with any later word."""
    everything = np.ones((bidirectional.LENGTH,) * 2, dtype=bool)
    past, future = np.tril(everything), np.triu(everything)
    np.testing.assert_array_equal(seen_by("forward"), past)
    np.testing.assert_array_equal(seen_by("backward"), future)
    for mode in MERGE:
        np.testing.assert_array_equal(seen_by(mode), everything)
    # What a layer has read from behind belongs to the mirrored step.
    mirrored = past | future[::-1]
    np.testing.assert_array_equal(seen_by("not reversed"), mirrored)


def test_one_direction_is_as_wide_as_concat_and_larger():
    sizes = {
        reading: bidirectional.build_model(True, reading).count_params()
        for reading in ("forward", "backward", "concat", "sum")
    }
    assert sizes["forward"] == sizes["backward"] > sizes["concat"]
    assert sizes["concat"] > sizes["sum"]
