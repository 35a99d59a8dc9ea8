"""PeepholeLSTMCell, CoupledGateLSTMCell, AblatedLSTMCell, MGUCell, MutatedCell.

One file, since they share their weights' layout, and what they are held to.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.cells import (
    AblatedLSTMCell,
    CoupledGateLSTMCell,
    MGUCell,
    MutatedCell,
    PeepholeLSTMCell,
)

FEATURES, UNITS, STEPS = 3, 4, 20
# Twenty steps, each with sums of a few products, in float32.
CLOSE = {"rtol": 0, "atol": 1e-5}
GATES = ("input", "forget", "output")
# An LSTM without the forget gate adds up whatever it reads.
ABLATED = [
    {"gates": gates, "output_activation": output}
    for gates in ((), ("forget",), ("input", "output"), ("forget", "output"))
    for output in ("tanh", None)
]


def make_inputs(seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(5, STEPS, FEATURES)).astype("float32")


def make_rnn(cell, seed=1):
    """An RNN of a cell whose weights are all at random, biases as well."""
    rnn = layers.RNN(cell, return_sequences=True, return_state=True)
    rnn.build((None, None, FEATURES))
    generator = np.random.default_rng(seed)
    for weight in rnn.weights:
        weight.assign(generator.normal(size=weight.shape) / 2)
    return rnn


def run(layer, inputs, states=None):
    found = layer(inputs, initial_state=states)
    return [ops.convert_to_numpy(part) for part in found]


def check(layer, expected, states):
    outputs, *ends = run(layer, make_inputs(), states)
    expected, *expected_ends = expected
    np.testing.assert_allclose(outputs, expected, **CLOSE)
    for end, other in zip(ends, expected_ends, strict=True):
        np.testing.assert_allclose(end, other, **CLOSE)


def start_states(count):
    generator = np.random.default_rng(2)
    return list(generator.normal(size=(count, 5, UNITS)).astype("float32"))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Twin:
    """The weights of a cell in float64, by gate, to write formulas with.

    W, U and b are dicts: of the inputs, of the state, of the biases.
    """

    def __init__(self, rnn, names, state_names=None):
        weights = {w.name: np.array(w).astype(float) for w in rnn.weights}
        state_names = names if state_names is None else state_names

        def divide(weight, names):
            parts = np.split(weight, len(names), axis=-1)
            return dict(zip(names, parts, strict=True))

        self.W = divide(weights["kernel"], names)
        self.U = divide(weights["recurrent_kernel"], state_names)
        zeros = np.zeros(len(names) * UNITS)
        self.b = divide(weights.get("bias", zeros), names)
        self.peepholes = weights.get("peepholes")

    def sum(self, name, x, h):
        return x @ self.W[name] + h @ self.U[name] + self.b[name]

    def run(self, step, states):
        """Outputs of all steps, and the states at the end."""
        states = [state.astype(float) for state in states]
        outputs = []
        for x in np.moveaxis(make_inputs().astype(float), 1, 0):
            states = step(x, *states)
            outputs.append(states[0])
        return [np.stack(outputs, axis=1), *states]


# ----------------------------------------------------------------------
# The formulas


def test_peepholes_equal_the_formula():
    rnn = make_rnn(PeepholeLSTMCell(UNITS, peephole_initializer="ones"))
    twin = Twin(rnn, "ifco")
    p_i, p_f, p_o = twin.peepholes

    def step(x, h, c):
        i = sigmoid(twin.sum("i", x, h) + p_i * c)
        f = sigmoid(twin.sum("f", x, h) + p_f * c)
        c = f * c + i * np.tanh(twin.sum("c", x, h))
        o = sigmoid(twin.sum("o", x, h) + p_o * c)
        return o * np.tanh(c), c

    states = start_states(2)
    check(rnn, twin.run(step, states), states)


def test_coupled_gates_equal_the_formula():
    rnn = make_rnn(CoupledGateLSTMCell(UNITS))
    twin = Twin(rnn, "fco")

    def step(x, h, c):
        f = sigmoid(twin.sum("f", x, h))
        c = f * c + (1 - f) * np.tanh(twin.sum("c", x, h))
        return sigmoid(twin.sum("o", x, h)) * np.tanh(c), c

    states = start_states(2)
    check(rnn, twin.run(step, states), states)


@pytest.mark.parametrize("arguments", ABLATED)
def test_ablated_equals_the_formula(arguments):
    rnn = make_rnn(AblatedLSTMCell(UNITS, **arguments))
    gates = arguments["gates"]
    order = ("input", "forget", "candidate", "output")
    names = [name for name in order if name in (*gates, "candidate")]
    twin = Twin(rnn, names)

    def step(x, h, c):
        i, f, o = (
            sigmoid(twin.sum(gate, x, h)) if gate in gates else 1
            for gate in GATES
        )
        c = f * c + i * np.tanh(twin.sum("candidate", x, h))
        return o * (np.tanh(c) if arguments["output_activation"] else c), c

    states = start_states(2)
    outputs, *ends = run(rnn, make_inputs(), states)
    expected, *_ = twin.run(step, states)
    # Without a bound the outputs grow, and their errors with them.
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ends[0], outputs[:, -1])


def mgu_step(twin):
    def step(x, h):
        f = sigmoid(twin.sum("f", x, h))
        new = np.tanh(twin.sum("h", x, f * h))
        return [(1 - f) * h + f * new]

    return step


def test_mgu_equals_the_formula():
    rnn = make_rnn(MGUCell(UNITS))
    twin = Twin(rnn, "fh")
    states = start_states(1)
    check(rnn, twin.run(mgu_step(twin), states), states)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_mutated_equals_the_formula(kind):
    rnn = make_rnn(MutatedCell(UNITS, kind))
    twin = Twin(rnn, "zrh", "rh" if kind == 1 else "zrh")

    def step(x, h):
        r = sigmoid(twin.sum("r", x, h))
        if kind == 1:
            z = sigmoid(x @ twin.W["z"] + twin.b["z"])
            read = np.tanh(x @ twin.W["h"])
            new = np.tanh((r * h) @ twin.U["h"] + read + twin.b["h"])
        else:
            z = sigmoid(twin.sum("z", x, np.tanh(h) if kind == 3 else h))
            new = np.tanh(twin.sum("h", x, r * h))
        return [new * z + h * (1 - z)]

    states = start_states(1)
    check(rnn, twin.run(step, states), states)


def test_other_activations_and_no_bias():
    cell = MGUCell(
        UNITS,
        activation=None,
        recurrent_activation="hard_sigmoid",
        use_bias=False,
    )
    rnn = make_rnn(cell)
    twin = Twin(rnn, "fh")
    assert len(rnn.weights) == 2

    def step(x, h):
        f = np.clip(twin.sum("f", x, h) / 6 + 0.5, 0, 1)
        return [(1 - f) * h + f * twin.sum("h", x, f * h)]

    states = start_states(1)
    outputs, _ = run(rnn, make_inputs(), states)
    expected, _ = twin.run(step, states)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "place"), [(1, 2), (2, 1)])
def test_with_an_identity_mutated_equals_the_print(kind, place):
    """Where there are as many features as units, for what is not projected."""
    rnn = layers.RNN(MutatedCell(FEATURES, kind))
    rnn.build((None, None, FEATURES))
    generator = np.random.default_rng(1)
    kernel, states, b = (generator.normal(size=w.shape) for w in rnn.weights)
    parts = slice(place * FEATURES, (place + 1) * FEATURES)
    kernel[:, parts] = np.eye(FEATURES)
    rnn.set_weights([kernel, states, b])
    h = np.zeros((5, FEATURES))
    w_z, w_r, w_h = np.split(kernel, 3, axis=1)
    *u_z, u_r, u_h = np.split(states, states.shape[1] // FEATURES, axis=1)
    b_z, b_r, b_h = np.split(b, 3)
    for x in np.moveaxis(make_inputs(), 1, 0):
        if kind == 1:
            z = sigmoid(x @ w_z + b_z)
            r = sigmoid(x @ w_r + h @ u_r + b_r)
            new = np.tanh((r * h) @ u_h + np.tanh(x) + b_h)
        else:
            z = sigmoid(x @ w_z + h @ u_z[0] + b_z)
            r = sigmoid(x + h @ u_r + b_r)
            new = np.tanh((r * h) @ u_h + x @ w_h + b_h)
        h = new * z + h * (1 - z)
    outputs = ops.convert_to_numpy(rnn(make_inputs()))
    np.testing.assert_allclose(outputs, h, **CLOSE)


# ----------------------------------------------------------------------
# Keras' own cells


def check_equals_keras(cell, keras_cell, weights):
    """With these weights of the other, from states that are not zero."""
    rnn = make_rnn(cell)
    other = make_rnn(keras_cell)
    other.set_weights(weights([np.array(w) for w in rnn.get_weights()]))
    states = start_states(len(cell.state_size))
    check(rnn, run(other, make_inputs(), states), states)


def test_without_peepholes_it_is_an_lstm():
    rnn = make_rnn(PeepholeLSTMCell(UNITS))
    rnn.cell.peepholes.assign(np.zeros((3, UNITS)))
    other = make_rnn(layers.LSTMCell(UNITS))
    other.set_weights(rnn.get_weights()[:3])
    states = start_states(2)
    check(rnn, run(other, make_inputs(), states), states)


def test_peepholes_start_shut():
    """The same seed, the same start as Keras' LSTM."""
    outputs = []
    for make in (PeepholeLSTMCell, layers.LSTMCell):
        keras.utils.set_random_seed(0)
        rnn = layers.RNN(make(UNITS))
        outputs.append(ops.convert_to_numpy(rnn(make_inputs())))
    np.testing.assert_allclose(*outputs, **CLOSE)


