import keras
import numpy as np
import pytest
from conformance import compute_gradients
from keras import layers, ops

from kerasrecipes.cells import ZoneoutCell

FEATURES, UNITS, STEPS = 3, 4, 20
RATES = [0.3, 0.7]
# Twenty steps, each with sums of a few products, in float32.
CLOSE = {"rtol": 0, "atol": 1e-5}


def make_inputs(batch=5, steps=STEPS, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(batch, steps, FEATURES)).astype("float32")


def make_rnn(cell):
    """An RNN of a cell whose weights are all at random."""
    rnn = layers.RNN(cell, return_sequences=True, return_state=True)
    rnn.build((None, None, FEATURES))
    generator = np.random.default_rng(1)
    for weight in rnn.trainable_weights:
        weight.assign(generator.normal(size=weight.shape) / 2)
    return rnn


def run(layer, inputs, **arguments):
    found = layer(inputs, **arguments)
    return [ops.convert_to_numpy(part) for part in found]


def start_states(count, batch=5):
    """States that are not zero, and a key."""
    generator = np.random.default_rng(2)
    states = list(generator.normal(size=(count, batch, UNITS)))
    states.append(generator.integers(0, 256, (batch, 3)))
    return [state.astype("float32") for state in states]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def masks_of(key, rates, steps):
    """Masks by Python's unlimited integers; and the key that is left."""
    numbers = [int(a) + 256 * int(b) + 65536 * int(c) for a, b, c in key]
    masks = np.zeros((steps, len(numbers), len(rates)))
    for step in range(steps):
        for row, number in enumerate(numbers):
            number = (1664525 * number + 1013904223) % 2**24
            numbers[row] = number
            for place, rate in enumerate(rates):
                x = (number + place * 0x9E3779B1) % 2**32
                x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
                x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
                x ^= x >> 16
                masks[step, row, place] = x % 2**24 < rate * 2**24
    end = [[n % 256, n // 256 % 256, n // 65536] for n in numbers]
    return masks, end


def lstm_by_formula(rnn, inputs, states, masks):
    """An LSTM with zoneout in float64; masks may be rates."""
    kernel, recurrent_kernel, bias = (
        np.array(w).astype(float) for w in rnn.get_weights()
    )
    h, c = (state.astype(float) for state in states)
    outputs = []
    for x, mask in zip(np.moveaxis(inputs, 1, 0), masks, strict=True):
        m_h, m_c = np.split(np.broadcast_to(mask, (len(h), 2 * UNITS)), 2, 1)
        i, f, new, o = np.split(
            x @ kernel + h @ recurrent_kernel + bias, 4, axis=1
        )
        new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
        new_h = sigmoid(o) * np.tanh(new_c)
        h = m_h * h + (1 - m_h) * new_h
        c = m_c * c + (1 - m_c) * new_c
        outputs.append(h)
    return np.stack(outputs, 1), h, c


# ----------------------------------------------------------------------
# The formula


def test_training_equals_the_formula():
    rnn = make_rnn(ZoneoutCell(layers.LSTMCell(UNITS), RATES))
    states, inputs = start_states(2), make_inputs()
    rates = np.repeat(RATES, UNITS)
    masks, end = masks_of(states[-1], rates, STEPS)
    expected = lstm_by_formula(rnn, inputs, states[:-1], masks)
    *found, key = run(rnn, inputs, initial_state=states, training=True)
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, other, **CLOSE)
    np.testing.assert_array_equal(key, end)


def test_inference_equals_the_formula():
    rnn = make_rnn(ZoneoutCell(layers.LSTMCell(UNITS), RATES))
    states, inputs = start_states(2), make_inputs()
    rates = [np.repeat(RATES, UNITS)] * STEPS
    expected = lstm_by_formula(rnn, inputs, states[:-1], rates)
    *found, key = run(rnn, inputs, initial_state=states)
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, other, **CLOSE)
    np.testing.assert_array_equal(key, states[-1])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "make", [layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell]
)
def test_at_rate_zero_it_is_the_cell(make, training):
    rnn = make_rnn(ZoneoutCell(make(UNITS), rate=0))
    alone = make_rnn(make(UNITS))
    inputs = make_inputs()
    *found, _ = run(rnn, inputs, training=training)
    for part, other in zip(found, run(alone, inputs), strict=True):
        np.testing.assert_allclose(part, other, **CLOSE)


def test_at_rate_one_nothing_changes():
    rnn = make_rnn(ZoneoutCell(layers.GRUCell(UNITS), rate=1.0))
    states = start_states(1)
    for training in (True, False):
        _, h, _ = run(
            rnn, make_inputs(), initial_state=states, training=training
        )
        np.testing.assert_array_equal(h, states[0])


