"""What dropout in an LSTM is, against an LSTM in NumPy with masks by hand."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.regularization import recurrent_dropout

UNITS = recurrent_dropout.UNITS
RATES = {
    "dropout": {"dropout": 0.5},
    "recurrent_dropout": {"recurrent_dropout": 0.5},
    "both": {"dropout": 0.5, "recurrent_dropout": 0.5},
}
# Masks by gate for the way of the inputs and that of the state; one for all
# gates where there is no recurrent_dropout.
SHAPES = {"dropout": (1, 0), "recurrent_dropout": (0, 4), "both": (4, 4)}

every_kind = pytest.mark.parametrize("kind", RATES)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def numpy_lstm(x, weights, input_masks, state_masks):
    """Outputs of an LSTM, (sequences, steps, units); masks never change.

    Rows of the matrices are struck out, as the paper has it: each sequence has
    matrices of its own.
    """
    kernel, recurrent_kernel, bias = (w.astype("float64") for w in weights)
    outputs = []
    for row, sequence in enumerate(x.astype("float64")):
        struck = [
            np.concatenate(
                [
                    mask[row][:, np.newaxis] * part
                    for mask, part in zip(
                        masks, np.split(matrix, 4, axis=1), strict=True
                    )
                ],
                axis=1,
            )
            for masks, matrix in (
                (input_masks, kernel),
                (state_masks, recurrent_kernel),
            )
        ]
        h = c = np.zeros(len(recurrent_kernel))
        said = []
        for step in sequence:
            i, f, new, o = np.split(step @ struck[0] + h @ struck[1] + bias, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
            h = sigmoid(o) * np.tanh(c)
            said.append(h)
        outputs.append(said)
    return np.array(outputs)


@pytest.fixture
def by_hand(monkeypatch):
    """Makes every LSTM use masks that are drawn here."""

    def use(kind, sequences, features, units):
        generator = np.random.default_rng(3)
        masks = [
            2.0 * (generator.random((count, sequences, width)) < 0.5)
            for count, width in zip(
                SHAPES[kind], (features, units), strict=True
            )
        ]
        names = "get_dropout_mask", "get_recurrent_dropout_mask"
        for name, drawn in zip(names, masks, strict=True):
            tensors = [ops.convert_to_tensor(m, "float32") for m in drawn]
            answer = tensors[0] if len(tensors) == 1 else tensors or None
            monkeypatch.setattr(
                layers.LSTMCell, name, lambda *_, answer=answer: answer
            )
        ones = np.ones((4, sequences, 1))
        return [
            np.repeat(m, 4, axis=0) if len(m) == 1 else m if len(m) else ones
            for m in masks
        ]

    return use


@every_kind
def test_an_lstm_with_masks(kind, by_hand):
    masks = by_hand(kind, sequences=6, features=3, units=5)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(6, 7, 3)).astype("float32")
    lstm = layers.LSTM(5, return_sequences=True, **RATES[kind])
    lstm.build(x.shape)
    weights = [generator.normal(size=w.shape) for w in lstm.get_weights()]
    lstm.set_weights(weights)
    said = ops.convert_to_numpy(lstm(x, training=True))
    right = numpy_lstm(x, weights, *masks)
    np.testing.assert_allclose(said, right, atol=1e-5)


@every_kind
@pytest.mark.parametrize("gate", list(recurrent_dropout.GATES))
def test_the_masks_are_read(kind, gate, by_hand):
    """Those that are drawn here are those that the recipe sees."""
    masks = by_hand(kind, sequences=64, features=UNITS, units=UNITS)
    place = recurrent_dropout.GATES.index(gate)
    for way, right in zip(("input", "state"), masks, strict=True):
        # The forget gate brings the memory back, which two steps do not show.
        steps = 2 if gate == "f" else 6
        seen = recurrent_dropout.read_masks(way, gate, steps, **RATES[kind])
        assert seen.shape == (64, steps - 1, UNITS)
        right = np.broadcast_to(right[place][:, np.newaxis], seen.shape)
        np.testing.assert_allclose(seen, right, atol=1e-5)


def test_the_recipes_formula():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(8, 5, UNITS))
    weights = [
        generator.normal(size=shape)
        for shape in ((UNITS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,))
    ]
    masks = 2.0 * (generator.random((2, 4, 8, UNITS)) < 0.5)
    found = recurrent_dropout.by_formula(x, weights, *masks)
    right = numpy_lstm(x, weights, *masks)[:, -1]
    np.testing.assert_allclose(found, right, atol=1e-12)


class Training(layers.Layer):
    """Calls a layer as in training, also inside of `predict`."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs, training=True)


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout"])
def test_masks_of_a_compiled_model(rate):
    """The same at every step, another one for each sequence and layer."""
    units, steps = 16, 9
    eye = np.zeros((units, 4, units))
    eye[:, 2] = np.eye(units)
    matrices = [eye.reshape(units, -1), np.zeros((units, 4 * units))]
    if rate == "recurrent_dropout":
        matrices.reverse()
    lstm = layers.LSTM(
        units, return_sequences=True, activation="linear", **RATES[rate]
    )
    model = keras.Sequential([layers.Input((steps, units)), Training(lstm)])
    # Input and output gate are open, the forget gate is shut.
    lstm.set_weights([*matrices, np.repeat([40, -200, 1, 40], units)])
    said = model.predict(np.ones((20, steps, units)), batch_size=10, verbose=0)
    before = said[:, :-1] if rate == "recurrent_dropout" else 1.0
    masks = (said[:, 1:] - 1) / before
    np.testing.assert_allclose(
        masks, np.repeat(masks[:, :1], steps - 1, axis=1), atol=1e-5
    )
    assert set(np.unique(masks.round(4))) == {0, 2}
    assert len(np.unique(masks[:, 0].round(), axis=0)) == 20


