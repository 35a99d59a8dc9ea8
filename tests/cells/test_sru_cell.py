"""SRUCell: by the formula, and step by step what the layer SRU does at once."""

import warnings

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING
from keras import layers, ops

from kerasrecipes.cells import SRUCell
from kerasrecipes.layers import SRU

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

BATCH, STEPS = 5, 20
# Twenty steps, each with sums of a few products, in float32.
CLOSE = {"rtol": 0, "atol": 1e-5}
WHOLE = {"return_sequences": True, "return_state": True}
# Features, units, and what else is set.
KINDS = {
    "four parts": (3, 4, {"highway_bias": -1.0}),
    "three parts": (4, 4, {"highway_bias": 0.5}),
    "first form": (3, 4, {"recurrent_gates": False, "rescale": False}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def make_inputs(features, steps=STEPS):
    generator = np.random.default_rng(0)
    return generator.normal(size=(BATCH, steps, features)).astype("float32")


def make_layers(kind, **more):
    """The cell in RNN, and the layer, with the same weights, all at random."""
    features, units, arguments = KINDS[kind]
    cell = layers.RNN(SRUCell(units, **arguments), **WHOLE, **more)
    layer = SRU(units, **arguments, **WHOLE, **more)
    generator = np.random.default_rng(1)
    for each in (cell, layer):
        each.build((None, None, features))
    for weight in cell.weights:
        weight.assign(generator.normal(size=weight.shape) / 2)
    layer.set_weights(cell.get_weights())
    return cell, layer


def start_states(units):
    generator = np.random.default_rng(2)
    return list(generator.normal(size=(2, BATCH, units)).astype("float32"))


def run(layer, inputs, mask=None, states=None):
    more = {} if mask is None else {"mask": ops.convert_to_tensor(mask)}
    if states is not None:
        more["initial_state"] = [ops.convert_to_tensor(s) for s in states]
    found = layer(ops.convert_to_tensor(inputs), **more)
    return [ops.convert_to_numpy(part) for part in keras.tree.flatten(found)]


def check(found, expected):
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, other, **CLOSE)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_formula(cell, x, c):
    """Outputs and last state in float64, all gates written out."""
    kernel, *gate_kernel, bias = (
        np.array(w).astype(float) for w in cell.weights
    )
    new, f_kernel, r_kernel, *skip = np.split(
        kernel, kernel.shape[1] // cell.units, axis=1
    )
    v_f, v_r = np.split(*gate_kernel, 2) if gate_kernel else (0, 0)
    b_f, b_r = np.split(bias, 2)
    alpha = np.sqrt(1 + 2 * np.exp(cell.highway_bias)) if cell.rescale else 1
    outputs = []
    for x_t in np.moveaxis(x.astype(float), 1, 0):
        f = sigmoid(x_t @ f_kernel + v_f * c + b_f)
        r = sigmoid(x_t @ r_kernel + v_r * c + b_r)
        c = f * c + (1 - f) * (x_t @ new)
        passed = x_t @ skip[0] if skip else x_t
        outputs.append(r * c + (1 - r) * alpha * passed)
    return np.stack(outputs, axis=1), c


@every_kind
def test_equals_the_formula_over_20_steps(kind):
    features, units, _ = KINDS[kind]
    rnn, _ = make_layers(kind)
    inputs, states = make_inputs(features), start_states(units)
    outputs, c = by_formula(rnn.cell, inputs, states[1])
    check(run(rnn, inputs, states=states), [outputs, outputs[:, -1], c])


@pytest.mark.parametrize("more", [{}, {"go_backwards": True}], ids=str)
@every_kind
def test_the_layer_equals_the_cell_run_step_by_step(kind, more):
    features, units, _ = KINDS[kind]
    rnn, layer = make_layers(kind, **more)
    inputs, states = make_inputs(features), start_states(units)
    check(run(layer, inputs), run(rnn, inputs))
    check(run(layer, inputs, states=states), run(rnn, inputs, states=states))
    # Masked at the beginning, in the middle, and at the end.
    mask = np.random.default_rng(3).random((BATCH, STEPS)) > 0.4
    found, expected = (run(each, inputs, mask, states) for each in (layer, rnn))
    # Before the first real step, what RNN repeats depends on the backend.
    reading = mask[:, ::-1] if more else mask
    started = np.cumsum(reading, axis=1) > 0
    for part in (found, expected):
        part[0] = part[0][started]
    check(found, expected)


def test_learns_as_the_layer_does():
    """The gradients are the same: so are the weights after some steps."""
    inputs = make_inputs(3)
    targets = np.cumsum(inputs, axis=1)[:, :, :1]
    ends = []
    for layer in make_layers("four parts"):
        start = layer.get_weights()
        sequences = keras.Input((STEPS, 3))
        layer.return_state = False
        model = keras.Model(sequences, ops.mean(layer(sequences), -1, True))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(inputs, targets, epochs=5, shuffle=False, verbose=0)
        ends.append(layer.get_weights())
        for before, after in zip(start, ends[-1], strict=True):
            assert np.abs(before - after).max() > 1e-3
    check(*ends)


def test_starts_as_the_authors_code_does():
    keras.utils.set_random_seed(0)
    biases = {"forget_bias": 1.5, "highway_bias": -2.0}
    for each in (SRUCell(100, **biases), SRU(100, **biases)):
        shape = (None, 400) if isinstance(each, SRUCell) else (None, None, 400)
        each.build(shape)
        parts = np.split(ops.convert_to_numpy(each.kernel), 4, axis=1)
        edges = np.sqrt(3 / 400) * np.array([1, 0.5**0.5, 0.5**0.5, 1])
        for part, edge in zip(parts, edges, strict=True):
            # Uniform: 40,000 numbers come near both edges.
            found = [part.min(), part.max()]
            np.testing.assert_allclose(found, [-edge, edge], rtol=1e-3)
            assert np.abs(part).max() <= edge * (1 + 1e-6)
        see = ops.convert_to_numpy(each.gate_kernel)
        assert 0.9 * 1.5 < np.abs(see).max() ** 2 <= 1.5 * (1 + 1e-6)
        bias = ops.convert_to_numpy(each.bias)
        np.testing.assert_array_equal(bias, np.repeat([1.5, -2], 100))


@pytest.mark.parametrize("bias", [-3.0, 0.0, 1.0])
def test_rescaling_keeps_the_variance_of_the_inputs(bias):
    """As the paper says, at a state of zero and before any training."""
    keras.utils.set_random_seed(0)
    cell = SRUCell(256, highway_bias=bias)
    x = np.random.default_rng(0).normal(size=(500, 256)).astype("float32")
    outputs, _ = cell(x, [np.zeros((500, 256), "float32")] * 2)
    assert 0.6 < np.var(ops.convert_to_numpy(outputs)) < 1.6


# ----------------------------------------------------------------------
# Another implementation


@pytest.mark.parity
@pytest.mark.parametrize("masked", [False, True])
@every_kind
def test_parity_with_the_authors(kind, masked):
    torch = pytest.importorskip("torch", reason="needs torch")
    with warnings.catch_warnings():
        # It compiles as it is imported, and talks about it.
        warnings.simplefilter("ignore")
        sru = pytest.importorskip("sru", reason="needs sru")
    features, units, arguments = KINDS[kind]
    peer = sru.SRUCell(
        features,
        units,
        highway_bias=arguments.get("highway_bias", 0.0),
        rescale=arguments.get("rescale", True),
        v1=not arguments.get("recurrent_gates", True),
    )
    _, layer = make_layers(kind)
    kernel, *gate_kernel, bias = layer.get_weights()
    columns = kernel.reshape(features, -1, units).swapaxes(1, 2).copy()
    if columns.shape[2] == 4:
        columns[:, :, 3] *= layer.alpha  # there a matter of its start alone
    see = gate_kernel[0] if gate_kernel else np.zeros(2 * units)
    values = (columns.reshape(features, -1), see, bias)
    weights = (peer.weight, peer.weight_c, peer.bias)
    for weight, value in zip(weights, values, strict=True):
        weight.data = torch.tensor(value, dtype=torch.float32)
    inputs, (_, c) = make_inputs(features), start_states(units)
    mask = np.ones((BATCH, STEPS), bool)
    if masked:
        mask = np.random.default_rng(3).random((BATCH, STEPS)) > 0.4
    peer.eval()
    with torch.no_grad():
        expected, last = peer(
            torch.tensor(inputs.swapaxes(0, 1).copy()),
            torch.tensor(c),
            torch.tensor(~mask.T.copy()),
        )
    outputs, _, found = run(layer, inputs, mask, [0 * c, c])
    # There the outputs of masked steps are zeros.
    expected = expected.numpy().swapaxes(0, 1)
    check([outputs * mask[:, :, None], found], [expected, last.numpy()])
