"""What the recipe makes labels of, and its formulas, without training."""

import numpy as np
import pytest

from kerasrecipes.recipes.evaluation.soft_labels import (
    SMOOTHING,
    VARIANTS,
    blend,
    cross_entropy,
    entropy,
    log_softmax,
    make_labels,
    measure,
)


def make_shares(examples=2000, seed=0):
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(10), examples)


def test_blends_are_shares_of_two_digits():
    generator = np.random.default_rng(0)
    y = np.arange(40) % 10
    x = np.eye(10)[y]  # a picture is its digit: the blend is its own label
    pictures, p = blend(x, y, generator, times=5)
    assert pictures.shape == p.shape == (200, 10)
    assert pictures.dtype == "float32"
    np.testing.assert_allclose(pictures, p, atol=1e-7)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-12)
    assert (np.count_nonzero(p, axis=-1) <= 2).all()
    np.testing.assert_array_equal(p.argmax(-1), np.tile(y, 5))


@pytest.mark.parametrize("label", [one["label"] for one in VARIANTS.values()])
@pytest.mark.parametrize("votes", [1, 3, 9])
def test_labels_are_probabilities(votes, label):
    p = make_shares()
    labels = make_labels(p, votes, label, np.random.default_rng(1))
    assert labels.shape == p.shape
    assert labels.min() >= 0
    np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-12)


def test_labels_come_of_the_same_votes():
    p = make_shares()
    found = {
        label: make_labels(p, 9, label, np.random.default_rng(1))
        for label in ("soft", "majority", "smoothed", "one vote")
    }
    counts = 9 * found["soft"]
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    rows = np.arange(len(p))
    said = found["majority"].argmax(-1)
    np.testing.assert_array_equal(found["soft"][rows, said], counts.max(-1) / 9)
    first = found["one vote"].argmax(-1)
    assert (found["soft"][rows, first] > 0).all()
    expected = 0.9 * found["majority"] + 0.01
    assert SMOOTHING == 0.1
    np.testing.assert_allclose(found["smoothed"], expected, rtol=1e-12)


@pytest.mark.parametrize("label", ["soft", "one vote"])
def test_votes_are_right_on_average_and_a_majority_is_not(label):
    """Five standard errors of 20,000 votes or more are 0.018 at most."""
    p = np.tile([0.6, 0.4] + [0.0] * 8, (20000, 1))
    labels = make_labels(p, 9, label, np.random.default_rng(1))
    np.testing.assert_allclose(labels.mean(0), p[0], atol=0.018)
    majority = make_labels(p, 9, "majority", np.random.default_rng(1))
    assert majority.mean(0)[0] > 0.7


def test_divergence_is_never_negative_and_zero_at_the_label():
    p, q = make_shares(50), make_shares(50, seed=1)
    divergence = cross_entropy(p, np.log(q)) - entropy(p)
    assert divergence.min() > 0
    np.testing.assert_allclose(cross_entropy(p, np.log(p)), entropy(p))
    expected = np.sum(p * np.log(p / q), axis=-1)
    np.testing.assert_allclose(divergence, expected, rtol=1e-9)


def test_entropy_of_a_class_is_zero():
    np.testing.assert_array_equal(entropy(np.eye(3)), 0)
    assert entropy(np.full((1, 4), 0.25))[0] == pytest.approx(np.log(4))


def test_the_slope_for_logits_is_the_difference_of_probabilities():
    generator = np.random.default_rng(0)
    z, p, tiny = generator.normal(size=5), make_shares(1)[0, :5], 1e-6
    p = p / p.sum()
    differences = [
        cross_entropy(p, log_softmax(z + tiny * one))
        - cross_entropy(p, log_softmax(z - tiny * one))
        for one in np.eye(5)
    ]
    found = np.array(differences) / (2 * tiny)
    expected = np.exp(log_softmax(z)) - p
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_facts():
    found = measure(seed=3)
    expected = dict.fromkeys(found, 0)
    expected |= {"refused": 1, "cut": 0.7 * np.log(9), "weight": 3}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-5), name
