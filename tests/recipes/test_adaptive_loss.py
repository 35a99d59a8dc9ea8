"""The formulas that the recipe measures the helper by, and its trials."""

import math

import numpy as np
import pytest
from scipy import optimize

from kerasrecipes.recipes.evaluation import adaptive_loss as recipe

X = np.linspace(-7, 7, 57)


@pytest.mark.parametrize("alpha", [*recipe.FAMILY.values(), 1.5, -1e-6, 1e-6])
def test_slope_is_the_derivative(alpha):
    for x in X:
        (found,) = optimize.approx_fprime(
            [x], lambda v, a=alpha: recipe.by_cases(v, a).item(), 1e-7
        )
        assert found == pytest.approx(recipe.slope(x, alpha), abs=1e-5)


@pytest.mark.parametrize("alpha", [1.0, -2.0])
def test_named_losses_are_members_of_the_family(alpha):
    b = abs(alpha - 2)
    printed = b / alpha * ((X**2 / b + 1) ** (alpha / 2) - 1)
    np.testing.assert_allclose(recipe.by_cases(X, alpha), printed, atol=1e-14)


def test_the_family_has_every_fixed_variant():
    assert [*recipe.FAMILY.values()] == [2, 1, 0, -2, -math.inf]


def test_a_fixed_shape_and_a_learned_one():
    fixed = recipe.train(0, epochs=1, share=0.2, alpha="-inf")
    assert set(fixed) == {"RMSE"}
    learned = recipe.train(0, epochs=6, share=0.2)
    without = recipe.train(0, epochs=6, share=0.2, is_density=False)
    for scores in (learned, without):
        assert np.isfinite([*scores.values()]).all()
    assert 0 < learned["alpha"] < 1
    # Without log Z nothing holds the scale.
    assert learned["scale"] < without["scale"]


def test_a_step_of_descent():
    x = np.array([0.0, 0.5, 3.0, 1e4], "float32")
    found = recipe.descend(x, 0.0)
    np.testing.assert_allclose(found, x - 2 * x / (x**2 + 2), rtol=1e-6)
