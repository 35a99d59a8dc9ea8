"""SRU and QRNN: by the formula, in parts, under masks, in Bidirectional."""

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING
from keras import layers, ops

from kerasrecipes.layers import QRNN, SRU

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

BATCH, STEPS, FEATURES = 5, 20, 3
# Twenty steps, each with sums of a few products, in float32.
CLOSE = {"rtol": 0, "atol": 1e-5}
WHOLE = {"return_sequences": True, "return_state": True}
KINDS = {
    "SRU": (SRU, {"units": 4, "highway_bias": -1.0}),
    "SRU, square": (SRU, {"units": FEATURES, "highway_bias": 0.5}),
    "SRU, not rescaled": (SRU, {"units": FEATURES, "rescale": False}),
    "SRU, first form": (SRU, {"units": 4, "recurrent_gates": False}),
    "QRNN f": (QRNN, {"units": 4, "window": 1, "pooling": "f"}),
    "QRNN fo": (QRNN, {"units": 4, "activation": "relu"}),
    "QRNN ifo": (QRNN, {"units": 4, "window": 3, "pooling": "ifo"}),
    "QRNN, zoneout": (QRNN, {"units": 4, "zoneout": 0.3}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
# JAX compiles each call, so that what does not touch the formula is tested
# with those that differ in their states and windows.
some_kinds = pytest.mark.parametrize("kind", ["SRU", "QRNN f", "QRNN ifo"])


def make_inputs(seed=0, steps=STEPS):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(BATCH, steps, FEATURES)).astype("float32")


def make_layer(kind, seed=1, **more):
    """A built layer whose weights are all at random, biases as well."""
    cls, arguments = KINDS[kind]
    layer = cls(**{**WHOLE, **arguments, **more})
    layer.build((None, None, FEATURES))
    return set_at_random(layer, seed)


def set_at_random(layer, seed=1):
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(generator.normal(size=weight.shape) / 2)
    return layer


def start_states(layer, seed=2):
    generator = np.random.default_rng(seed)
    shapes = [state.shape for state in layer.get_initial_state(BATCH)]
    return [generator.normal(size=s).astype("float32") for s in shapes]


def run(layer, inputs, mask=None, states=None, **more):
    """Outputs and states as a list of arrays."""
    if mask is not None:
        more["mask"] = ops.convert_to_tensor(mask)
    if states is not None:
        more["initial_state"] = [ops.convert_to_tensor(s) for s in states]
    found = layer(ops.convert_to_tensor(inputs), **more)
    return [ops.convert_to_numpy(part) for part in keras.tree.flatten(found)]


def check(found, expected, **tolerance):
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, other, **(tolerance or CLOSE))


# ----------------------------------------------------------------------
# The formulas, step by step in float64


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_formula(layer, inputs, states, taking=None):
    """What a layer does, one sequence and one step after the other.

    Args:
        layer: an SRU or QRNN.
        inputs: array.
        states: arrays.
        taking: for zoneout, which units take in, (steps, batch, units). By
            default all do, to the same part.
    """
    weights = {w.name: np.array(w).astype(float) for w in layer.weights}
    formula = sru_step if isinstance(layer, SRU) else qrnn_step
    outputs, ends = [], []
    for row, sequence in enumerate(inputs.astype(float)):
        state = [part[row].astype(float) for part in states]
        outputs.append([])
        for t, x in enumerate(sequence):
            taken = 1 - getattr(layer, "zoneout", 0)
            taken = taken if taking is None else taking[t, row]
            state = formula(layer, weights, x, state, taken)
            outputs[-1].append(state[0])
        ends.append(state)
    ends = [np.stack(part) for part in zip(*ends, strict=True)]
    return [np.array(outputs), *ends]


