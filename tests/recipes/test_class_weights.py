"""Class weights against sample counts by hand, and losses in NumPy."""

import warnings

import keras
import numpy as np
import pytest

from kerasrecipes.recipes.evaluation import class_weights
from kerasrecipes.recipes.evaluation.class_weights import step

# Four of class 0 and two of class 1, not in order.
Y = np.array([0, 1, 0, 0, 1, 0])
WEIGHTS = {0: 0.5, 1: 4.0}


@pytest.fixture
def x():
    return np.random.default_rng(3).normal(size=(6, 3)).astype("float32")


def numpy_steps(x, y, weights, steps=1, total=None):
    """Losses, then kernel and bias, of weighted logistic regression.

    The sum of weighted losses is divided by `total`, by default the number
    of examples, whatever they weigh.
    """
    design = np.column_stack([x, np.ones(len(x))]).astype("float64")
    theta, losses = np.zeros(design.shape[1]), []
    for _ in range(steps):
        p = 1 / (1 + np.exp(-design @ theta))
        each = -(y * np.log(p) + (1 - y) * np.log(1 - p))
        losses.append(np.sum(weights * each) / (total or len(y)))
        theta = theta - design.T @ (weights * (p - y)) / (total or len(y))
    return np.array([*losses, *theta])


# ----------------------------------------------------------------------
# Balanced weights


def test_balanced_weights_by_hand():
    # 6 examples, 2 classes: 6 / (2 * 4) and 6 / (2 * 2).
    assert class_weights.balanced_weights(Y) == {0: 0.75, 1: 1.5}
    # Three classes of 1, 2 and 5 examples; labels need not begin at 0.
    labels = np.array([7, 2, 5, 7, 2, 7, 7, 7])
    expected = {2: 8 / (3 * 2), 5: 8 / (3 * 1), 7: 8 / (3 * 5)}
    found = class_weights.balanced_weights(labels)
    assert found == pytest.approx(expected, rel=1e-12)
    # Keras looks labels up as Python's integers.
    assert all(type(label) is int for label in found)
    totals = [found[label] * np.sum(labels == label) for label in found]
    np.testing.assert_allclose(totals, 8 / 3, rtol=1e-12)
    # The mean weight is 1, so that the loss keeps its size.
    assert np.mean(class_weights.weigh(labels, found)) == pytest.approx(1)


@pytest.mark.parametrize("balanced", [False, True])
def test_weights_in_the_loss_of_a_step(balanced, x):
    weights = class_weights.balanced_weights(Y) if balanced else WEIGHTS
    each = np.where(Y == 1, weights[1], weights[0])
    expected = numpy_steps(x, Y, each, steps=3)
    by_class = step(x, Y, class_weight=weights, epochs=3)
    np.testing.assert_allclose(by_class, expected, atol=1e-6)
    by_sample = step(x, Y, sample_weight=each, epochs=3)
    np.testing.assert_allclose(by_sample, by_class, atol=1e-6)
    # At 1/2 the loss is log 2 times the mean weight: 1 if it is balanced,
    # else (4 * 0.5 + 2 * 4) / 6.
    mean = 1 if balanced else 10 / 6
    assert by_class[0] == pytest.approx(mean * np.log(2), abs=1e-6)


def test_targets_of_one_column_and_one_hot_targets(x):
    expected = step(x, Y, class_weight=WEIGHTS)
    column = step(x, Y[:, None], class_weight=WEIGHTS)
    np.testing.assert_allclose(column, expected, atol=1e-6)
    model = keras.Sequential(
        [
            keras.layers.Input((3,)),
            keras.layers.Dense(
                2, activation="softmax", kernel_initializer="zeros"
            ),
        ]
    )
    model.compile(keras.optimizers.SGD(1.0), "categorical_crossentropy")
    history = model.fit(
        x, np.eye(2)[Y], class_weight=WEIGHTS, batch_size=6, verbose=0
    )
    loss = history.history["loss"][0]
    assert loss == pytest.approx(expected[0], abs=1e-6)


# ----------------------------------------------------------------------
# Copies


