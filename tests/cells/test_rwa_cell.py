"""RWACell: by plain sums where they can be taken, and finite where not."""

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING
from keras import layers, ops

from kerasrecipes.cells import RWACell

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

BATCH, STEPS, FEATURES, UNITS = 5, 20, 3, 4
# Twenty steps, each with sums of a few products, in float32.
CLOSE = {"rtol": 0, "atol": 1e-5}


def make_inputs(steps=STEPS, batch=BATCH, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(batch, steps, FEATURES)).astype("float32")


def make_rnn(scale=0.5, **more):
    """An RNN of a cell whose weights are all at random, biases as well."""
    way = {"return_sequences": True, "return_state": True}
    rnn = layers.RNN(RWACell(UNITS, **more), **way)
    rnn.build((None, None, FEATURES))
    generator = np.random.default_rng(1)
    for weight in rnn.weights:
        weight.assign(scale * generator.normal(size=weight.shape))
    return rnn


def make_model(scale):
    """The same without its states, in a model, which is compiled."""
    layer = layers.RNN(make_rnn(scale).cell, return_sequences=True)
    return keras.Sequential([layers.Input((None, FEATURES)), layer])


def run(layer, inputs, mask=None, states=None):
    more = {} if mask is None else {"mask": ops.convert_to_tensor(mask)}
    found = layer(ops.convert_to_tensor(inputs), initial_state=states, **more)
    return [ops.convert_to_numpy(part) for part in found]


def by_all_terms(rnn, inputs, activation=np.tanh, h=None):
    """The formula in float64: all terms are kept, and weighted anew."""
    weights = {w.name: np.array(w).astype(float) for w in rnn.weights}
    w_u, w_g, w_a = np.split(weights["kernel"], 3, axis=1)
    u_g, u_a = np.split(weights["recurrent_kernel"], 2, axis=1)
    b_u, b_g = np.split(weights["bias"], 2)
    outputs = []
    for row, sequence in enumerate(inputs.astype(float)):
        last = activation(weights["start"]) if h is None else h[row]
        terms, powers, found = [], [], []
        for x in sequence:
            gate = np.tanh(x @ w_g + last @ u_g + b_g)
            terms.append((x @ w_u + b_u) * gate)
            powers.append(x @ w_a + last @ u_a)
            shares = np.exp(powers) / np.exp(powers).sum(axis=0)
            last = activation((shares * terms).sum(axis=0))
            found.append(last)
        outputs.append(found)
    return np.array(outputs)


# ----------------------------------------------------------------------
# The formula


@pytest.mark.parametrize("activation", ["tanh", "softsign"])
def test_equals_the_formula_over_20_steps(activation):
    rnn, inputs = make_rnn(activation=activation), make_inputs()
    function = {"tanh": np.tanh, "softsign": lambda v: v / (1 + abs(v))}
    expected = by_all_terms(rnn, inputs, function[activation])
    outputs, last, *_ = run(rnn, inputs)
    np.testing.assert_allclose(outputs, expected, **CLOSE)
    np.testing.assert_allclose(last, expected[:, -1], **CLOSE)


def test_the_first_step_sees_the_output_that_is_given():
    rnn, inputs = make_rnn(), make_inputs()
    h = np.random.default_rng(2).normal(size=(BATCH, UNITS))
    zeros = np.zeros((BATCH, UNITS), "float32")
    states = [h.astype("float32"), zeros, zeros, zeros]
    outputs, *_ = run(rnn, inputs, states=states)
    np.testing.assert_allclose(outputs, by_all_terms(rnn, inputs, h=h), **CLOSE)


def test_the_states_are_sums_and_a_maximum():
    rnn, inputs = make_rnn(), make_inputs()
    _, h, n, d, most = run(rnn, inputs)
    np.testing.assert_allclose(h, np.tanh(n / d), **CLOSE)
    # The largest term has a weight of one.
    assert (d >= 1).all() and (d <= STEPS).all()
    _, _, n_first, d_first, most_first = run(rnn, inputs[:, :1])
    assert (d_first == 1).all() and (most_first <= most).all()
    assert np.abs(n_first - n).max() > 0.1


