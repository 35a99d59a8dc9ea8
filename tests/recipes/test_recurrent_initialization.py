"""Starts of the weights, and a network whose inputs are normalized."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.recurrent import recurrent_initialization as recipe


def test_facts():
    found = recipe.measure(seed=5)
    assert found["variance"] < 0.035
    assert found["norm"] < 1e-5
    assert found["blocks"] == 0
    assert found["tenfold"] < 1e-4
    assert abs(found["size, epsilon 1e-07"] - 1) < 0.01
    assert found["size, epsilon 0.001"] < 0.5


@pytest.mark.parametrize("start", recipe.STARTS)
def test_spread_of_each_start(start):
    """What each initializer draws, against its rule."""
    keras.utils.set_random_seed(0)
    model = recipe.build_model(layers.GRUCell, False, 128, start)
    kernel, recurrent, *_ = model.get_weights()
    number = recipe.STARTS[start][0]
    # He's normal distribution is cut off, but its variance is kept.
    sizes = {
        "Xavier": (np.sqrt(2 / (8 + 3 * 128)), np.sqrt(1 / (3 * 128))),
        "He": (np.sqrt(2 / 8), np.sqrt(2 / 128)),
    }.get(start, (number, number))
    np.testing.assert_allclose(kernel.std(), sizes[0], rtol=0.06)
    np.testing.assert_allclose(recurrent.std(), sizes[1], rtol=0.02)


@pytest.mark.parametrize("cell", recipe.BLOCKS)
def test_normalized_network_is_the_cell_behind_a_projection(cell):
    keras.utils.set_random_seed(1)
    model = recipe.build_model(cell, True, 16)
    x = np.random.default_rng(1).normal(size=(20, 8, 8)).astype("float32")
    projection = model.get_weights()[0]
    z = x @ projection
    z = (z - z.mean((0, 1))) / np.sqrt(z.var((0, 1)) + recipe.EPSILON)
    # The cell, with a kernel that does nothing.
    *_, kernel, recurrent, bias, dense, shift = model.get_weights()
    np.testing.assert_array_equal(kernel, np.eye(recipe.BLOCKS[cell] * 16))
    plain = layers.RNN(cell(16))
    plain.build(z.shape)
    plain.set_weights([kernel, recurrent, bias])
    expected = ops.convert_to_numpy(plain(z.astype("float32"))) @ dense + shift
    found = ops.convert_to_numpy(model(x, training=True))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_identity_is_not_trained():
    model = recipe.build_model(recipe.MGUCell, True)
    model.compile("sgd", "mse")
    before = model.layers[-2].cell.kernel.numpy()
    x = np.random.default_rng(2).normal(size=(20, 8, 8))
    model.fit(x, np.ones((20, 10)), verbose=0)
    kernel, *_ = model.layers[-2].get_weights()
    np.testing.assert_array_equal(kernel, before)
    assert model.layers[-2].cell.recurrent_kernel.trainable


def test_a_start_is_the_same_whatever_came_before_it():
    """Nothing is left of the first training: neither weights nor moments."""
    arguments = {"epochs": 1, **recipe.VARIANTS["MGU, batch norm"]}
    both = recipe.train(3, **arguments, starts=["Xavier", "He"])
    alone = recipe.train(3, **arguments, starts=["He"])
    assert both["He"] == alone["He"]
    assert both["Xavier less He"] == both["Xavier"] - both["He"]
    assert both["spread"] == abs(both["Xavier less He"])
