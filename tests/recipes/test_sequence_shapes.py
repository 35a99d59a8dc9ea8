"""Shapes by Keras' own account, three styles in training, and the tasks."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasrecipes.recipes.recurrent import sequence_shapes as recipe

every_wiring = pytest.mark.parametrize("wiring", recipe.SHAPES)


@every_wiring
def test_facts_hold(wiring):
    facts = recipe.measure(3, wiring)
    assert facts["shapes right"] == facts["table refused"] == 1
    assert facts["styles apart"] <= 1e-6


@every_wiring
@pytest.mark.parametrize("state", [True, False])
def test_symbolic_shapes(wiring, state):
    """The last shape is the same without a state, for any batch size."""
    model = recipe.build_model(wiring, state)
    first, *others = recipe.SHAPES[wiring]
    assert model.input_shape == (None, *first)
    assert model.output_shape == (None, *others[-1])
    if state:
        found = [layer.output.shape for layer in model.layers]
        assert found == [(None, *shape) for shape in others]
    for batch in (1, 3):
        outputs = model(np.zeros((batch, *first), "float32"))
        assert tuple(outputs.shape) == (batch, *others[-1])


@pytest.mark.parametrize("wiring", ["1 to N", "N to 1"])
def test_the_styles_train_alike(wiring):
    """After a step of SGD the weights are the same: so are the gradients."""
    first, *_, last = recipe.SHAPES[wiring]
    generator = np.random.default_rng(0)
    x = generator.normal(size=(5, *first)).astype("float32")
    y = generator.normal(size=(5, *last)).astype("float32")
    found = []
    for make in (
        recipe.build_model,
        recipe.build_functional,
        recipe.Subclassed,
    ):
        model = make(wiring)
        model(x)
        model.set_weights(found[0][0] if found else model.get_weights())
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(1.0), "mse")
        model.train_on_batch(x, y)
        found.append((before, model.get_weights()))
    for _, after in found[1:]:
        for one, other in zip(after, found[0][1], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("state", [True, False])
def test_who_has_a_state_sees_what_was_before(state):
    """Of two sequences that differ in their first step."""
    keras.utils.set_random_seed(0)
    model = recipe.build_model("N to N", state)
    x = np.ones((2, 8, 1), "float32")
    x[0, 0] = 0.0
    one, other = ops.convert_to_numpy(model(x))
    assert np.abs(one - other)[0].max() > 1e-3
    assert (np.abs(one - other)[1:].max() > 1e-4) == state


def test_words():
    x, y = recipe.load("1 to 1", 1)[1]
    same, letters = recipe.load("1 to N", 1)[1]
    np.testing.assert_array_equal(x, same)
    assert letters.shape == (len(y), 5) and len(recipe.LETTERS) == 16
    words = recipe.WORDS.split()
    said = ["".join(recipe.LETTERS[code] for code in row) for row in letters]
    assert [word.strip() for word in said] == [words[n] for n in y]


def test_odd_numbers_of_ones():
    (x, y), _ = recipe.load("N to N", 2)
    for bits, labels in zip(x[:20, :, 0], y[:20], strict=True):
        assert [sum(bits[: n + 1]) % 2 for n in range(8)] == list(labels)


def test_the_echo_is_what_was_read():
    (x, y), (x_test, _) = recipe.load("N/2 to N/2", 2)
    assert x.shape == (2000, 9, 6) and x_test.shape == (500, 9, 6)
    codes = x.argmax(axis=-1)
    np.testing.assert_array_equal(codes[:, :4], y + 1)
    assert (codes[:, 4] == 5).all() and (codes[:, 5:] == 0).all()


def test_targets_fit_the_last_layer():
    for wiring, (*_, last) in recipe.SHAPES.items():
        for _, y in recipe.load(wiring, 0):
            assert y.shape[1:] == last[:-1]
            assert y.min() == 0 and y.max() == last[-1] - 1