def test_an_example_of_weight_w_and_w_copies(x):
    copies = np.where(Y == 1, 3, 2)  # 4 * 2 + 2 * 3 = 14 in all
    many = np.repeat(x, copies, axis=0), np.repeat(Y, copies)
    assert len(many[0]) == 14
    copied = step(*many)
    np.testing.assert_allclose(copied, numpy_steps(*many, 1.0), atol=1e-6)

    weights = {0: 2.0, 1: 3.0}
    weighted = step(x, Y, class_weight=weights)
    np.testing.assert_allclose(weighted * 6 / 14, copied, atol=1e-6)

    # Divided by the sum of the weights there is no factor, at any step.
    loss = keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")
    found = step(x, Y, class_weight=weights, loss=loss, epochs=3)
    copied = step(*many, epochs=3)
    np.testing.assert_allclose(found, copied, atol=1e-6)
    expected = numpy_steps(x, Y, copies, steps=3, total=14)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# ----------------------------------------------------------------------
# Probabilities


def test_correction_by_counts():
    """In a world with as many of class 1, odds are the weights' ratio up."""
    # Of 120 examples that look alike, 100 are of class 0 and 20 of class 1.
    # Weighted, they count 100 * 0.5 against 20 * 4.
    p = 80 / (80 + 50)
    assert class_weights.correct(p, WEIGHTS) == pytest.approx(20 / 120)
    # Balanced weights make 1/2 of what looks like the whole training set.
    balanced = class_weights.balanced_weights(Y)
    assert class_weights.correct(0.5, balanced) == pytest.approx(2 / 6)


def test_correction_of_odds_and_order():
    p = np.linspace(0, 1, 101)
    found = class_weights.correct(p, WEIGHTS)
    assert found[0] == 0 and found[-1] == 1
    assert np.all(np.diff(found) > 0)  # so that ROC AUC cannot change
    odds = found[1:-1] / (1 - found[1:-1])
    expected = p[1:-1] / (1 - p[1:-1]) * 0.5 / 4.0
    np.testing.assert_allclose(odds, expected, rtol=1e-9)
    np.testing.assert_allclose(class_weights.correct(p, {0: 1, 1: 1}), p)


# ----------------------------------------------------------------------
# Weights for each label


def test_weigh():
    labels = np.array([[2, 0, 2], [5, 2, 0]])
    found = class_weights.weigh(labels, {0: 0.25, 2: 1.0, 5: 8, 9: 3.0})
    assert found.dtype == "float32"
    expected = [[1, 0.25, 1], [8, 1, 0.25]]
    np.testing.assert_array_equal(found, expected)
    assert class_weights.weigh(labels[:0], {}).shape == (0, 3)


@pytest.mark.parametrize(
    ("weights", "missing"),
    [
        ({0: 1.0}, "[1, 4]"),
        ({0: 1.0, 4: 2.0, 3: 1.0}, "[1]"),
        ({"0": 1.0, "1": 1.0, "4": 1.0}, "[0, 1, 4]"),
    ],
)
def test_a_class_without_a_weight_is_an_error(weights, missing):
    with pytest.raises(ValueError) as error:
        class_weights.weigh(np.array([[0, 1], [4, 1]]), weights)
    assert str(error.value) == (
        "Invalid value for argument `weights`: expected a weight for each "
        f"class in [0, 1, 4]. Received: none for {missing}"
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({1: 4.0}, {0: 1.0, 1: 4.0}),
        ({}, {0: 1.0, 1: 1.0}),
        ({"0": 0.5, "1": 4.0}, {0: 1.0, 1: 1.0}),
        ({**WEIGHTS, 2: 100.0}, WEIGHTS),
    ],
)
def test_what_keras_takes_in_silence(given, meant, x):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = step(x, Y, class_weight=given)
    each = np.where(Y == 1, meant[1], meant[0])
    np.testing.assert_allclose(found, numpy_steps(x, Y, each), atol=1e-6)


@pytest.fixture
def sequences(x):
    """Three sequences of two steps, with labels of shape (3, 2)."""
    return x.reshape(3, 2, 3), Y.reshape(3, 2)