def sru_step(layer, weights, x, state, _):
    _, c = state
    columns = np.split(
        weights["kernel"], layer.kernel.shape[1] // layer.units, 1
    )
    see_f, see_r = np.split(weights.get("gate_kernel", np.zeros(2)), 2)
    b_f, b_r = np.split(weights["bias"], 2)
    factor = np.sqrt(1 + 2 * np.exp(layer.highway_bias)) if layer.rescale else 1
    passed = x @ columns[3] if len(columns) == 4 else x
    f = sigmoid(x @ columns[1] + see_f * c + b_f)
    r = sigmoid(x @ columns[2] + see_r * c + b_r)
    c = f * c + (1 - f) * (x @ columns[0])
    return r * c + (1 - r) * factor * passed, c


def qrnn_step(layer, weights, x, state, taking):
    _, c, *recent = state
    seen = np.concatenate([*recent, x[None]])  # (window, features)
    sums = np.einsum("wf,wfu->u", seen, weights["kernel"]) + weights["bias"]
    z, *gates = np.split(sums, 1 + len(layer.pooling))
    gates = {
        name: sigmoid(gate) for name, gate in zip("foi", gates, strict=False)
    }
    function = np.tanh
    if layer.activation is keras.activations.relu:
        function = lambda z: np.maximum(z, 0)  # noqa: E731
    f = 1 - taking * (1 - gates["f"])
    c = f * c + gates.get("i", 1 - f) * function(z)
    h = gates.get("o", 1) * c
    return (h, c, seen[1:]) if recent else (h, c)


@every_kind
def test_equals_the_formula_over_20_steps(kind):
    layer, inputs = make_layer(kind), make_inputs()
    states = start_states(layer)
    expected = by_formula(layer, inputs, states)
    check(run(layer, inputs, states=states), expected)
    zeros = [np.zeros_like(state) for state in states]
    check(run(layer, inputs), by_formula(layer, inputs, zeros))
    # Without the rest of what it gives, the last output.
    last = make_layer(kind, return_sequences=False, return_state=False)
    check(run(last, inputs, states=states), expected[1:2])


@every_kind
def test_a_step_at_a_time_equals_all_at_once(kind):
    layer, inputs = make_layer(kind), make_inputs(steps=5)
    states = start_states(layer)
    expected, *ends = run(layer, inputs, states=states)
    outputs = []
    for t in range(5):
        output, *states = run(layer, inputs[:, t : t + 1], states=states)
        outputs.append(output)
    check([np.concatenate(outputs, 1), *states], [expected, *ends])


@some_kinds
def test_backwards(kind):
    inputs = make_inputs()
    layer, back = make_layer(kind), make_layer(kind, go_backwards=True)
    states = start_states(layer)
    expected = run(layer, inputs[:, ::-1].copy(), states=states)
    check(run(back, inputs, states=states), expected, rtol=0, atol=0)


@some_kinds
def test_no_output_depends_on_what_comes_later(kind):
    layer, inputs = make_layer(kind), make_inputs()
    before, *_ = run(layer, inputs)
    inputs[:, 10] += 1
    after, *_ = run(layer, inputs)
    changed = np.abs(after - before).max(axis=(0, 2)) > 0
    np.testing.assert_array_equal(changed, np.arange(STEPS) >= 10)


# ----------------------------------------------------------------------
# Masks

LENGTHS = np.array([3, 20, 11, 3, 11])


@pytest.mark.parametrize("side", ["right", "left"])
@some_kinds
def test_padding_is_passed_over(kind, side):
    layer, inputs = make_layer(kind), make_inputs()
    states = start_states(layer)
    if side == "left" and len(states) == 3:
        # A window of the first steps would read other things than zeros.
        states[2] *= 0
    mask = np.arange(STEPS) < LENGTHS[:, None]
    mask = mask if side == "right" else mask[:, ::-1].copy()
    outputs, h, c, *_ = run(layer, inputs, mask, states)
    zeroed = make_layer(kind, zero_output_for_mask=True)
    zeros, *_ = run(zeroed, inputs, mask, states)
    np.testing.assert_array_equal(zeros, outputs * mask[:, :, None])
    for row, real in enumerate(mask):
        alone = [state[row : row + 1] for state in states]
        expected = run(layer, inputs[row : row + 1, real], states=alone)
        found = [outputs[row : row + 1, real], h[[row]], c[[row]]]
        check(found, expected[:3])
        # What masked steps repeat.
        held = expected[1] if side == "right" else states[0][row]
        check([outputs[row, ~real]], [np.tile(held, ((~real).sum(), 1))])


