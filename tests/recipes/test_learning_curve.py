"""Power laws of the recipe, and its nested training sets."""

import numpy as np
import pytest

from kerasrecipes.datasets import load_docstrings
from kerasrecipes.recipes.preparation import learning_curve as recipe


@pytest.mark.parametrize(("factor", "power"), [(3.0, 0.4), (0.5, 1.2), (2, 0)])
def test_a_known_law_is_found(factor, power):
    sizes = [50, 100, 400]
    errors = [factor * size**-power for size in sizes]
    found = recipe.fit_power_law(sizes, errors)
    assert found == pytest.approx((factor, power), abs=1e-9)


def test_the_fit_is_least_squares_of_logarithms():
    generator = np.random.default_rng(0)
    sizes = np.array([100, 200, 400, 800, 1600])
    errors = generator.uniform(0.01, 0.5, 5)
    matrix = np.stack([np.ones(5), -np.log(sizes)], axis=1)
    (height, power), *_ = np.linalg.lstsq(matrix, np.log(errors), rcond=None)
    found = recipe.fit_power_law(sizes, errors)
    assert found == pytest.approx((np.exp(height), power), rel=1e-9)


@pytest.mark.parametrize("data", recipe.LARGEST)
def test_shapes_and_sizes(data):
    (x, y), (x_test, y_test) = recipe.load(data, 200, seed=1)
    assert len(x) == len(y) == 200
    assert x.shape[1] == x_test.shape[1]
    assert len(x_test) == len(y_test)
    # Every class is there.
    assert set(y) == set(y_test)


def test_docstrings_are_zeros_and_ones():
    (x, _), _ = recipe.load("docstrings", 200, seed=1)
    assert set(np.unique(x)) == {0, 1}
    (texts, _), _ = load_docstrings(200, fold=1, words=recipe.WORDS)
    for row, text in zip(x, texts, strict=True):
        assert set(np.flatnonzero(row)) == set(text)


def test_each_size_begins_anew():
    """Two sizes that are one would end in one error, whatever came before."""
    results = [recipe.train(3, 5, "digits", units) for units in (8, 8)]
    assert results[0] == results[1]
