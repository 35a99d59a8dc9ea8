"""Treatments of class imbalance: rows, scores and thresholds by hand."""

import keras
import numpy as np
import pytest

from kerasrecipes.recipes.evaluation import class_imbalance as recipe

# Chances of three classes with the shares 1/6, 1/3 and 1/2 in training.
P = np.array([[0.2, 0.3, 0.5], [0.1, 0.6, 0.3], [0.25, 0.35, 0.4]])
Y = np.repeat([0, 1, 2], [1, 2, 3])


class Answers:
    """A model that says the same of every image, given by its number."""

    def __init__(self, logits):
        self.logits = np.asarray(logits, dtype="float32")

    def __call__(self, numbers):
        return keras.ops.convert_to_tensor(self.logits[numbers])


@pytest.mark.parametrize("seed", [0, 7])
def test_facts_hold(seed):
    found = recipe.measure(seed)
    moved = found.pop("normalised")
    assert all(abs(value) <= 1e-12 for value in found.values()), found
    assert moved > 0


def test_scores_by_hand():
    """Image 0 is of class 0, and two others of theirs; odds decide."""
    model = Answers(np.log(P))
    data = np.array([0, 1, 1, 2, 2, 2]), Y
    test = np.array([0, 1, 2]), np.array([0, 1, 2])
    found = recipe.score(model, data, test, own=np.ones(3))
    # It answers 2, 1, 2; divided by the shares, 0, 1, 0.
    assert found["accuracy"] == found["matched"] == pytest.approx(2 / 3)
    assert found["thresholded"] == pytest.approx(2 / 3)
    assert found["gain"] == pytest.approx(0)
    # F1 of the classes: 0, 1, and 2/3 (one of two answers right).
    assert found["F1"] == pytest.approx((0 + 1 + 2 / 3) / 3)
    # Chances of class 0 rank image 2 first: one of two pairs is right.
    assert found["ROC AUC"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    # Of the training images all are right but that of class 0.
    assert found["gap"] == pytest.approx(2 / 3 - 2 / 3)
    found = recipe.score(model, data, test, own=np.array([1, 2, 3]))
    assert found["matched"] == found["thresholded"]


def test_probabilities():
    p, answers = recipe.predict(Answers(np.log(P) + 80), np.arange(3))
    assert p.dtype == "float64"
    np.testing.assert_allclose(p, P, atol=1e-5)
    np.testing.assert_array_equal(answers, [2, 1, 2])
    # Logits whose exponential is no finite number any more.
    p, _ = recipe.predict(Answers([[1000.0, 0.0]]), np.array([0]))
    np.testing.assert_array_equal(p, [[1.0, 0.0]])


@pytest.fixture
def fits(monkeypatch):
    """What `fit` is called with, in place of training; then the shares."""
    calls = []

    def note(model, x, y, rows, steps, rate=recipe.RATE, **options):
        trained = [layer.trainable for layer in model.layers]
        calls.append((np.bincount(y[rows]), steps, rate, trained, options))

    monkeypatch.setattr(recipe, "fit", note)
    monkeypatch.setattr(recipe, "score", lambda *given: given[-1])
    return calls


def learn(treatment):
    x = np.zeros((63, 8, 8, 1), "float32")
    y = np.repeat([0, 1, 2], [3, 20, 40])
    return recipe.learn(x, y, None, 0, 100, treatment)


@pytest.mark.parametrize(
    ("treatment", "counts", "own"),
    [
        ("none", [3, 20, 40], [3, 20, 40]),
        ("oversampling", [40, 40, 40], [1, 1, 1]),
        ("undersampling", [3, 3, 3], [1, 1, 1]),
    ],
)
def test_rows_that_a_treatment_trains_on(treatment, counts, own, fits):
    np.testing.assert_array_equal(learn(treatment), own)
    ((found, steps, rate, trained, options),) = fits
    np.testing.assert_array_equal(found, counts)
    assert (steps, rate) == (100, recipe.RATE) and all(trained)
    assert options == {"class_weight": None}


def test_class_weights(fits):
    np.testing.assert_array_equal(learn("class weights"), [1, 1, 1])
    ((counts, *_, options),) = fits
    np.testing.assert_array_equal(counts, [3, 20, 40])
    expected = {0: 63 / 9, 1: 63 / 60, 2: 63 / 120}
    assert options["class_weight"] == pytest.approx(expected)


def test_two_phases(fits):
    np.testing.assert_array_equal(learn("two phases"), [3, 20, 40])
    first, second = fits
    np.testing.assert_array_equal(first[0], [40, 40, 40])
    np.testing.assert_array_equal(second[0], [3, 20, 40])
    assert first[1] == second[1] == 50
    assert second[2] == first[2] / 10
    assert all(first[3])
    assert second[3] == [False] * (len(second[3]) - 1) + [True]


def test_fit_takes_the_steps_and_shows_rows_equally_often():
    x = np.arange(4.0)[:, np.newaxis].astype("float32")
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    seen = []

    def note(images, targets, **options):
        seen.append(images[:, 0])

    model.fit = note
    recipe.fit(model, x, x[:, 0], np.array([0, 2, 3]), 6, loss="mse")
    values, times = np.unique(seen, return_counts=True)
    np.testing.assert_array_equal(values, [0, 2, 3])
    np.testing.assert_array_equal(times, 100)  # 6 steps of 50 images


def test_in_the_second_phase_the_last_layer_alone_learns():
    keras.utils.set_random_seed(0)
    model = recipe.build_model(3)
    before = model.get_weights()
    for layer in model.layers[:-1]:
        layer.trainable = False
    x = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype("float32")
    recipe.fit(model, x, Y, np.arange(6), 2)
    changed = [
        not np.array_equal(one, other)
        for one, other in zip(before, model.get_weights(), strict=True)
    ]
    assert changed == [False] * 6 + [True] * 2