@some_kinds
def test_masked_steps_in_the_middle_are_zeros_in_windows(kind):
    layer, inputs = make_layer(kind), make_inputs()
    mask = np.random.default_rng(3).random((BATCH, STEPS)) > 0.3
    outputs, *_ = run(layer, inputs, mask)
    inputs[~mask] = 100
    others, *_ = run(layer, inputs, mask)
    np.testing.assert_array_equal(outputs, others)


@pytest.mark.parametrize("mode", ["concat", None])
@some_kinds
def test_bidirectional_under_a_mask(kind, mode):
    """Zeros at masked steps, and the backward layer begins at the last one."""
    inputs = make_inputs()
    mask = np.arange(STEPS) < LENGTHS[:, None]
    layer = make_layer(kind, return_state=False)
    both = layers.Bidirectional(layer, merge_mode=mode)
    both.build(inputs.shape)
    set_at_random(both)
    found = run(both, inputs, mask)
    way = {"return_state": False, "zero_output_for_mask": True}
    forward, back = (
        make_layer(kind, go_backwards=backwards, **way)
        for backwards in (False, True)
    )
    half = len(both.get_weights()) // 2
    forward.set_weights(both.get_weights()[:half])
    back.set_weights(both.get_weights()[half:])
    (forward,), (back,) = run(forward, inputs, mask), run(back, inputs, mask)
    back = back[:, ::-1]
    expected = {
        "concat": [np.concatenate([forward, back], -1)],
        None: [forward, back],
    }[mode]
    check(found, expected)


def test_bidirectional_gives_states():
    layer, inputs = make_layer("QRNN fo"), make_inputs()
    both = layers.Bidirectional(layer)
    outputs, *states = run(both, inputs)
    assert outputs.shape == (BATCH, STEPS, 8)
    shapes = [(BATCH, 4), (BATCH, 4), (BATCH, 1, FEATURES)] * 2
    assert [state.shape for state in states] == shapes
    later = run(both, inputs, states=states)
    assert np.abs(later[0] - outputs).max() > 1e-3


def test_mask_goes_with_the_outputs():
    mask = np.arange(STEPS) < LENGTHS[:, None]
    tensor = ops.convert_to_tensor(mask)
    layer = make_layer("SRU", go_backwards=True, return_state=False)
    found = ops.convert_to_numpy(layer.compute_mask(None, tensor))
    np.testing.assert_array_equal(found, mask[:, ::-1])
    layer = make_layer("QRNN fo")
    first, *others = layer.compute_mask(None, tensor)
    np.testing.assert_array_equal(ops.convert_to_numpy(first), mask)
    assert others == [None] * 3
    layer = make_layer("SRU", return_sequences=False, return_state=False)
    assert layer.compute_mask(None, tensor) is None


# ----------------------------------------------------------------------
# Zoneout


def test_zoneout_is_the_mean_at_inference_and_all_or_none_in_training():
    layer = make_layer("QRNN, zoneout", window=1, zoneout=0.3)
    inputs, states = make_inputs(), start_states(layer)
    _, c, *_ = states
    weights = {w.name: np.array(w) for w in layer.weights}
    first = inputs[:, :1]
    full = make_layer("QRNN, zoneout", window=1, zoneout=0.0)
    full.set_weights([weights["kernel"], weights["bias"]])
    _, _, all_taken = run(full, first, states=states)
    many = [np.repeat(s, 4000, axis=0) for s in states]
    _, _, found = run(
        layer, np.repeat(first, 4000, axis=0), states=many, training=True
    )
    found = found.reshape(BATCH, 4000, 4)
    zoned = np.abs(found - c[:, None]) < 1e-6
    taken = np.abs(found - all_taken[:, None]) < 1e-6
    assert (zoned ^ taken).all()
    # 80,000 draws: a standard deviation of 0.0016.
    assert abs(zoned.mean() - 0.3) < 0.01
    # New at each sequence and unit.
    assert (zoned.mean(1) > 0.25).all() and (zoned.mean(1) < 0.35).all()
    _, _, mean = run(layer, first, states=states)
    check([mean], [0.3 * c + 0.7 * all_taken])


