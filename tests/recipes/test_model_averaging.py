"""Ten networks as one model, against networks alone and the formulas."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.regularization import model_averaging as recipe


def make_batch(n=300):
    (x, y), _ = recipe.load(0)
    return x[:n], y[:n]


def by_numpy(weights, x, member):
    """What one member answers, layer by layer."""
    kernel, bias, last, offset = [w[member].astype("float64") for w in weights]
    logits = np.maximum(x @ kernel + bias, 0) @ last + offset
    return 1 / (1 + np.exp(-logits[:, 0]))


def test_the_notes_number():
    (x, y), (x_test, y_test) = recipe.load(0)
    assert x.shape == (2000, 10) and x_test.shape == (10000, 10)
    assert recipe.boost(x, y).score(x_test, y_test) == 0.913


def test_members_are_networks_of_their_own():
    model = recipe.build_model(members=4, units=7)
    weights = [w + 0.1 for w in model.get_weights()]
    model.set_weights(weights)
    x, _ = make_batch()
    found = recipe.probabilities(model, x)
    assert found.shape == (4, len(x))
    for member in range(4):
        expected = by_numpy(weights, x, member)
        np.testing.assert_allclose(found[member], expected, atol=1e-5)


def test_members_start_like_dense_layers():
    """A kernel for each member must not count as a larger fan."""
    keras.utils.set_random_seed(0)
    kernel = recipe.build_model(members=50, units=100).get_weights()[0]
    assert np.std(kernel) == pytest.approx((2 / 10) ** 0.5, rel=0.05)


@pytest.mark.parametrize("weighted", [False, True])
def test_side_by_side_is_one_after_another(weighted):
    x, y = make_batch()
    counts = None
    if weighted:
        counts = np.random.default_rng(0).integers(0, 4, (len(x), 3))
    together = recipe.build_model(members=3, units=5)
    starts = together.get_weights()
    keras.utils.set_random_seed(0)
    recipe.fit(together, x, y, 2, counts)
    for member in range(3):
        alone = recipe.build_model(units=5)
        alone.set_weights([w[member][None] for w in starts])
        keras.utils.set_random_seed(0)
        own = counts[:, [member]] if weighted else None
        recipe.fit(alone, x, y, 2, own)
        pairs = zip(together.get_weights(), alone.get_weights(), strict=True)
        for w, v in pairs:
            np.testing.assert_allclose(w[member][None], v, atol=1e-4)


def test_scores_of_known_answers():
    y = np.array([0, 1, 1, 0])
    p = np.array([[0.1, 0.9, 0.4, 0.6], [0.4, 0.2, 0.9, 0.3]])
    found = recipe.score(p, p[1:], y)
    # The means are 0.25, 0.55, 0.65, 0.45.
    assert found["accuracy"] == 1
    assert found["mean member"] == pytest.approx((0.5 + 0.75) / 2)
    assert found["above the best member"] == 0.25
    assert found["mixed weights"] == 0.75
    error = (0.25**2 + 0.45**2 + 0.35**2 + 0.45**2) / 4
    assert found["squared error"] == pytest.approx(error)
    spread = (0.15**2 + 0.35**2 + 0.25**2 + 0.15**2) / 4
    assert found["disagreement"] == pytest.approx(spread)


def test_states_are_those_after_each_epoch():
    x, y = make_batch()
    model = recipe.build_model(units=5)
    states = recipe.fit(model, x, y, 4, cycles=2)
    assert len(states) == 4
    for one, other in itertools.combinations(states, 2):
        assert any((w != v).any() for w, v in zip(one, other, strict=True))
    for w, v in zip(states[-1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(w, v)
    # The rate is nearly zero at a cycle's end, and high after it.
    rate = model.optimizer._learning_rate  # the schedule itself
    steps = [float(ops.convert_to_numpy(rate(i))) for i in (0, 5, 6)]
    np.testing.assert_allclose(steps[::2], 0.01)
    assert steps[1] < 0.001


def test_a_network_of_one_unit_at_rest_is_the_mean_of_its_masks():
    model = keras.Sequential(
        [layers.Input((4,)), layers.Dropout(0.5), layers.Dense(1)]
    )
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    kernel, bias = model.get_weights()
    masked = [
        (x * np.array(mask) * 2) @ kernel + bias
        for mask in itertools.product([0, 1], repeat=4)
    ]
    odds = np.exp(masked).prod(0) ** (1 / 16)
    found = ops.convert_to_numpy(ops.sigmoid(model(x)))
    np.testing.assert_allclose(found, odds / (1 + odds), rtol=1e-5)


@pytest.mark.parametrize("name", ["snapshots", "SWA", "bagging"])
def test_fewer_epochs_than_cycles(name):
    scores = recipe.train(0, epochs=2, **recipe.VARIANTS[name])
    assert np.isfinite(list(scores.values())).all()
