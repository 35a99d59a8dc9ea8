"""What one sample is to each normalization, and the networks."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.normalization import streaming_norm as recipe


@pytest.mark.parametrize("fact", recipe.FACTS)
@pytest.mark.parametrize("seed", [0, 7])
def test_facts_hold(fact, seed, measured={}):  # noqa: B006 (a cache)
    if seed not in measured:
        measured[seed] = recipe.measure(seed)
    # The division by the root of epsilon: see the recipe.
    assert measured[seed][fact] <= 2e-5


def test_weighted_statistics_value_by_value():
    x = np.random.default_rng(0).normal(size=(3, 2, 1))
    weights = [0.25, 0.25, 0.5, 0.5, 1, 1]
    values = x.reshape(-1)
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / 3.5
    square = sum(
        w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True)
    )
    found = recipe.weighted(x, 0.5)
    np.testing.assert_allclose(np.ravel(found), [mean, square / 3.5])


@pytest.mark.parametrize("network", recipe.CONDITIONS)
def test_all_variants_start_from_the_same_weights(network):
    kernels = []
    for options in recipe.VARIANTS.values():
        keras.utils.set_random_seed(3)
        model = recipe.build_model(network, **options)
        assert model.output_shape == (None, 10)
        kernels.append([w for w in model.get_weights() if w.ndim in (2, 4)])
    for other in kernels[1:]:
        for one, two in zip(kernels[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_kernels_below_learn_or_not():
    x = np.random.default_rng(1).normal(size=(40, 3, 6))
    renorm = layers.BatchNormalization(renorm=True)
    assert recipe.learn_below(renorm, x) <= 1e-6
    assert recipe.learn_below(layers.BatchNormalization(), x) <= 1e-6
    streaming = recipe.make_layer("streaming", images=False)
    assert recipe.learn_below(streaming, x) > 1e-3
    assert recipe.learn_below(layers.LayerNormalization(), x) > 1e-3


def test_batch_norm_of_one_digit_makes_an_rnn_blind():
    """Its last state is beta, whatever the digit: zero before training."""
    model = recipe.build_model("RNN", "batch")
    state = keras.Model(model.inputs[0], model.layers[-1].input)
    for digit in np.random.default_rng(2).random((3, 1, 8, 8, 1)):
        seen = ops.convert_to_numpy(state(digit, training=True))
        assert not seen.any()


def test_scores_are_finite():
    # A decay of 0 makes beta of every vector.
    scores = recipe.train(0, 20, "RNN", kind="streaming", decay=0.0)
    assert np.isfinite(list(scores.values())).all()