def test_with_all_gates_it_is_an_lstm():
    check_equals_keras(
        AblatedLSTMCell(UNITS), layers.LSTMCell(UNITS), lambda weights: weights
    )


def test_coupled_gates_are_an_lstm_with_opposite_gates():
    def weights(found):
        found = [np.split(weight, 3, axis=-1) for weight in found]
        return [np.concatenate([-f, f, new, o], axis=-1) for f, new, o in found]

    check_equals_keras(
        CoupledGateLSTMCell(UNITS), layers.LSTMCell(UNITS), weights
    )


def test_mgu_is_a_gru_with_opposite_gates():
    def weights(found):
        found = [np.split(weight, 2, axis=-1) for weight in found]
        return [np.concatenate([-f, f, new], axis=-1) for f, new in found]

    other = layers.GRUCell(UNITS, reset_after=False)
    check_equals_keras(MGUCell(UNITS), other, weights)


def test_second_mutation_is_a_gru():
    def weights(found):
        found = [np.split(weight, 3, axis=-1) for weight in found]
        return [np.concatenate([-z, r, new], axis=-1) for z, r, new in found]

    other = layers.GRUCell(UNITS, reset_after=False)
    check_equals_keras(MutatedCell(UNITS, 2), other, weights)


# ----------------------------------------------------------------------
# What they start with


