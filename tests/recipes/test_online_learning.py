"""The stream of tastes, and learners on streams that are known."""

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

from kerasrecipes.datasets import load_digits
from kerasrecipes.recipes.preparation import online_learning as recipe


def test_tastes_of_a_sudden_change():
    x, liked, is_new = recipe.make_stream(300, 1, seed=2)
    (known, digits), _ = load_digits(fold=2, flat=True)
    assert is_new.tolist() == [False] * 150 + [True] * 150
    for row, like, new in zip(x, liked, is_new, strict=True):
        (digit,) = {*digits[np.all(known == row, axis=1)].tolist()}
        assert like == (digit % 2 if new else digit < 5)


def test_a_gradual_change_is_half_done_in_the_middle():
    _, _, is_new = recipe.make_stream(100_000, 50_000, seed=2)
    assert not is_new[:25_000].any()
    assert is_new[75_000:].all()
    # Four standard errors of 10,000 coins.
    assert np.mean(is_new[45_000:55_000]) == pytest.approx(0.5, abs=0.02)


def test_following_asks_before_it_learns():
    """A label that flips each time is always told wrong by a memory of one."""

    class Last:
        def predict(self, row):
            return [self.coef_]

        def partial_fit(self, row, label, classes):
            self.coef_ = label[0]

    x = np.zeros((9, 1))
    assert recipe.follow(Last(), x, np.arange(9) % 2) == 0
    # The first answer of all is nobody's.
    assert recipe.follow(Last(), x, np.ones(9)) == pytest.approx(8 / 9)


def test_following_trains_scikit_learn_as_it_does_itself():
    x, y, _ = recipe.make_stream(300, 1, seed=0)
    followed = SGDClassifier(loss="log_loss", random_state=1)
    recipe.follow(followed, x, y)
    alone = SGDClassifier(loss="log_loss", random_state=1)
    for row, label in zip(x[:, None], y, strict=True):
        alone.partial_fit(row, [label], classes=[0, 1])
    np.testing.assert_array_equal(followed.coef_, alone.coef_)
