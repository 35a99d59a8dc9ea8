"""What the recipe says an LSTM hands out, where the last step misleads."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.recurrent import return_sequences as recipe


@pytest.fixture
def x():
    keras.utils.set_random_seed(5)
    return np.random.default_rng(5).normal(size=(4, 6, 3)).astype("float32")


@pytest.mark.parametrize("fact", recipe.FACTS)
def test_facts_hold(fact, measured={}):  # noqa: B006 (a cache)
    if not measured:
        measured.update(recipe.measure(7))
    _, value = recipe.FACTS[fact]
    assert abs(measured[fact] - value) <= 5e-6


def test_one_step_by_hand(x):
    """The formula for one sample and one unit, number by number."""
    layer = layers.LSTM(1, return_state=True)
    _, h, c = recipe.run(layer, x[:1, :1])
    kernel, _, bias = layer.get_weights()
    i, _, g, o = [x[0, 0] @ kernel[:, n] + bias[n] for n in range(4)]

    def gate(z):
        return 1 / (1 + np.exp(-z))

    cell = gate(i) * np.tanh(g)  # there is nothing yet to keep
    np.testing.assert_allclose(c[0, 0], cell, atol=1e-6)
    np.testing.assert_allclose(h[0, 0], gate(o) * np.tanh(cell), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "shapes"),
    [
        ({}, [(4, 5)]),
        ({"return_sequences": True}, [(4, 6, 5)]),
        ({"return_state": True}, [(4, 5)] * 3),
        (
            {"return_sequences": True, "return_state": True},
            [(4, 6, 5), (4, 5), (4, 5)],
        ),
    ],
)
def test_shapes(arguments, shapes, x):
    outputs = recipe.run(layers.LSTM(5, **arguments), x)
    assert [one.shape for one in outputs] == shapes


@pytest.mark.parametrize(("kind", "states"), [("GRU", 1), ("SimpleRNN", 1)])
def test_states_of_other_layers(kind, states, x):
    layer = getattr(layers, kind)(5, return_state=True)
    output, *found = recipe.run(layer, x)
    assert len(found) == states
    np.testing.assert_array_equal(found[0], output)


def test_the_hidden_state_is_below_one_and_the_cell_state_is_not(x):
    layer = layers.LSTM(5, return_state=True)
    layer.build(x.shape)
    layer.set_weights([8 * np.ones_like(w) for w in layer.get_weights()])
    _, h, c = recipe.run(layer, np.abs(x))
    assert np.abs(h).max() <= 1 and np.abs(c).max() > 2


def test_where_states_go_on(x):
    """The states of the first half begin the second one."""
    layer = layers.LSTM(5, return_sequences=True, return_state=True)
    whole, *states = recipe.run(layer, x)
    first, h, c = layer(x[:, :4])
    second, *last = layer(x[:, 4:], initial_state=[h, c])
    halves = np.concatenate(
        [ops.convert_to_numpy(half) for half in (first, second)], axis=1
    )
    np.testing.assert_allclose(halves, whole, atol=1e-6)
    for one, other in zip(last, states, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), other, atol=1e-6)


@pytest.mark.parametrize("reads", ["h", "c", "every h", "repeated h"])
def test_the_networks(reads):
    model = recipe.build_model(reads)
    assert model.output_shape == (None, 1)
    one = 4 * ((2 + 24) * 24 + 24)
    two = 4 * ((24 + 24) * 24 + 24) if reads.endswith(" h") else 0
    assert model.count_params() == one + two + 25
