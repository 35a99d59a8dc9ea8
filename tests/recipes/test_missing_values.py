"""Holes and what fills them, by hand and by scikit-learn."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.impute import KNNImputer

from kerasrecipes.recipes.preparation import missing_values as recipe

X = np.random.default_rng(0).normal(size=(4000, 3))


@pytest.mark.parametrize("are_large", [False, True])
def test_as_many_are_lost_either_way(are_large):
    generator = np.random.default_rng(1)
    holes = recipe.make_holes(X, 0.3, are_large, generator)
    lost = np.isnan(holes)
    # Three standard errors of 12,000 values.
    assert np.mean(lost) == pytest.approx(0.3, abs=0.0125)
    np.testing.assert_array_equal(holes[~lost], X[~lost])
    below = np.median(X, axis=0) > X
    assert np.any(lost & below) != are_large


@pytest.mark.parametrize("way", ["mean", "indicators", "masked"])
def test_means_of_the_training_part_are_filled_in(way):
    x = np.array([[1.0, np.nan], [3.0, 4.0], [np.nan, 8.0]])
    x_test = np.array([[np.nan, np.nan]])
    filled, filled_test = recipe.fill(way, x, x_test, seed=0)
    np.testing.assert_array_equal(filled, [[1, 6], [3, 4], [2, 8]])
    np.testing.assert_array_equal(filled_test, [[2, 6]])


def test_neighbours_by_scikit_learn():
    holes = recipe.make_holes(X[:60], 0.3, False, np.random.default_rng(2))
    _, filled = recipe.fill("k-NN", holes[:50], holes[50:], seed=0)
    expected = KNNImputer(n_neighbors=10).fit(holes[:50]).transform(holes[50:])
    np.testing.assert_array_equal(filled, expected)


@pytest.mark.parametrize("way", ["k-NN", "iterative", "autoencoder"])
def test_what_is_there_stays_and_what_is_not_is_restored(way):
    x = load_breast_cancer().data[:, :10]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    holes = recipe.make_holes(x, 0.3, False, np.random.default_rng(3))
    keras.utils.set_random_seed(0)
    _, filled = recipe.fill(way, holes[:500], holes[500:], seed=0)
    truth, lost = x[500:], np.isnan(holes[500:])
    np.testing.assert_allclose(filled[~lost], truth[~lost], atol=1e-6)
    # The mean is off by 1; half of the columns all but follow from others.
    assert np.sqrt(np.mean((filled - truth)[lost] ** 2)) < 0.8


def test_error_of_known_values():
    y_true = np.array([[1.0, np.nan, 3.0], [np.nan] * 3])
    y_pred = np.array([[0.0, 7.0, 1.0], [1.0, 2.0, 3.0]])
    error = recipe.error_of_known(
        keras.ops.convert_to_tensor(y_true), keras.ops.convert_to_tensor(y_pred)
    )
    error = keras.ops.convert_to_numpy(error)
    np.testing.assert_allclose(error, [(1 + 4) / 3, 0], rtol=1e-6)
