"""Keras' normalizations against NumPy, and the probes that draw them."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.normalization import normalization_axes as recipe

# Float32 rounds the seventh digit of numbers up to ten.
TOLERANCE = 1e-5


def make_images(shape=(3, 4, 5, 8), seed=0):
    return np.random.default_rng(seed).normal(1, 2, shape)


def normalized(values, epsilon=1e-3):
    return (values - values.mean()) / np.sqrt(values.var() + epsilon)


def value_by_value(x, kind):
    """The normalizations as loops over the sets that they average over."""
    y = np.empty_like(x)
    samples, height, width, channels = x.shape
    everything = slice(None)
    if kind == "batch":
        places = [np.s_[..., c] for c in range(channels)]
    elif kind == "layer":
        places = [np.s_[s] for s in range(samples)]
    elif kind == "instance":
        places = [np.s_[s, ..., c] for s, c in np.ndindex(samples, channels)]
    elif kind == "group":
        starts = range(0, channels, recipe.GROUP)
        places = [
            (s, everything, everything, slice(c, c + recipe.GROUP))
            for s in range(samples)
            for c in starts
        ]
    else:
        places = list(np.ndindex(samples, height, width))
    for place in places:
        if kind == "RMS, a pixel":
            y[place] = x[place] / np.sqrt(np.mean(x[place] ** 2) + 1e-6)
        else:
            y[place] = normalized(x[place])
    return y


@pytest.mark.parametrize("fact", recipe.FACTS)
@pytest.mark.parametrize("seed", [0, 7])
def test_facts_hold(fact, seed, measured={}):  # noqa: B006 (a cache)
    if seed not in measured:
        measured[seed] = recipe.measure(seed)
    assert abs(measured[seed][fact]) <= TOLERANCE
    assert measured[seed]["batch alone"] > 0.1
    assert measured[seed]["group reads ahead"] > 0.1


@pytest.mark.parametrize("kind", recipe.AXES)
def test_layers_and_formula_are_the_loops(kind):
    x = make_images()
    y = value_by_value(x, kind)
    np.testing.assert_allclose(recipe.by_formula(x, kind), y, atol=1e-12)
    found = recipe.run(recipe.make_layer(kind, 8), x)
    np.testing.assert_allclose(found, y, atol=TOLERANCE)


def test_one_group_is_layer_norm_but_for_the_parameters():
    x = make_images()
    one = layers.GroupNormalization(groups=1)
    layer = layers.LayerNormalization(axis=(1, 2, 3))
    found = recipe.run(one, x), recipe.run(layer, x)
    np.testing.assert_allclose(*found, atol=TOLERANCE)
    assert [w.shape for w in one.weights] == [(8,)] * 2
    assert [w.shape for w in layer.weights] == [(4, 5, 8)] * 2
    # With gamma and beta alike for each pixel they stay the same.
    gamma, beta = np.random.default_rng(1).normal(size=(2, 8))
    one.set_weights([gamma, beta])
    layer.set_weights([np.broadcast_to(w, (4, 5, 8)) for w in (gamma, beta)])
    found = recipe.run(one, x), recipe.run(layer, x)
    np.testing.assert_allclose(*found, atol=TOLERANCE)


@pytest.mark.parametrize("kind", [k for k in recipe.AXES if k != "batch"])
def test_a_result_does_not_depend_on_its_batch(kind):
    x = make_images((64, 4, 4, 8))
    layer = recipe.make_layer(kind, 8)
    whole = recipe.run(layer, x)
    for size in (1, 2, 7):
        part = recipe.run(layer, x[:size])
        np.testing.assert_allclose(part, whole[:size], atol=TOLERANCE)


def test_batch_norm_does_depend_on_it():
    x = make_images((64, 4, 4, 8))
    layer = layers.BatchNormalization()
    change = recipe.run(layer, x[:2]) - recipe.run(layer, x)[:2]
    assert np.abs(change).max() > 0.1


def test_a_batch_of_two_vectors_keeps_signs_only():
    """All that a unit says is which of the two has more of it."""
    y = recipe.run(layers.BatchNormalization(), make_images((2, 8)))
    np.testing.assert_allclose(y[0], -y[1], atol=TOLERANCE)
    assert np.all(np.abs(y) < 1)
    assert np.mean(np.abs(y) > 0.9) > 0.5


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("batch", 3 * 4),
        ("layer", 4 * 8),
        ("layer, a pixel", 8),
        ("instance", 4),
        ("group", 4 * 4),
        ("RMS, a pixel", 8),
    ],
)
def test_the_picture_is_what_the_layer_does(kind, cells):
    x = np.random.default_rng(2).normal(size=recipe.SHAPE)
    seen = recipe.dependence(recipe.make_layer(kind, 8), x)
    np.testing.assert_array_equal(seen, recipe.expected(kind))
    assert seen.sum() == cells
    assert seen[recipe.PLACE] == 1


def test_the_probe_sees_a_layer_that_does_nothing():
    x = np.random.default_rng(2).normal(size=recipe.SHAPE)
    seen = recipe.dependence(layers.Identity(), x)
    assert np.argwhere(seen).tolist() == [list(recipe.PLACE)]


def test_the_figure_has_a_grid_for_each_kind_and_sample():
    depends = {kind: recipe.expected(kind).ravel() for kind in recipe.AXES}
    axes = recipe.plot_axes(depends).axes
    assert len(axes) == 3 * len(depends)
    assert [axis.get_title() for axis in axes[:3]] == [
        f"sample {number} of the batch" for number in (1, 2, 3)
    ]
    assert [axis.get_ylabel() for axis in axes[::3]] == list(depends)
    # The dot stands in its sample, and its own cell is filled.
    assert [len(axis.lines) for axis in axes] == [0, 1, 0] * len(depends)
    for axis in axes[1::3]:
        (column,), (row,) = axis.lines[0].get_data()
        filled = axis.collections[0].get_array().reshape(4, 8)
        assert filled[int(row), int(column)] == 1
        # All-blue grids are as blue as the others.
        assert axis.collections[0].get_clim() == (0, 1.4)


def test_defaults_that_surprise():
    assert layers.LayerNormalization().epsilon == 1e-3
    assert layers.GroupNormalization().epsilon == 1e-3
    assert layers.BatchNormalization().epsilon == 1e-3
    assert layers.RMSNormalization().epsilon == 1e-6
    assert layers.GroupNormalization().groups == 32
    with pytest.raises(ValueError, match="groups"):
        layers.GroupNormalization()(make_images((2, 4, 4, 16)))


@pytest.mark.parametrize("network", ["ConvNet", "RNN"])
def test_all_variants_start_from_the_same_weights(network):
    names = recipe.VARIANTS if network == "ConvNet" else recipe.RECURRENT
    kernels = []
    for name in names:
        keras.utils.set_random_seed(3)
        model = recipe.build_model(network, name, 0.9)
        assert model.output_shape == (None, 10)
        kernels.append([w for w in model.get_weights() if w.ndim in (2, 4)])
    for other in kernels[1:]:
        for one, two in zip(kernels[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_the_recurrent_network_is_its_formula():
    """With layer norm before each tanh, and the same for all steps."""
    keras.utils.set_random_seed(4)
    model = recipe.build_model("RNN", "layer", 0.9)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    dense = [w for name, w in weights.items() if name.startswith("dense")]
    (rows, bias), (recurrent,), (last, offset) = dense
    x = make_images((5, 8, 8, 1)).astype("float32")
    state = np.zeros((5, 32))
    for step in range(8):
        z = x[:, step, :, 0] @ rows + bias + state @ recurrent
        state = np.tanh([normalized(values) for values in z])
    found = ops.convert_to_numpy(model(x))
    # Eight steps of float32, each divided by a spread of about one.
    np.testing.assert_allclose(found, state @ last + offset, atol=1e-4)
