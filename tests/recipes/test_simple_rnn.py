"""The loops of the recipe against Keras, forward and back."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.recurrent import simple_rnn as recipe


class FromState(layers.Layer):
    """A recurrent layer whose first state is a weight."""

    def __init__(self, layer, starts):
        super().__init__()
        self.layer, self.starts = layer, starts

    def build(self, input_shape):
        self.states = [
            self.add_weight(one.shape, keras.initializers.Constant(one))
            for one in self.starts
        ]
        self.layer.build(input_shape)

    def call(self, inputs):
        return self.layer(inputs, initial_state=[*self.states])


@pytest.fixture(scope="module")
def x():
    x = np.random.default_rng(1).normal(size=(6, 20, 2))
    return x.astype("float32")


@pytest.mark.parametrize("kind", recipe.KINDS)
def test_way_back_is_keras_own_gradient(x, kind):
    """A step of SGD at a rate of 1 takes the gradient from the first state."""
    keras.utils.set_random_seed(2)
    parts = 2 if kind == "lstm" else 1
    starts = np.random.default_rng(3).normal(size=(parts, 6, recipe.UNITS))
    starts = starts.astype("float32")
    layer = FromState(recipe.make_layer(kind), [*starts])
    layer.build(x.shape)
    weights = layer.layer.get_weights()
    model = keras.Sequential([layer])
    model.compile(
        keras.optimizers.SGD(1.0),
        lambda _, outputs: ops.sum(outputs, axis=-1),
        run_eagerly=True,
    )
    model.train_on_batch(x, np.zeros(6))
    taken = [
        start - ops.convert_to_numpy(state)
        for start, state in zip(starts, layer.states, strict=True)
    ]

    cells = [weights] * 20
    states = recipe.run(kind, x, cells, starts)
    # The loss is the mean over a batch of six.
    end = np.full((6, recipe.UNITS), 1 / 6)
    found = recipe.go_back(kind, x, cells, states, end)
    assert found.shape == states.shape == (21, parts, 6, recipe.UNITS)
    np.testing.assert_allclose(found[0], taken, atol=1e-6)


@pytest.mark.parametrize("kind", recipe.KINDS)
def test_every_step_forward(x, kind):
    keras.utils.set_random_seed(4)
    layer = recipe.make_layer(kind)
    layer.return_sequences = True
    said = ops.convert_to_numpy(layer(x))
    start = np.zeros((2 if kind == "lstm" else 1, 6, recipe.UNITS))
    states = recipe.run(kind, x, [layer.get_weights()] * 20, start)
    np.testing.assert_allclose(
        np.swapaxes(states[1:, 0], 0, 1), said, atol=1e-6
    )


def test_decades_of_a_way_back_that_is_known():
    """A linear way back through halves of the identity."""
    half = (np.zeros((0, recipe.UNITS)), np.eye(recipe.UNITS) / 2, 0.0)
    start = np.ones((1, 3, recipe.UNITS))
    curve = recipe.look_back(
        "relu", np.zeros((3, 7, 0)), [half] * 7, start, np.ones(recipe.UNITS)
    )
    np.testing.assert_allclose(curve, np.arange(8) * np.log10(0.5))


def test_an_identity_start_copies_its_state():
    layer = recipe.make_layer("relu", identity=True)
    state = np.random.default_rng(5).random((4, recipe.UNITS), "float32")
    nothing = np.zeros((4, 30, 2), "float32")
    said = ops.convert_to_numpy(layer(nothing, initial_state=[state]))
    np.testing.assert_allclose(said, state, atol=1e-6)


def test_facts():
    found = recipe.measure(seed=3)
    for kind in recipe.KINDS:
        assert found[f"{kind}, off"] < 1e-6
        assert abs(found[f"{kind}, back off"]) < 1e-9
    assert found["node with a loop, off"] < 1e-6
    assert found["growth in a step"] < 1e-6


@pytest.mark.parametrize("kind", ["tanh", "feed-forward"])
def test_look(kind):
    found = recipe.look(0, 10, kind)
    assert len(found["curves"]["decades"]) == 3  # 0, 5 and 10 steps back
    assert found["decades"] < 0 < found["explained by a line"] <= 1
