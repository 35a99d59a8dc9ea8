"""The formulas that the recipe measures Keras' losses by, and its trials."""

import numpy as np
import pytest
from scipy import optimize, special

from kerasrecipes.recipes.evaluation import loss_functions as recipe


def make_batch(n=6, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.normal(0, 2, (n, classes))
    labels = generator.integers(0, classes, n)
    return np.eye(classes)[labels], z, labels


@pytest.mark.parametrize("name", recipe.LOSSES)
def test_gradient_by_hand_is_that_of_the_value_by_hand(name):
    y, z, _ = make_batch()
    _, gradient = recipe.by_hand(name, y, z)

    def total(flat):
        return recipe.by_hand(name, y, flat.reshape(z.shape))[0].sum()

    found = optimize.approx_fprime(z.ravel(), total, 1e-7)
    np.testing.assert_allclose(found, gradient.ravel(), atol=1e-5)


def test_values_by_hand_against_scipy():
    y, z, labels = make_batch()
    value, _ = recipe.by_hand("cross-entropy", y, z)
    expected = -special.log_softmax(z, -1)[np.arange(6), labels]
    np.testing.assert_allclose(value, expected, atol=1e-12)
    value, _ = recipe.by_hand("Huber", y, z)
    expected = special.huber(1.0, z - y).mean(-1)
    np.testing.assert_allclose(value, expected, atol=1e-12)


@pytest.mark.parametrize("name", recipe.LOSSES)
def test_a_step_of_keras(name):
    y, z, _ = make_batch(seed=1)
    found = recipe.descend(recipe.LOSSES[name], y, z)
    _, expected = recipe.by_hand(name, y, z)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_step_of_mse_on_softmax():
    y, z, _ = make_batch(seed=2)
    found = recipe.descend(recipe.LOSSES["MSE"], y, z, "softmax")
    p = special.softmax(z, -1)
    pull = 2 * (p - y) / z.shape[-1]
    expected = p * (pull - np.sum(p * pull, -1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_facts():
    facts = recipe.measure(3)
    for score in ("loss, off", "gradient, off", "sparse, off", "cost, off"):
        assert facts[score] < 1e-5
    assert facts["pull, off"] < 1e-5 and facts["pull of MSE"] < 1e-5


def test_trials_are_finite():
    for arguments in (
        {"loss": "squared hinge", "wrong": 0.4},
        {"loss": "cross-entropy", "is_imbalanced": True, "rate": 0.1},
    ):
        scores = recipe.train(0, 1, **arguments)
        assert 0 < scores["accuracy"] < 1
        assert 1 <= scores[recipe.SPEED] <= 2
    assert 40 < recipe.regress(0, 3, "Huber", outliers=0.2)["RMSE"] < 200
