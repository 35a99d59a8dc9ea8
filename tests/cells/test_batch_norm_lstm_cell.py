import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients
from keras import layers, ops

from kerasrecipes.cells import BatchNormLSTM, BatchNormLSTMCell

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

FEATURES, UNITS = 3, 4
WIDTH = 9 * UNITS


def make_inputs(batch=8, steps=20, seed=0):
    """Sequences whose scale grows from step to step."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(batch, steps, FEATURES))
    return (inputs * np.linspace(0.5, 2, steps)[:, None]).astype("float32")


def make_layer(max_steps=20, seed=0, gamma=None, **arguments):
    """A built layer whose weights are all at random."""
    arguments = {"return_sequences": True, **arguments}
    layer = BatchNormLSTM(UNITS, max_steps, **arguments)
    layer.build((None, None, FEATURES))
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        value = generator.normal(size=weight.shape)
        if "gamma" in weight.name:
            value = value if gamma is None else np.full(weight.shape, gamma)
        if "variance" in weight.name:
            value = 0.5 + value**2
        weight.assign(value)
    return layer


def run(layer, inputs, **arguments):
    return ops.convert_to_numpy(layer(inputs, **arguments))


def averages_of(layer):
    return [ops.convert_to_numpy(w) for w in layer.cell.moving_averages]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_loops(layer, inputs, mask=None, training=True):
    """The formula in float64, and what it normalized by at each step."""
    w = {v.name: ops.convert_to_numpy(v).astype(float) for v in layer.weights}
    cell = layer.cell
    batch, steps, _ = inputs.shape
    if mask is None:
        mask = np.ones((batch, steps), bool)
    h = c = np.zeros((batch, UNITS))
    outputs, means, variances = [], [], []
    for step in range(steps):
        row = min(step, cell.max_steps - 1)
        real = mask[:, step]
        used = []

        def normalize(z, gamma, start, row=row, real=real, used=used):
            places = slice(start, start + z.shape[1])
            mean = w["moving_mean"][row, places]
            variance = w["moving_variance"][row, places]
            if training:
                mean, variance = z[real].mean(0), z[real].var(0)
            used.append((mean, variance))
            return gamma * (z - mean) / np.sqrt(variance + cell.epsilon)

        z = w["bias"] + normalize(
            inputs[:, step] @ w["kernel"], w["input_gamma"], 0
        )
        z += normalize(
            h @ w["recurrent_kernel"], w["recurrent_gamma"], 4 * UNITS
        )
        i, f, g, o = (z[:, n * UNITS : (n + 1) * UNITS] for n in range(4))
        new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        new_h = sigmoid(o) * np.tanh(
            normalize(new_c, w["cell_gamma"], 8 * UNITS) + w["cell_beta"]
        )
        h, c = np.where(real[:, None], [new_h, new_c], [h, c])
        outputs.append(h)
        means.append(np.concatenate([mean for mean, _ in used]))
        variances.append(np.concatenate([variance for _, variance in used]))
    return np.stack(outputs, 1), np.array(means), np.array(variances)


# Sums of a few products, and divisions by roots of small variances, in float32.
CLOSE = {"rtol": 0, "atol": 1e-5}


# ----------------------------------------------------------------------
# The formula


@pytest.mark.parametrize("training", [True, False])
def test_equals_the_formula_over_20_steps(training):
    layer, inputs = make_layer(), make_inputs()
    expected, _, _ = by_loops(layer, inputs, training=training)
    np.testing.assert_allclose(
        run(layer, inputs, training=training), expected, **CLOSE
    )


def test_last_output():
    inputs = make_inputs()
    expected = run(make_layer(), inputs, training=True)[:, -1]
    layer = make_layer(return_sequences=False)
    np.testing.assert_array_equal(run(layer, inputs, training=True), expected)
    assert layer.compute_output_shape((None, 5, 3)) == (None, UNITS)


@pytest.mark.parametrize("epsilon", [0.0, 0.001])
def test_frozen_at_zero_and_one_it_is_an_lstm(epsilon):
    inputs = make_inputs()
    layer = make_layer(gamma=1.0, epsilon=epsilon)
    layer.cell.cell_beta.assign(np.zeros(UNITS))
    layer.cell.moving_mean.assign(np.zeros((20, WIDTH)))
    layer.cell.moving_variance.assign(np.full((20, WIDTH), 1 - epsilon))
    lstm = layers.LSTM(UNITS, return_sequences=True)
    lstm.build(inputs.shape)
    lstm.set_weights(layer.get_weights()[:3])
    # The gates' sums are taken in another order.
    np.testing.assert_allclose(
        run(layer, inputs), run(lstm, inputs), rtol=0, atol=2e-6
    )


def test_starts_as_the_paper_says():
    layer = BatchNormLSTM(UNITS, 5)
    layer.build((None, None, FEATURES))
    cell = layer.cell
    for gamma in (cell.input_gamma, cell.recurrent_gamma, cell.cell_gamma):
        np.testing.assert_array_equal(gamma, np.float32(0.1))
    np.testing.assert_array_equal(cell.cell_beta, 0)
    expected = np.repeat([0, 1, 0, 0], UNITS)
    np.testing.assert_array_equal(cell.bias, expected)
    np.testing.assert_array_equal(cell.moving_mean, np.zeros((5, WIDTH)))
    np.testing.assert_array_equal(cell.moving_variance, np.ones((5, WIDTH)))


# ----------------------------------------------------------------------
# Statistics


def test_keeps_moving_averages_of_each_step():
    layer = make_layer(momentum=0.9)
    expected = np.array(averages_of(layer), "float64")
    for seed in range(3):
        inputs = make_inputs(seed=seed)
        _, *found = by_loops(layer, inputs)
        expected = 0.9 * expected + 0.1 * np.array(found)
        layer(inputs, training=True)
    np.testing.assert_allclose(averages_of(layer), expected, **CLOSE)
    means, _ = averages_of(layer)
    assert (np.abs(np.diff(means, axis=0)).max(axis=1) > 0.01).all()


def test_inference_and_frozen_layers_keep_nothing():
    layer, inputs = make_layer(), make_inputs()
    before = averages_of(layer)
    at_rest = run(layer, inputs)
    layer.trainable = False
    np.testing.assert_array_equal(run(layer, inputs, training=True), at_rest)
    np.testing.assert_array_equal(averages_of(layer), before)


def test_later_steps_take_the_last_row():
    inputs = make_inputs()
    layer, longer = make_layer(max_steps=7), make_layer(max_steps=20)
    rows = np.minimum(np.arange(20), 6)
    longer.set_weights(
        layer.get_weights()[:7] + [part[rows] for part in averages_of(layer)]
    )
    np.testing.assert_array_equal(run(layer, inputs), run(longer, inputs))


def test_later_steps_are_averaged_in_the_last_row():
    inputs = make_inputs()
    layer = make_layer(max_steps=7, momentum=0.0)
    _, *found = by_loops(layer, inputs)
    expected = [
        np.concatenate([part[:6], part[6:].mean(axis=0, keepdims=True)])
        for part in found
    ]
    layer(inputs, training=True)
    np.testing.assert_allclose(averages_of(layer), expected, **CLOSE)


def test_rows_that_no_sequence_reaches_stay():
    layer = make_layer(max_steps=20, momentum=0.0)
    before = averages_of(layer)
    layer(make_inputs(steps=12), training=True)
    after = averages_of(layer)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old[12:], new[12:])
        assert (old[:12] != new[:12]).all()


def test_fit_keeps_the_same_as_a_call():
    """In `fit` everything is compiled, and the loop with it."""
    inputs = make_inputs()
    layer, called = make_layer(momentum=0.5), make_layer(momentum=0.5)
    called(inputs, training=True)
    model = keras.Sequential([layers.Input((None, FEATURES)), layer])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(inputs, np.zeros((8, 20, UNITS)), batch_size=8, verbose=0)
    np.testing.assert_allclose(averages_of(layer), averages_of(called), **CLOSE)


# ----------------------------------------------------------------------
# Masks


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("side", ["right", "left"])
def test_masked_steps(side, training):
    lengths = np.array([3, 9, 6, 10, 4, 8, 7, 9])
    mask = np.arange(10) < lengths[:, None]
    mask = mask if side == "right" else mask[:, ::-1]
    inputs = np.where(mask[:, :, None], make_inputs(8, 10), 5)
    layer = make_layer(max_steps=10, momentum=0.0)
    expected, *found = by_loops(layer, inputs, mask, training)
    outputs = run(
        layer,
        inputs.astype("float32"),
        mask=ops.convert_to_tensor(mask.copy()),
        training=training,
    )
    np.testing.assert_allclose(outputs, expected, **CLOSE)
    np.testing.assert_allclose(averages_of(layer), found, **CLOSE)


def test_steps_without_any_example_keep_their_averages():
    inputs = make_inputs(steps=8)
    layer, shorter = (make_layer(8, momentum=0.0) for _ in range(2))
    before = averages_of(layer)
    mask = np.tile(np.arange(8) < 5, (8, 1))
    mask = ops.convert_to_tensor(mask)
    outputs = run(layer, inputs, mask=mask, training=True)
    expected = run(shorter, inputs[:, :5], training=True)
    np.testing.assert_allclose(outputs[:, :5], expected, **CLOSE)
    for old, new, short in zip(
        before, averages_of(layer), averages_of(shorter), strict=True
    ):
        np.testing.assert_array_equal(new[5:], old[5:])
        np.testing.assert_allclose(new[:5], short[:5], **CLOSE)


# ----------------------------------------------------------------------
# The cell in Keras' own layer


def test_in_rnn_it_does_the_same_at_inference():
    layer, inputs = make_layer(max_steps=7), make_inputs()
    rnn = layers.RNN(layer.cell, return_sequences=True)
    np.testing.assert_allclose(run(rnn, inputs), run(layer, inputs), **CLOSE)


def test_in_rnn_a_sequence_can_be_read_in_parts():
    layer, inputs = make_layer(max_steps=7), make_inputs()
    whole = run(layers.RNN(layer.cell), inputs)
    rnn = layers.RNN(layer.cell, return_state=True)
    _, *states = rnn(inputs[:, :4])
    outputs, *states = rnn(inputs[:, 4:], initial_state=states)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), whole, **CLOSE)
    np.testing.assert_array_equal(ops.convert_to_numpy(states[2]), 20)


def test_in_rnn_it_cannot_be_trained():
    rnn = layers.RNN(BatchNormLSTMCell(UNITS, 5))
    with pytest.raises(ValueError, match="cannot keep its statistics"):
        rnn(make_inputs(), training=True)


# ----------------------------------------------------------------------
# Gradients


def test_gradient_equals_differences_of_the_formula():
    inputs = make_inputs(batch=4, steps=3)
    layer = make_layer(max_steps=3)
    generator = np.random.default_rng(1)
    cotangents = generator.normal(size=(4, 3, UNITS)).astype("float32")
    step = 1e-5
    expected = np.empty(inputs.shape)
    for place in np.ndindex(inputs.shape):
        change = np.zeros(inputs.shape)
        change[place] = step
        above, *_ = by_loops(layer, inputs + change)
        below, *_ = by_loops(layer, inputs - change)
        expected[place] = np.sum(cotangents * (above - below)) / (2 * step)
    gradient, *_ = compute_gradients(layer, inputs, cotangents, training=True)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)
