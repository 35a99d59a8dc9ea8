import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.utils.extmath import softmax

from kerasrecipes.analysis import find_temperature

# Near its minimum a function is flat: a change of T by 1e-8 changes a loss near
# one by 1e-16 or so, which is no change in float64.
ERROR = 1e-7


def make_logits(scale=3.0, examples=300, classes=4, seed=0):
    """Logits that are twice as large as the labels make them out to be."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, scale, (examples, classes))
    passed = generator.random((examples, 1)) > softmax(logits / 2).cumsum(-1)
    return logits, passed[:, :-1].sum(-1)


@pytest.mark.parametrize("seed", range(3))
def test_no_temperature_nearby_has_a_lower_log_loss(seed):
    logits, y = make_logits(seed=seed)
    temperature = find_temperature(logits, y)
    least = log_loss(y, softmax(logits / temperature))
    for factor in (0.5, 0.99, 1.01, 2):
        assert log_loss(y, softmax(logits / temperature / factor)) > least


@pytest.mark.parametrize("classes", [2, 10])
def test_the_derivative_is_zero(classes):
    """At the minimum the label's logit is on average what is expected."""
    logits, y = make_logits(classes=classes)
    p = softmax(logits / find_temperature(logits, y))
    slopes = logits[np.arange(len(y)), y] - np.sum(p * logits, axis=-1)
    assert np.mean(slopes) == pytest.approx(0, abs=1e-5)


def test_finds_a_temperature_that_is_known():
    """Within five standard errors of 20,000 examples."""
    logits, y = make_logits(examples=20000)
    assert find_temperature(logits, y) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("scale", [0.1, 3, 10])
def test_scaled_logits_have_a_scaled_temperature(scale):
    logits, y = make_logits()
    expected = scale * find_temperature(logits, y)
    found = find_temperature(scale * logits, y)
    assert found == pytest.approx(expected, rel=ERROR)


def test_an_equal_shift_of_all_classes_changes_nothing():
    logits, y = make_logits()
    found = find_temperature(logits + 5 * y[:, None], y)
    assert found == pytest.approx(find_temperature(logits, y), rel=ERROR)


def test_huge_logits_do_not_overflow():
    logits, y = make_logits()
    with np.errstate(all="raise", under="ignore"):
        found = find_temperature(30 * logits, y)
    expected = 30 * find_temperature(logits, y)
    assert found == pytest.approx(expected, rel=ERROR)


def test_ends_where_no_temperature_is_best():
    y = np.array([0, 1, 2, 1])
    logits = np.eye(3)[y]
    assert find_temperature(logits, y) == pytest.approx(0.01)
    assert find_temperature(-logits, y) == pytest.approx(100)


@pytest.mark.parametrize("classes", [2, 4])
def test_equals_scikit_learn(classes):
    class Decided(ClassifierMixin, BaseEstimator):
        """A classifier whose inputs are its decisions."""

        def fit(self, x, y):
            self.classes_ = np.unique(y)
            return self

        def predict(self, x):
            return x.argmax(-1)

        def decision_function(self, x):
            return x if x.shape[1] > 2 else x[:, 1] - x[:, 0]

    logits, y = make_logits(classes=classes)
    known = FrozenEstimator(Decided().fit(logits, y))
    try:
        peer = CalibratedClassifierCV(known, method="temperature")
        peer.fit(logits, y)
    except ValueError:
        pytest.skip("scikit-learn has temperature scaling from 1.8 on.")
    expected = peer.predict_proba(logits)
    found = softmax(logits / find_temperature(logits, y))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("logits", "y", "message"),
    [
        (
            np.zeros(3),
            np.zeros(3, int),
            "Invalid value for argument `logits`: expected shape (examples, "
            "classes). Received: shape (3,)",
        ),
        (
            np.zeros((0, 3)),
            np.zeros(0, int),
            "Invalid value for argument `logits`: expected shape (examples, "
            "classes). Received: shape (0, 3)",
        ),
        (
            np.array([[0.0, np.inf]]),
            np.zeros(1, int),
            "Invalid value for argument `logits`: expected finite numbers. "
            "Received: NaN or infinity",
        ),
        (
            np.zeros((3, 2)),
            np.zeros((3, 2), int),
            "Invalid value for argument `y`: expected a label for each of 3 "
            "examples. Received: shape (3, 2)",
        ),
        (
            np.zeros((3, 2)),
            np.array([0, 1, 2]),
            "Invalid value for argument `y`: expected integers from 0 to 1. "
            "Received: 0 to 2",
        ),
        (
            np.zeros((3, 2)),
            np.array([0.0, 0.5, 1.0]),
            "Invalid value for argument `y`: expected integers from 0 to 1. "
            "Received: type float64",
        ),
        (
            np.zeros((3, 2)),
            ["cat", "dog", "cat"],
            "Invalid value for argument `y`: expected integers from 0 to 1. "
            "Received: type <U3",
        ),
        (
            np.zeros((2, 2)),
            [[0], [0, 1]],
            "Invalid value for argument `y`: expected an array of numbers. "
            "Received: list",
        ),
        (
            "logits",
            np.zeros(3, int),
            "Invalid value for argument `logits`: expected an array of "
            "numbers. Received: str",
        ),
        (
            {"logits": 1},
            np.zeros(3, int),
            "Invalid value for argument `logits`: expected an array of "
            "numbers. Received: dict",
        ),
    ],
)
def test_bad_arguments(logits, y, message):
    with pytest.raises(ValueError) as error:
        find_temperature(logits, y)
    assert str(error.value) == message