def test_zoneout_is_new_at_each_step_and_call():
    layer = make_layer("QRNN, zoneout", seed=None, zoneout=0.5)
    inputs = make_inputs()
    first, *_ = run(layer, inputs, training=True)
    second, *_ = run(layer, inputs, training=True)
    assert np.abs(first - second).max() > 1e-3
    kept = np.diff(run(make_constant(), inputs * 0, training=True)[0], axis=1)
    assert 0.3 < (kept == 0).mean() < 0.7
    assert (kept != 0).any(1).all()
    twins = [make_constant(seed=3) for _ in range(2)]
    one, two = (run(t, inputs, training=True)[0] for t in twins)
    np.testing.assert_array_equal(one, two)


def make_constant(seed=None):
    """A QRNN whose units go to one by a tenth at each step that they take."""
    layer = QRNN(4, 1, "f", zoneout=0.5, seed=seed, return_sequences=True)
    layer.build((None, None, FEATURES))
    bias = np.repeat([9.0, np.log(9.0)], 4)
    layer.set_weights([0 * layer.get_weights()[0], bias])
    return layer


@pytest.mark.parametrize("kind", ["SRU", "QRNN, zoneout"])
def test_trains_in_a_model(kind):
    """Masked words in, one of two classes out, with states from another one."""
    keras.utils.set_random_seed(0)
    cls, arguments = KINDS[kind]
    words = keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(10, 8, mask_zero=True)(words)
    encoder = cls(**arguments, return_state=True)
    _, *states = encoder(embedded)
    decoder = cls(**arguments, return_sequences=True)
    outputs = layers.Dense(1)(decoder(embedded, initial_state=states))
    model = keras.Model(words, outputs)
    model.compile(keras.optimizers.Adam(0.05), "mse")
    generator = np.random.default_rng(0)
    x = generator.integers(1, 10, (64, 6))
    x[:, 4:] *= generator.integers(0, 2, (64, 1))
    # The last word tells what to say from the first step on.
    y = np.tile(x[:, 3, None, None] > 5, (1, 6, 1)).astype("float32")
    losses = model.fit(x, y, epochs=30, batch_size=16, verbose=0)
    losses = losses.history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_where_biases_start():
    layer = QRNN(2, pooling="ifo", forget_bias=1.5)
    layer.build((None, None, FEATURES))
    expected = [0, 0, 1.5, 1.5, 0, 0, 0, 0]
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.bias), expected)


@pytest.mark.parametrize("steps", [1, 8, 16, 33, None])
def test_any_length_and_batch(steps):
    """The loop may take several steps a round, and the rest one by one."""
    layer = make_layer("QRNN ifo", return_state=False)
    model = keras.Sequential([keras.Input((steps, FEATURES)), layer])
    inputs = make_inputs(steps=steps or 11)
    (expected,) = run(layer, inputs)
    found = model.predict(inputs, batch_size=2, verbose=0)
    check([found], [expected])


# ----------------------------------------------------------------------
# How the two are related


def test_sru_of_the_first_form_is_a_qrnn_that_reads_one_step():
    """With the highway shut, but for the tanh of what is taken in."""
    sru = make_layer("SRU, first form", return_state=False)
    inputs = make_inputs()
    weights = sru.get_weights()
    # Far beyond what a sum reaches: a sigmoid of one, in float32.
    weights[1][4:] = 1e3
    sru.set_weights(weights)
    new, forget, *_ = np.split(weights[0], 4, axis=1)
    qrnn = QRNN(4, 1, "f", activation=None, return_sequences=True)
    qrnn.build(inputs.shape)
    kernel = np.concatenate([new, forget], axis=1)[None]
    qrnn.set_weights([kernel, np.append(np.zeros(4), weights[1][:4])])
    check(run(sru, inputs), run(qrnn, inputs))