def test_a_share_of_changing_masks():
    generator = np.random.default_rng(2)
    fresh = generator.random((50, 40, 8)) < 0.5
    kept = np.repeat(fresh[:, :1], 40, axis=1)
    assert recurrent_dropout.share_changing(fresh) == 1
    assert recurrent_dropout.share_changing(kept) == 0
    half = np.concatenate([fresh[:25], kept[25:]])
    assert recurrent_dropout.share_changing(half) == 0.5


@pytest.mark.parametrize("seed", [0, 1])
def test_exact_statements(seed):
    found = recurrent_dropout.measure(seed)
    for text, value, within in recurrent_dropout.EXACT:
        assert found[text] == pytest.approx(value, abs=within), text


@pytest.mark.parametrize("task", ["docstrings", "EEG"])
def test_variants_differ_in_training_alone(task):
    (x, y), _ = recurrent_dropout.load(task, seed=0)
    x, y = x[:20], y[:20]
    said = {}
    for name, rates in recurrent_dropout.VARIANTS.items():
        keras.utils.set_random_seed(0)
        model = recurrent_dropout.build_model(task, **rates)
        said[name] = model.predict(x, verbose=0)
        assert said[name].shape == ((20, 4) if task != "EEG" else y.shape)
        np.testing.assert_allclose(said[name], said["none"], atol=1e-5)


def test_scores():
    said = np.array([[0.0, 3, 1, 2], [5, 0, 0, 1], [0, 0, 9, 1]])
    assert recurrent_dropout.score("docstrings", said, [1, 0, 3]) == (
        pytest.approx(1 / 3)
    )
    y = np.zeros((2, 5, 4))
    y[:, -1] = [[1, 2, 3, 4], [4, 3, 2, 1]]
    assert recurrent_dropout.score("EEG", np.zeros_like(y), y) == (
        pytest.approx(np.sqrt(7.5))
    )
