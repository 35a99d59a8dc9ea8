"""Padding and masks by hand, apart from what the recipe measures itself."""

import keras
import numpy as np
import pytest
from keras import layers

from kerasrecipes.recipes.preparation import padding_and_masking as recipe


@pytest.mark.parametrize("padding", ["pre", "post"])
def test_an_lstm_keeps_its_state_over_padded_steps(padding):
    """Against the recurrence written out, with the mask in it."""
    keras.utils.set_random_seed(0)
    layer = layers.LSTM(3)
    sequence = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    x = keras.utils.pad_sequences([sequence], 8, "float32", padding=padding)
    mask = np.any(x != 0, axis=-1)
    said = keras.ops.convert_to_numpy(layer(x, mask=mask))[0]
    kernel, recurrent, bias = layer.get_weights()

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    h, c = np.zeros(3), np.zeros(3)
    for step, real in zip(x[0], mask[0], strict=True):
        z = np.split(step @ kernel + h @ recurrent + bias, 4)
        new_c = sigmoid(z[1]) * c + sigmoid(z[0]) * np.tanh(z[2])
        new_h = sigmoid(z[3]) * np.tanh(new_c)
        c = real * new_c + (1 - real) * c
        h = real * new_h + (1 - real) * h
    np.testing.assert_allclose(said, h, atol=1e-6)


@pytest.mark.parametrize("padding", ["pre", "post"])
def test_the_error_is_seen_where_there_is_no_mask(padding):
    class WithoutMask:
        return_sequences = False

        def __init__(self):
            self.lstm = layers.LSTM(3)

        def __call__(self, x, mask=None):
            return self.lstm(x)

    keras.utils.set_random_seed(0)
    sequences = [np.ones((length, 2), "float32") for length in (2, 6)]
    found = recipe.padding_error(WithoutMask(), sequences, padding)
    if padding == "post":
        assert found > 1e-3
    else:
        # Biases are zero yet, so that the candidate is too: nothing is kept.
        assert found < 1e-6


def test_padding_does_not_matter_to_training_with_a_mask():
    short, long = (
        recipe.train(seed=1, epochs=1, steps=steps, masked=True)
        for steps in (12, 30)
    )
    assert long["accuracy"] == short["accuracy"]
    assert long["loss"] == pytest.approx(short["loss"], abs=1e-6)