def test_a_weight_for_each_step(x, sequences):
    x_steps, labels = sequences
    own = np.array([[1.0, 0.0], [3.0, 0.5], [2.0, 7.0]])  # no class weights
    found = step(x_steps, labels[:, :, None], sample_weight=own)
    expected = numpy_steps(x, Y, own.ravel())
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_labels_of_sequences_are_taken_for_one_hot(x, sequences):
    """A sequence's class is the place of its largest label."""
    x_steps, labels = sequences  # [0, 1], [0, 0] and [1, 0]
    found = step(x_steps, labels, class_weight=WEIGHTS)
    read = np.repeat([WEIGHTS[1], WEIGHTS[0], WEIGHTS[0]], 2)
    np.testing.assert_allclose(found, numpy_steps(x, Y, read), atol=1e-6)
    meant = np.where(Y == 1, WEIGHTS[1], WEIGHTS[0])
    assert np.abs(found - numpy_steps(x, Y, meant)).max() > 0.1


def test_several_outputs(x):
    others = np.array([1.0, 0.0, 2.0, 5.0, 0.5, 1.0])
    each = {"a": class_weights.weigh(Y, WEIGHTS), "b": others}
    found = step(x, {"a": Y, "b": 1 - Y}, sample_weight=each)
    first = numpy_steps(x, Y, each["a"])
    second = numpy_steps(x, 1 - Y, others)
    expected = [first[0] + second[0], *first[1:], *second[1:]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("nested", [False, True])
def test_several_outputs_take_no_class_weights(nested, x):
    weights = {"a": WEIGHTS, "b": WEIGHTS} if nested else WEIGHTS
    with pytest.raises(ValueError, match="`class_weight` is only supported"):
        step(x, {"a": Y, "b": Y}, class_weight=weights)


def test_other_refusals(x, sequences):
    with pytest.raises(ValueError, match="`class_weight` and `sample_weight`"):
        step(x, Y, class_weight=WEIGHTS, sample_weight=np.ones(6))
    with pytest.raises(ValueError, match="`class_weight` is not supported"):
        step(x, Y, class_weight=WEIGHTS, stream=True)
    x_steps, labels = sequences
    with pytest.raises(TypeError) as error:
        step(x_steps, labels[:, :, None], class_weight=WEIGHTS)
    assert "class_weight" not in str(error.value)


# ----------------------------------------------------------------------
# Validation


@pytest.mark.parametrize("weighted", [False, True])
def test_validation_loss(weighted, x):
    """On other data than those of training."""
    x_val = np.random.default_rng(8).normal(size=(5, 3)).astype("float32")
    y_val = np.array([1, 0, 0, 1, 0])
    each = np.where(y_val == 1, 4.0, 0.5)
    data = (x_val, y_val, each) if weighted else (x_val, y_val)
    loss, found, *theta = step(x, Y, class_weight=WEIGHTS, validation_data=data)
    assert loss == pytest.approx(10 / 6 * np.log(2), abs=1e-6)
    p = 1 / (1 + np.exp(-(x_val @ theta[:3] + theta[3])))
    losses = -np.log(np.where(y_val == 1, p, 1 - p))
    expected = np.mean(losses * each if weighted else losses)
    assert found == pytest.approx(expected, abs=1e-6)


# ----------------------------------------------------------------------
# The recipe's trials


@pytest.mark.parametrize("balanced", [False, True])
def test_a_trial(balanced):
    found = class_weights.train(seed=1, epochs=1, units=0, balanced=balanced)
    curves = found.pop("curves")
    assert all(0 <= score <= 1 for score in found.values())
    for curve in curves.values():
        assert len(curve) == 99 and np.all(np.diff(curve) <= 0)
    assert curves["8s"][49] == found["recall"]  # a threshold of 0.5
    if balanced:
        assert found["Brier, corrected"] != found["Brier"]
    else:
        assert found["Brier, corrected"] == found["Brier"]


def test_rare_class_share_by_counts():
    """18 examples that weigh 1 and 6 that weigh 24 / (2 * 6) = 2."""
    found = class_weights.measure(0)
    assert found["share"] == pytest.approx(12 / (18 + 12), abs=1e-6)
