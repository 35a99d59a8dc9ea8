"""The recipe's pictures, index, clusters and formulas, without training."""

import numpy as np
import pytest

from kerasrecipes.recipes.evaluation.fuzzy_labels import (
    FUZZIFIER,
    cross_entropy,
    fuzzy_c_means,
    fuzzy_jaccard,
    measure,
    memberships,
    overlay,
    rank_correlation,
)


def make_clusters(seed=0):
    generator = np.random.default_rng(seed)
    places = np.array([[0, 0], [8, 0], [0, 8]])
    return generator.normal(size=(90, 2)) + np.repeat(places, 30, axis=0)


def test_overlaid_pictures_are_as_strong_as_their_degrees():
    y = np.arange(40) % 10
    x = np.eye(10)[y]  # a picture is its digit: the overlay is its own label
    pictures, d = overlay(x, y, np.random.default_rng(0), times=5)
    assert pictures.shape == d.shape == (200, 10)
    assert pictures.dtype == "float32"
    np.testing.assert_allclose(pictures, d, atol=1e-7)
    assert d.min() >= 0 and d.max() <= 1
    assert (np.count_nonzero(d, axis=-1) <= 2).all()
    assert (d[np.arange(200), np.tile(y, 5)] > 0).all()
    assert d.sum(-1).min() < 0.5 < 1.5 < d.sum(-1).max()


def test_jaccard_by_hand():
    d, p = np.array([0.5, 0.2, 0.0]), np.array([0.4, 0.6, 0.0])
    assert fuzzy_jaccard(d, p) == pytest.approx(0.6 / 1.1)
    assert fuzzy_jaccard(p, d) == fuzzy_jaccard(d, p)
    assert fuzzy_jaccard(d, d) == 1
    assert fuzzy_jaccard(d, 0 * d) == 0
    assert fuzzy_jaccard(0 * d, 0 * d) == 1


def test_rank_correlation_sees_order_alone():
    generator = np.random.default_rng(0)
    a = generator.normal(size=(20, 3))
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)


def test_slope_for_logits_is_output_less_degree():
    generator = np.random.default_rng(0)
    z, d, tiny = generator.normal(size=5), generator.random(5), 1e-6

    def loss(z):
        return 5 * cross_entropy(d, 1 / (1 + np.exp(-z)))

    found = [
        (loss(z + tiny * one) - loss(z - tiny * one)) / (2 * tiny)
        for one in np.eye(5)
    ]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-z)) - d, atol=1e-8)


def test_memberships_follow_the_textbook_formula():
    x, centres = make_clusters()[:7], np.array([[0.0, 1], [7, 1], [1, 7]])
    found = memberships(x, centres)
    for i, row in enumerate(x):
        away = np.linalg.norm(row - centres, axis=1)
        for k in range(3):
            ratios = (away[k] / away) ** (2 / (FUZZIFIER - 1))
            assert found[i, k] == pytest.approx(1 / ratios.sum(), rel=1e-6)


def test_an_example_at_a_centre_belongs_to_it_alone():
    centres = np.array([[0.0, 1], [7, 1], [1, 7]])
    found = memberships(centres, centres)
    np.testing.assert_allclose(found, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_c_means_finds_clusters_and_never_gets_worse(seed):
    x = make_clusters(seed)
    generator = np.random.default_rng(seed)
    centres, objective = fuzzy_c_means(x, 3, generator)
    order = np.argsort(centres @ [1, 3])
    places = [[0, 0], [8, 0], [0, 8]]
    np.testing.assert_allclose(centres[order], places, atol=0.8)
    assert np.diff(objective).max() <= 1e-12 * objective[0]
    # At rest: centres are the means by the memberships that they give.
    weights = memberships(x, centres) ** FUZZIFIER
    again = weights.T @ x / weights.sum(0)[:, None]
    np.testing.assert_allclose(again, centres, atol=1e-6)


def test_facts():
    found = measure(seed=3)
    assert found.pop("rise") <= 1e-12
    for name, value in found.items():
        assert value == pytest.approx(0, abs=1e-5), name
