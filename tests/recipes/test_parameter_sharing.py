"""Shared and unshared weights as the recipe counts and compares them."""

import numpy as np
import pytest
from keras import layers

from kerasrecipes.datasets import make_hidden_motifs
from kerasrecipes.layers import LocallyConnected1D
from kerasrecipes.recipes.regularization import parameter_sharing as recipe


@pytest.mark.parametrize("fact", recipe.FACTS)
def test_facts_hold(fact, measured={}):  # noqa: B006 (a cache)
    if not measured:
        measured.update(recipe.measure(7))
    _, value = recipe.FACTS[fact]
    assert abs(measured[fact] - value) <= 1e-5


def test_weights_counted_by_hand():
    places = 64 - 9 + 1
    counts = {
        "shared": 9 * 16 + 16 + 17,
        "local": places * (9 * 16 + 16) + 17,
        "dense": 64 * 136 + 136 + 137,
    }
    for name, count in counts.items():
        model = recipe.build_model(name)
        assert model.count_params() == count
        assert model.output_shape == (None, 1)


def test_the_notes_network():
    printed = recipe.build_notes_model(pooling=False)
    assert printed.output_shape == (None, 64 - 4 * 2, 1)
    pooled = recipe.build_notes_model(pooling=True)
    assert pooled.output_shape == (None, 1)
    # Pooling has no weights.
    assert printed.count_params() == pooled.count_params()


def test_a_shift_moves_what_a_convolution_makes():
    x = np.zeros((3, 64, 1))
    x[:, 10:40] = np.random.default_rng(0).normal(size=(3, 30, 1))
    conv, local = layers.Conv1D(4, 9), LocallyConnected1D(4, 9)
    later = np.roll(x, 7, axis=1)
    shifted = np.roll(recipe.run(conv, x), 7, axis=1)
    np.testing.assert_allclose(recipe.run(conv, later), shifted, atol=1e-5)
    shifted = np.roll(recipe.run(local, x), 7, axis=1)
    assert np.abs(recipe.run(local, later) - shifted).max() > 0.1
    recipe.share(local, conv)
    np.testing.assert_allclose(
        recipe.run(local, later), recipe.run(conv, later), atol=1e-5
    )


def test_the_matched_filter_window_by_window():
    x, _ = make_hidden_motifs(300, seed=5)
    ramp = [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1]
    for series, rises in zip(x, recipe.matched_filter(x), strict=True):
        fits = np.correlate(series[:, 0], ramp, "valid")
        assert rises == (max(fits) > max(-fits))


def test_the_matched_filter_is_right_without_noise():
    x, y = make_hidden_motifs(200, noise=0.0)
    np.testing.assert_array_equal(recipe.matched_filter(x), y)


def test_the_figure_shows_what_there_is():
    found = {"shared": {25: [0.6, 0.8], 100: [0.9, 0.9]}, "dense": {25: []}}
    shades = {"shared": "black", "dense": "blue"}
    (axis,) = recipe.plot_sizes(found, shades, [0.92, 0.93]).axes
    line, empty, best, chance = axis.lines
    np.testing.assert_allclose(line.get_xydata(), [[25, 0.7], [100, 0.9]])
    assert len(empty.get_xydata()) == 0
    assert [one.get_ydata()[0] for one in (best, chance)] == [0.92, 0.5]
    assert axis.get_xscale() == "log" and axis.get_xlabel()