def test_parts_of_a_sequence_in_any_order():
    """Where no weight is of the output, the past is a set."""
    rnn, inputs = make_rnn(), make_inputs()
    zeros = np.zeros((UNITS, 2 * UNITS))
    rnn.cell.recurrent_kernel.assign(zeros)
    expected, *_ = run(rnn, inputs)
    found, *_ = run(rnn, inputs[:, ::-1].copy())
    np.testing.assert_allclose(found[:, -1], expected[:, -1], **CLOSE)


def test_the_first_of_many_steps_counts_as_the_last():
    """With equal weights, which an LSTM's memory would not have."""
    rnn = make_rnn()
    kernel, recurrent, bias, start = rnn.get_weights()
    kernel[:, 2 * UNITS :] = 0
    rnn.set_weights([kernel, 0 * recurrent, bias, start])
    inputs = np.repeat(make_inputs(1, batch=3), 300, axis=1)
    inputs[1, 0] += 1
    inputs[2] = inputs[1, ::-1]
    outputs, *_ = run(rnn, inputs)
    # Sums of 300 numbers, each with its rounding.
    np.testing.assert_allclose(
        outputs[1, -1], outputs[2, -1], rtol=0, atol=1e-5
    )


# ----------------------------------------------------------------------
# Long sequences, large and small numbers


@pytest.mark.parametrize("scale", [0.5, 100.0])
def test_finite_over_10_000_steps(scale):
    model = make_model(scale)
    outputs = model.predict(make_inputs(10_000, batch=2), verbose=0)
    assert np.isfinite(outputs).all()
    assert np.abs(outputs).max() > 0.1


@pytest.mark.parametrize("power", [-1e4, 0.0, 1e4])
def test_a_number_that_is_added_to_all_powers_cancels(power):
    """Even one whose exponential is zero or infinite in float32."""
    rnn, inputs = make_rnn(), make_inputs()
    expected, *_ = run(rnn, inputs)
    # One more input, always one, is a bias of `a`.
    inputs = np.concatenate([inputs, np.ones((BATCH, STEPS, 1))], axis=-1)
    kernel, *others = rnn.get_weights()
    row = np.repeat([0, 0, power], UNITS)[None]
    shifted = layers.RNN(RWACell(UNITS), return_sequences=True)
    shifted.build((None, None, FEATURES + 1))
    shifted.set_weights([np.concatenate([kernel, row]), *others])
    found = ops.convert_to_numpy(shifted(inputs.astype("float32")))
    # Near 10,000 a float32 is known to 0.0005.
    tolerance = 5e-3 if power else 1e-5
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_gradients_are_finite_where_exponentials_would_not_be():
    model, inputs = make_model(0.5), make_inputs(200)
    kernel, *others = model.get_weights()
    kernel[:, 2 * UNITS :] *= 200  # elsewhere a tanh would have no slope
    model.set_weights([kernel, *others])
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    before = model.get_weights()
    model.fit(inputs, np.zeros((BATCH, 200, UNITS)), verbose=0)
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    changes = [np.abs(a - b).max() for a, b in zip(after, before, strict=True)]
    assert max(changes) > 0


def test_the_first_output_is_learned():
    keras.utils.set_random_seed(0)
    rnn = layers.RNN(RWACell(UNITS))
    model = keras.Sequential([layers.Input((None, FEATURES)), rnn])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    assert (np.array(rnn.cell.start) == 0).all()
    model.fit(make_inputs(), np.ones((BATCH, UNITS)), epochs=3, verbose=0)
    assert (np.array(rnn.cell.start) != 0).all()


# ----------------------------------------------------------------------
# Masks


@pytest.mark.parametrize("side", ["right", "left", "anywhere"])
def test_masked_steps_have_no_weight(side):
    rnn, inputs = make_rnn(), make_inputs()
    mask = np.arange(STEPS) < np.array([3, 20, 11, 3, 11])[:, None]
    if side == "left":
        mask = mask[:, ::-1].copy()
    elif side == "anywhere":
        mask = np.random.default_rng(3).permuted(mask, axis=1)
    found = run(rnn, np.where(mask[:, :, None], inputs, 9), mask)
    for row, real in enumerate(mask):
        expected = run(rnn, inputs[row : row + 1, real])
        np.testing.assert_allclose(found[0][row, real], expected[0][0], **CLOSE)
        for state, other in zip(found[1:], expected[1:], strict=True):
            np.testing.assert_allclose(state[row], other[0], **CLOSE)
