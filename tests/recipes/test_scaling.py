"""Scalers of the recipe by hand, and windows that do not look ahead."""

import numpy as np
import pytest

from kerasrecipes.datasets import load_monthly_stocks
from kerasrecipes.recipes.preparation import scaling as recipe

X = np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 50.0], [6.0, 110.0]])
X_TEST = np.array([[0.0, 70.0]])


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("raw", [0, 70]),
        # Means 3 and 50; variances 3.5 and (1600 + 400 + 0 + 3600) / 4.
        ("standard", [-3 / np.sqrt(3.5), 20 / np.sqrt(1400)]),
        ("min-max", [-1 / 5, 60 / 100]),
        # Quartiles of four numbers, between the first two and the last two:
        # 1.75, 2.5, 3.75 and 25, 40, 65.
        ("robust", [-2.5 / 2, 30 / 40]),
    ],
)
def test_scalers_by_hand(scaling, expected):
    _, x_test = recipe.scale(scaling, X, X_TEST)
    np.testing.assert_allclose(x_test[0], expected, rtol=1e-12)


def test_windows_of_the_index():
    past, future = recipe.load_windows("S&P 500", seed=2)
    (_, prices), (_, later) = load_monthly_stocks(["^GSPC"], fold=2)
    assert past.shape == (len(prices) - 12, 13, 1)
    # Each of the months to come is forecast once, from the twelve before it.
    np.testing.assert_array_equal(future[:, -1], np.log(later))
    np.testing.assert_array_equal(past[-1], np.log(prices[-13:]))
    np.testing.assert_array_equal(future[0, :-1], np.log(prices[-12:]))


def test_windows_of_the_eeg():
    past, future = recipe.load_windows("EEG", seed=2)
    assert past.shape[1:] == future.shape[1:] == (13, 4)


def test_a_leak_keeps_the_test_part_in_its_range():
    arguments = {"seed": 9, "epochs": 1, "series": "S&P 500", "low": -1}
    honest = recipe.train_lstm(**arguments)
    leaking = recipe.train_lstm(**arguments, leaks=True)
    assert leaking["beyond the range"] == 0
    assert honest["beyond the range"] > 0.5