def test_gradient_flows_through_what_is_kept():
    """At a rate of one half, and from masks that are known: one step."""
    rnn = layers.RNN(ZoneoutCell(layers.SimpleRNNCell(2, None), 0.5, seed=3))
    rnn.build((None, 1, 2))
    rnn.set_weights([np.eye(2), np.zeros((2, 2)), np.zeros(2)])
    inputs = np.ones((50, 1, 2), "float32")
    gradient, *_ = compute_gradients(
        rnn, inputs, np.ones((50, 2), "float32"), training=True
    )
    assert set(np.unique(gradient)) == {0.0, 1.0}


# ----------------------------------------------------------------------
# Random numbers


def find_kept(seed=None, batch=64, steps=50, rate=0.25, rnn=None, units=8):
    """Which units kept their state, (batch, steps, units).

    A cell that returns its input, which is new at every step.
    """
    if rnn is None:
        cell = layers.SimpleRNNCell(units, None)
        rnn = layers.RNN(ZoneoutCell(cell, rate, seed), return_sequences=True)
        rnn.build((None, None, 1))
        zeros = np.zeros((units, units))
        rnn.set_weights([np.ones((1, units)), zeros, np.zeros(units)])
    times = np.arange(1, steps + 1).reshape(1, -1, 1)
    inputs = np.tile(times, (batch, 1, 1)).astype("float32")
    outputs = ops.convert_to_numpy(rnn(inputs, training=True))
    return outputs != times, rnn


def test_masks_are_independent_and_of_the_rate():
    kept, _ = find_kept(seed=0, batch=200)
    count = kept.size  # 80,000
    deviation = np.sqrt(0.25 * 0.75 / count)
    assert abs(kept.mean() - 0.25) < 4 * deviation
    z = (kept - 0.25) / np.sqrt(0.25 * 0.75)
    for axis in range(3):
        for lag in (1, 2, 3):
            size = z.shape[axis] - lag
            early = np.take(z, range(size), axis)
            later = np.take(z, range(lag, size + lag), axis)
            products = early * later
            assert abs(products.mean()) < 4 / np.sqrt(products.size)


def test_every_call_has_new_masks():
    first, rnn = find_kept(seed=0)
    second, _ = find_kept(rnn=rnn)
    assert (first != second).mean() > 0.3


def test_a_seed_gives_the_same_masks():
    first, _ = find_kept(seed=5)
    second, _ = find_kept(seed=5)
    np.testing.assert_array_equal(first, second)
    third, _ = find_kept(seed=6)
    assert (first != third).mean() > 0.3


def test_set_random_seed_gives_the_same_masks():
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(4)
        found.append(find_kept()[0])
    np.testing.assert_array_equal(*found)


def test_masks_in_fit_are_new_for_each_batch():
    """At a learning rate of zero the losses differ by the masks alone."""
    cell = ZoneoutCell(layers.LSTMCell(UNITS), 0.5, seed=0)
    model = keras.Sequential([layers.Input((None, FEATURES)), layers.RNN(cell)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    inputs = make_inputs()
    targets = np.zeros((len(inputs), UNITS))
    history = model.fit(inputs, targets, epochs=4, verbose=0).history
    assert len(set(history["loss"])) == 4
    model.evaluate(inputs, targets, verbose=0)
    predicted = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(
        predicted, model.predict(inputs, verbose=0), **CLOSE
    )


def test_masked_steps_draw_nothing():
    """Padded on the left, the masks are those of the sequence alone."""
    rnn = make_rnn(ZoneoutCell(layers.LSTMCell(UNITS), RATES))
    states, inputs = start_states(2), make_inputs()
    mask = np.arange(STEPS) >= 8
    padded = run(
        rnn,
        inputs,
        initial_state=states,
        mask=ops.convert_to_tensor(np.tile(mask, (len(inputs), 1))),
        training=True,
    )
    alone = run(rnn, inputs[:, mask], initial_state=states, training=True)
    for part, other in zip(padded[1:], alone[1:], strict=True):
        np.testing.assert_allclose(part, other, **CLOSE)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_short_floats_hold_the_key(dtype):
    cell = layers.SimpleRNNCell(UNITS, dtype=dtype)
    rnn = layers.RNN(
        ZoneoutCell(cell, 0.5, dtype=dtype), return_state=True, dtype=dtype
    )
    states = start_states(1)
    _, end = masks_of(states[-1], [0.5], STEPS)
    *_, key = rnn(make_inputs(), initial_state=states, training=True)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ops.cast(key, "float32")), end
    )


# ----------------------------------------------------------------------
# What cannot be wrapped


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.LSTMCell(2, dropout=0.1),
        lambda: layers.GRUCell(2, recurrent_dropout=0.1),
        lambda: layers.StackedRNNCells([layers.LSTMCell(2)]),
        lambda: layers.Dense(2),
    ],
)
def test_refuses_other_layers(make):
    with pytest.raises(ValueError, match="`cell`: expected a recurrent cell"):
        ZoneoutCell(make())
