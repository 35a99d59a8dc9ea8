"""Batch normalization against NumPy, and the probes that measure it."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.normalization import batch_norm as recipe


def norms_of(model):
    kind = layers.BatchNormalization
    return [layer for layer in model.layers if isinstance(layer, kind)]


def make_images(count=8, seed=0):
    generator = np.random.default_rng(seed)
    return generator.random((count, 64)).astype("float32"), np.arange(count)


def relu_network(x, weights):
    """The plain network of the recipe, in NumPy."""
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = np.maximum(x @ kernel + bias, 0)
    return x @ weights[-2] + weights[-1]


def cross_entropy(logits, y):
    logits = logits - logits.max(-1, keepdims=True)
    chosen = logits[np.arange(len(y)), y]
    return np.mean(np.log(np.exp(logits).sum(-1)) - chosen)


@pytest.mark.parametrize("fact", recipe.FACTS)
@pytest.mark.parametrize("seed", [0, 7])
def test_facts_hold(fact, seed, measured={}):  # noqa: B006 (a cache)
    if seed not in measured:
        measured[seed] = recipe.measure(seed)
    assert measured[seed].keys() == recipe.FACTS.keys()
    assert measured[seed][fact] <= 2e-5


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(9, 3), (4, 5, 3), (2, 4, 4, 3)])
def test_the_layer_is_the_formula(shape, training):
    """Over all axes but the last, with a biased variance."""
    x = np.random.default_rng(1).normal(0.5, 2, shape).astype("float32")
    layer = layers.BatchNormalization()
    layer.build(shape)
    weights = np.array([[2, 1, -1], [0, 1, 2], [0.1, 0.2, 0], [1, 2, 3.0]])
    layer.set_weights(list(weights))
    gamma, beta, mean, variance = weights
    axes = tuple(range(len(shape) - 1))
    new = x.mean(axes), x.var(axes)
    if training:
        mean, variance = new
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    y = ops.convert_to_numpy(layer(x, training=training))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    if training:
        after = 0.99 * weights[2:] + 0.01 * np.array(new)
        for one, other in zip(layer.get_weights()[2:], after, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)


def test_freezing_stops_the_averages_and_thawing_starts_them():
    layer = layers.BatchNormalization()
    x, _ = make_images()
    layer.build(x.shape)
    start = layer.get_weights()
    layer.trainable = False
    layer(x, training=True)
    for one, other in zip(layer.get_weights(), start, strict=True):
        np.testing.assert_array_equal(one, other)
    layer.trainable = True
    layer(x, training=True)
    moving_mean = ops.convert_to_numpy(layer.moving_mean)
    np.testing.assert_allclose(moving_mean, 0.01 * x.mean(0), atol=1e-6)


def test_at_the_default_momentum_averages_start_slowly():
    """Two thirds of the start are left after 40 steps."""
    starts = {"zeros": None, "ones": None}
    for start in starts:
        layer = layers.BatchNormalization(moving_mean_initializer=start)
        for seed in range(40):
            layer(make_images(seed=seed)[0], training=True)
        starts[start] = ops.convert_to_numpy(layer.moving_mean)
    left = starts["ones"] - starts["zeros"]
    np.testing.assert_allclose(left, 0.99**40, atol=1e-6)


def test_frozen_from_the_start_it_normalizes_nothing():
    model = recipe.build_model("after", frozen=True)
    assert len(model.trainable_variables) == 10
    for layer in norms_of(model):
        z = np.random.default_rng(2).normal(size=(8, 64)).astype("float32")
        found = ops.convert_to_numpy(layer(5 + z, training=True))
        # float32 rounds numbers of about 5.
        np.testing.assert_allclose(found, (5 + z) / 1.001**0.5, rtol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_a_batch_of_one_becomes_beta(shift):
    layer = layers.BatchNormalization(beta_initializer="ones")
    x, _ = make_images(1)
    y = ops.convert_to_numpy(layer(x + shift, training=True))
    # Numbers of about 3, thirty times enlarged, cancel each other.
    np.testing.assert_allclose(y, 1, atol=5e-5)


@pytest.mark.parametrize("name", recipe.VARIANTS)
def test_every_variant_is_built_as_it_is_named(name):
    keras.utils.set_random_seed(0)
    plain = recipe.build_model().get_weights()
    keras.utils.set_random_seed(0)
    arguments = {k: v for k, v in recipe.VARIANTS[name].items() if k != "rate"}
    model = recipe.build_model(**arguments)
    # All start from the same kernels, whatever stands between them.
    kernels = [d.get_weights()[0] for d in model.layers if hasattr(d, "kernel")]
    for one, other in zip(kernels, plain[::2], strict=True):
        np.testing.assert_array_equal(one, other)
    kinds = [type(layer).__name__ for layer in model.layers]
    block = {
        "none": ["Dense", "Activation"],
        "before": ["Dense", "BatchNormalization", "Activation"],
        "after": ["Dense", "Activation", "BatchNormalization"],
    }[name.replace(" ", ",").split(",")[0]]
    block = [*block, "Unrest"] if "noise" in name else block
    assert kinds == 4 * block + ["Dense"]
    for layer in norms_of(model):
        assert layer.momentum == 0.9 and layer.epsilon == 1e-3
        assert layer.trainable == ("frozen" not in name)
        assert (layer.gamma is None) == ("bare" in name)
        assert (layer.beta is None) == ("bare" in name)


def test_unrest_is_one_draw_a_step_and_none_at_inference():
    keras.utils.set_random_seed(3)
    layer = recipe.Unrest()
    x, _ = make_images(500)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x)), x)
    first, second = (
        ops.convert_to_numpy(layer(x, training=True)) for _ in range(2)
    )
    assert not np.allclose(first, second)
    # Each unit is a line over the batch, with its own slope and height.
    slopes = np.ptp(first, 0) / np.ptp(x, 0)
    heights = first[0] - slopes * x[0]
    np.testing.assert_allclose(first, slopes * x + heights, atol=1e-5)
    assert 1 <= slopes.min() < 1.1 and 1.15 < slopes.max() <= 1.2501
    assert -0.5001 <= heights.min() < -0.3 and 0.3 < heights.max() <= 0.5001


def test_looking_ahead_by_differences():
    """Against losses in NumPy, along a step that is measured apart."""
    x, y = make_images()
    keras.utils.set_random_seed(1)
    model = recipe.build_model()
    rate = 0.5
    model.compile(keras.optimizers.SGD(rate), recipe.LOSS)
    start = [np.array(w, "float64") for w in model.get_weights()]
    found = recipe.look_ahead(model, x, y)
    for one, other in zip(model.get_weights(), start, strict=True):
        np.testing.assert_array_equal(one, other)
    model.train_on_batch(x, y)
    step = [w - s for w, s in zip(model.get_weights(), start, strict=True)]
    expected = [
        cross_entropy(
            relu_network(
                x, [s + t * d for s, d in zip(start, step, strict=True)]
            ),
            y,
        )
        for t in (0, 0.5, 1, 2, 4)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # It goes downhill, at first as fast as the gradient says.
    tiny = [s + 1e-3 * d for s, d in zip(start, step, strict=True)]
    fall = expected[0] - cross_entropy(relu_network(x, tiny), y)
    squares = sum(np.sum(d**2) for d in step) / rate
    assert fall == pytest.approx(1e-3 * squares, rel=0.02)


@pytest.mark.parametrize("place", ["before", "after"])
def test_looking_ahead_leaves_no_trace(place):
    x, y = make_images()
    model = recipe.build_model(place, noise=place == "after")
    model.compile(keras.optimizers.SGD(0.1), recipe.LOSS)
    start = model.get_weights()
    found = recipe.look_ahead(model, x, y)
    assert found.shape == (5,) and np.all(np.isfinite(found))
    for one, other in zip(model.get_weights(), start, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_that_diverges_has_bounded_scores():
    scores = recipe.train(0, epochs=2, batch=256, rate=1e4)
    curves = scores.pop("curves")
    assert scores["diverged"] == 1
    assert 0 <= scores["accuracy"] < 0.3
    assert np.all(np.isfinite([*scores.values(), *curves["variation"]]))
    assert scores["variation, log10"] <= 3


def test_momentum_costs_nothing_without_the_layer():
    scores = recipe.train(0, epochs=1, batch=256)
    assert scores["cost of momentum 0.1"] == 0
    assert scores["diverged"] == 0


def test_gamma_and_beta_leave_the_range_of_f():
    """A bounded f cannot rate above 1; its error says so."""
    bounded = recipe.rate_illness(0, epochs=2)["error"]
    rescaled = recipe.rate_illness(0, epochs=2, rescale=True)["error"]
    assert 0 < rescaled < bounded < 5