@pytest.mark.parametrize(
    ("cell", "sums", "ones"),
    [
        (PeepholeLSTMCell(UNITS), 4, 1),
        (PeepholeLSTMCell(UNITS, unit_forget_bias=False), 4, None),
        (CoupledGateLSTMCell(UNITS), 3, 0),
        (AblatedLSTMCell(UNITS, gates=("output", "forget")), 3, 0),
        (AblatedLSTMCell(UNITS, gates=("input", "output")), 3, None),
        (AblatedLSTMCell(UNITS), 4, 1),
        (MGUCell(UNITS), 2, None),
        (MutatedCell(UNITS), 3, None),
    ],
)
def test_start_and_number_of_weights(cell, sums, ones):
    cell.build((None, FEATURES))
    expected = np.zeros((sums, UNITS))
    if ones is not None:
        expected[ones] = 1
    np.testing.assert_array_equal(np.array(cell.bias), expected.ravel())
    assert cell.kernel.shape == (FEATURES, sums * UNITS)
    first_mutation = isinstance(cell, MutatedCell)
    expected = (sums - first_mutation) * UNITS
    assert cell.recurrent_kernel.shape == (UNITS, expected)


def test_order_and_repetition_of_gates_do_not_matter():
    cell = AblatedLSTMCell(UNITS, gates=("output", "input", "output"))
    assert cell.get_config()["gates"] == ["input", "output"]


