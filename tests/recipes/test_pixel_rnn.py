"""Who sees what, what is drawn and how bits are counted, in longer ways."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from sklearn.metrics import log_loss

from kerasrecipes.datasets import load_digits
from kerasrecipes.recipes.recurrent import pixel_rnn


def make_model(kind, size=4, **arguments):
    keras.utils.set_random_seed(3)
    model = pixel_rnn.build_model(kind, size=size, **arguments)
    model.set_weights([2 * w for w in model.get_weights()])
    return model


def make_images(count, size, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(2, size=(count, size, size, 1)).astype("float32")


def say(model, images):
    return ops.convert_to_numpy(model(images))


@pytest.mark.parametrize("kind", pixel_rnn.WIDTHS)
def test_logits_depend_on_earlier_pixels_alone(kind):
    """All pixels from one place on are changed at once."""
    model, images = make_model(kind, 5), make_images(8, 5)
    before = say(model, images).reshape(8, 25)
    for place in (0, 7, 13, 24):
        changed = images.reshape(8, 25).copy()
        changed[:, place:] = 1 - changed[:, place:]
        after = say(model, changed.reshape(images.shape)).reshape(8, 25)
        same = slice(place + 1)
        np.testing.assert_array_equal(after[:, same], before[:, same])
        if place < 24:
            assert (after[:, place + 1] != before[:, place + 1]).all()


def test_mask_b_first_sees_the_pixel_itself():
    model = make_model("convolution", 5, first="B")
    images = make_images(4, 5)
    changed = images.copy()
    changed[:, 2, 2] = 1 - changed[:, 2, 2]
    off = np.abs(say(model, changed) - say(model, images))
    assert (off[:, 2, 2] > 0).all() and off[:, 2, :2].max() == 0


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_row_lstm_by_the_formula():
    """Gates from three pixels on the left, and three of the row above."""
    model, images = make_model("row", 4), make_images(3, 4)
    masked = model.layers[1]
    (lstm,) = (x for x in model.layers if isinstance(x, layers.ConvLSTM1D))
    f = say(masked, images).astype("float64")
    kernel, recurrent, bias = (w.astype("float64") for w in lstm.get_weights())
    width = pixel_rnn.WIDTHS["row"]
    h, c, rows = np.zeros((3, 4, width)), np.zeros((3, 4, width)), []
    for row in range(4):
        gates = np.tile(bias, (3, 4, 1))
        for column in range(4):
            for tap in range(3):
                left, above = column + tap - 2, column + tap - 1
                if left >= 0:
                    gates[:, column] += f[:, row, left] @ kernel[tap]
                if 0 <= above < 4:
                    gates[:, column] += h[:, above] @ recurrent[tap]
        i, forget, new, o = np.split(gates, 4, axis=-1)
        c = sigmoid(forget) * c + sigmoid(i) * np.tanh(new)
        h = sigmoid(o) * np.tanh(c)
        rows.append(h)
    hidden = keras.Model(model.input, lstm.output)
    np.testing.assert_allclose(
        say(hidden, images), np.stack(rows, 1), atol=1e-5
    )


def test_used_weights_by_hand():
    """Masks A of 5 x 5 see 12 pixels, masks B of 3 x 3 see 5."""
    head = 32 * (20 + 1) + 33
    blocks = 3 * (5 * 20 * 20 + 20)
    for first, seen in (("A", 12), ("B", 13)):
        model = pixel_rnn.build_model("convolution", first)
        expected = seen * 20 + 20 + blocks + head
        assert pixel_rnn.count_used(model) == expected
    model = pixel_rnn.build_model("raster")
    assert pixel_rnn.count_used(model) == model.count_params()


def test_bits_of_a_pixel():
    logits = np.array([0.0, 0.0, np.log(3), np.log(3), -800.0, 800.0])
    images = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    bits = pixel_rnn.count_bits(logits, images)
    expected = [1, 1, -np.log2(0.75), 2, 0, 0]
    np.testing.assert_allclose(bits, expected, atol=1e-12)


def test_draws_pixel_by_pixel():
    """Each pixel is the opposite of the one before; the first is black."""

    def say_the_opposite(images):
        before = np.roll(images.reshape(len(images), -1), 1, axis=1)
        before[:, 0] = 0
        return (1e3 * (0.5 - before)).reshape(images.shape)

    generator = np.random.RandomState(0)
    drawn = pixel_rnn.draw(say_the_opposite, 5, 3, generator)
    np.testing.assert_array_equal(
        drawn.reshape(5, 9), [[1, 0, 1, 0, 1, 0, 1, 0, 1]] * 5
    )

    def say_a_quarter(images):
        return np.full(images.shape, -np.log(3))

    drawn = pixel_rnn.draw(say_a_quarter, 4000, 2, generator)
    # Four standard errors of 16,000 pixels.
    assert drawn.mean() == pytest.approx(0.25, abs=0.014)


def test_independent_pixels():
    found = pixel_rnn.train(seed=2, epochs=1, kind="independent")
    (x, _), (x_test, _) = load_digits(fold=2, flat=True)
    often = ((x >= 0.5).sum(0) + 1) / (len(x) + 2)
    said = np.tile(often, len(x_test))
    expected = log_loss((x_test >= 0.5).ravel(), said) / np.log(2)
    assert found["bits a pixel"] == pytest.approx(expected, abs=1e-6)
    assert found["weights in use"] == 64
    digits = found["curves"]["digits"].reshape(-1, 64)
    np.testing.assert_array_equal(digits, x_test[: len(digits)] >= 0.5)


def test_facts():
    found = pixel_rnn.measure(seed=11)
    assert found["seen of the future"] == 0
    assert found["sum off 1"] < 1e-5
    assert found["shares off"] < 5
    assert found["seen above right, convolution"] == 0
    assert found["seen above right, row LSTM"] == 0
    assert found["unseen above right, raster"] == 0
