"""What the recipe's treatments do, without training a network."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.utils.extmath import softmax

from kerasrecipes.recipes.evaluation.calibration import (
    VARIANTS,
    contain,
    fit_curve,
    measure,
    treat,
)


def make_logits(seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (500, 4))
    passed = generator.random((500, 1)) > softmax(logits / 2).cumsum(-1)
    return logits, passed[:, :-1].sum(-1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_treatments_give_probabilities(variant):
    held, y_held = make_logits(0)
    logits, _ = make_logits(1)
    p = treat(VARIANTS[variant]["treatment"], held, y_held, logits)
    assert p.shape == logits.shape
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-12)
    if variant in ("as trained", "temperature", "sharpened"):
        np.testing.assert_array_equal(p.argmax(-1), logits.argmax(-1))
    if variant == "constant":
        shares = np.bincount(y_held) / 500
        np.testing.assert_array_equal(p, np.tile(shares, (500, 1)))


@pytest.mark.parametrize("treatment", ["Platt", "isotonic"])
def test_curves_rise_and_are_right_on_average(treatment):
    logits, y = make_logits(0)
    z, is_class = logits[:, 0], y == 0
    curve = fit_curve(treatment, z, is_class)
    p = curve(np.sort(z))
    assert (np.diff(p) >= 0).all()
    # Both have that at the minimum of what they minimise.
    assert np.mean(curve(z)) == pytest.approx(is_class.mean(), abs=1e-3)


def test_isotonic_curve_is_that_of_its_own_class():
    logits, y = make_logits(0)
    peer = IsotonicRegression().fit(logits[:, 2], y == 2)
    found = fit_curve("isotonic", logits[:, 2], y == 2)(logits[:, 2])
    np.testing.assert_array_equal(found, peer.predict(logits[:, 2]))


def test_words_are_marked_once():
    found = contain(np.array([[5, 5, 1, 0], [1999, 2, 0, 0]]))
    assert found.shape == (2, 2000)
    assert [*np.flatnonzero(found[0])] == [5]
    assert [*np.flatnonzero(found[1])] == [2, 1999]
    assert set(found.ravel()) == {0, 1}


def test_facts():
    found = measure(seed=3)
    expected = {
        "metric": 0,
        "1 on its own": 0.05,
        "0 left out": -0.5,
        "AUC": 0,
        "order": 0,
        "sharpened": 3,
        "hidden": 0.2,
        "Brier of 5 %": 0.0475,
        "ECE of 5 %": 0,
        "AUC of 5 %": 0.5,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