def test_without_forget_gate_the_cell_adds_up():
    """As the first LSTM did: a hundred steps, each adding tanh(1)."""
    rnn = layers.RNN(AblatedLSTMCell(1, gates=()), return_state=True)
    rnn.build((None, None, 1))
    rnn.set_weights([np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1)])
    *_, c = run(rnn, np.ones((1, 100, 1), "float32"))
    np.testing.assert_allclose(c, 100 * np.tanh(1), rtol=1e-4)


# ----------------------------------------------------------------------
# Parity


def run_peer(peer, names, state_names, rnn):
    """Runs a cell of torchrecurrent with the weights of ours."""
    import torch

    twin = Twin(rnn, names, state_names)
    weights = (
        np.concatenate([parts[name].T for name in order])
        for parts, order in ((twin.W, names), (twin.U, state_names))
    )
    with torch.no_grad():
        for own, weight in zip(
            (peer.weight_ih, peer.weight_hh), weights, strict=True
        ):
            own.copy_(torch.tensor(weight))
        peer.bias_ih.zero_()
        # Behind the first mutation's inner tanh there is its state's bias.
        in_state = [name for name in names if name in state_names]
        for place, name in enumerate(names):
            if name not in in_state:
                peer.bias_ih[place * UNITS : (place + 1) * UNITS] = (
                    torch.tensor(twin.b[name])
                )
        peer.bias_hh.copy_(
            torch.tensor(np.concatenate([twin.b[name] for name in in_state]))
        )
        (h,) = map(torch.tensor, start_states(1))
        outputs = []
        for x in torch.tensor(make_inputs()).unbind(1):
            h = peer(x, h)
            outputs.append(h)
    return [torch.stack(outputs, 1).numpy(), h.numpy()]


@pytest.mark.parity
def test_parity_of_mgu():
    torchrecurrent = pytest.importorskip("torchrecurrent")
    peer = torchrecurrent.MGUCell(FEATURES, UNITS)
    rnn = make_rnn(MGUCell(UNITS))
    check(rnn, run_peer(peer, "fh", "fh", rnn), start_states(1))


@pytest.mark.parity
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_parity_of_mutated(kind):
    torchrecurrent = pytest.importorskip("torchrecurrent")
    peer = getattr(torchrecurrent, f"MUT{kind}Cell")(FEATURES, UNITS)
    rnn = make_rnn(MutatedCell(UNITS, kind))
    state_names = "rh" if kind == 1 else "zrh"
    check(rnn, run_peer(peer, "zrh", state_names, rnn), start_states(1))


@pytest.mark.parity
def test_parity_of_peepholes():
    torchrecurrent = pytest.importorskip("torchrecurrent")
    import torch

    peer = torchrecurrent.PeepholeLSTMCell(FEATURES, UNITS)
    rnn = make_rnn(PeepholeLSTMCell(UNITS))
    kernel, recurrent_kernel, bias, peepholes = map(np.array, rnn.get_weights())
    with torch.no_grad():
        peer.weight_ih.copy_(torch.tensor(kernel.T))
        peer.weight_hh.copy_(torch.tensor(recurrent_kernel.T))
        peer.weight_ph.copy_(torch.tensor(peepholes).reshape(-1))
        peer.bias_ih.copy_(torch.tensor(bias))
        peer.bias_hh.zero_()
        h, c = map(torch.tensor, start_states(2))
        outputs = []
        for x in torch.tensor(make_inputs()).unbind(1):
            h, c = peer(x, (h, c))
            outputs.append(h)
    expected = [torch.stack(outputs, 1).numpy(), h.numpy(), c.numpy()]
    check(rnn, expected, start_states(2))
