"""Monte Carlo dropout: what is sampled, and what the scores say."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.layers import MonteCarloDropout
from kerasrecipes.recipes.regularization import (
    monte_carlo_dropout,
    monte_carlo_intervals,
)


def run(model, x, **call):
    return ops.convert_to_numpy(model(x, **call))


def make_images(count=6):
    generator = np.random.default_rng(0)
    return generator.random((count, 8, 8, 1)).astype("float32")


@pytest.mark.parametrize("network", monte_carlo_dropout.CONDITIONS)
def test_both_kinds_of_dropout_share_their_weights(network):
    keras.utils.set_random_seed(0)
    plain = monte_carlo_dropout.build_model(network)
    random = monte_carlo_dropout.build_model(network, MonteCarloDropout)
    random.set_weights(plain.get_weights())
    x = make_images()
    p = random.predict(x, verbose=0)
    assert p.shape == (6, 1, 8)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-5)
    assert np.abs(p - random.predict(x, verbose=0)).max() > 0
    found = plain.predict(x, verbose=0)
    np.testing.assert_array_equal(found, plain.predict(x, verbose=0))
    # While training, both do the same.
    assert np.abs(found - run(plain, x, training=True)).max() > 0


def test_members_do_not_see_each_other():
    """Training them together is training them one by one."""
    x = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    y = x.sum(-1, keepdims=True)
    build = monte_carlo_intervals.build_model
    keras.utils.set_random_seed(0)
    together = build(members=3)
    start = together.get_weights()
    together.compile("adam", "mse")
    together.fit(x, np.repeat(y, 3, 1), epochs=3, shuffle=False, verbose=0)
    after = together.predict(x, verbose=0)
    # Kernel and bias of every member, one layer after the other.
    start = np.array(start, dtype="object").reshape(3, 3, 2)
    for member in range(2):
        alone = build()
        alone.set_weights(list(start[:, member].ravel()))
        alone.compile("adam", "mse")
        alone.fit(x, y, epochs=3, shuffle=False, verbose=0)
        said = alone.predict(x, verbose=0)[:, 0]
        # Adam's epsilon weighs more where gradients are a third.
        np.testing.assert_allclose(said, after[:, member], atol=1e-4)


def test_what_is_measured():
    scores = monte_carlo_dropout.measure(7)
    silent = ["listing, predict", "trainable, predict", "trainable, call"]
    assert all(scores[name] == 0 for name in silent)
    random = [f"ours, {way}" for way in ("predict", "call", "evaluate")]
    assert all(scores[name] > 0.01 for name in [*random, "listing, call"])
    assert scores["one call against 100"] <= 1e-6


def test_scores_of_a_trial_are_shares():
    scores = monte_carlo_dropout.train(0, 1, "MLP", passes=10)
    assert -1 < scores.pop("gain of entropy") < 1
    assert all(0 <= value <= 1 for value in scores.values())


def test_what_the_rest_of_a_batch_does():
    """100 copies have no variance: every image becomes the same one."""
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(4)]
    )
    model.add(layers.BatchNormalization())
    one, other, *_ = make_images()
    copies = [np.repeat(x[None], 100, 0) for x in (one, other)]
    first, second = (run(model, x, training=True) for x in copies)
    np.testing.assert_allclose(first, second, atol=1e-3)
    assert np.abs(run(model, copies[0]) - run(model, copies[1])).max() > 0.05


@pytest.mark.parametrize(
    ("variant", "seed"), [("one network", 0), ("MC dropout", 9)]
)
def test_a_gap_is_filled(variant, seed):
    """Also at either end of the series."""
    arguments = monte_carlo_intervals.VARIANTS[variant]
    scores = monte_carlo_intervals.train(seed, 1, **arguments)
    curves = scores.pop("curves")
    assert np.all(np.isfinite(list(scores.values())))
    assert 0 <= scores["by spread alone"] <= scores["covered in the gap"] <= 1
    lengths = {len(curve) for name, curve in curves.items() if name != "ends"}
    assert lengths == {121}
    first, last = curves["ends"]
    assert np.floor([first, last]).tolist() == [
        1960 + 4 * seed,
        1963 + 4 * seed,
    ]
    assert np.all(np.diff(curves["year"]) >= 0) and np.all(curves["half"] > 0)
    if variant == "one network":
        assert np.ptp(curves["half"]) == 0
        assert scores["by spread alone"] == 0
        assert scores["one pass to the mean"] == 1


def test_dates_as_inputs():
    x = monte_carlo_intervals.describe(np.array([1980.0, 1985.25, 1990.0]))
    np.testing.assert_allclose(x[:, 0], [0, 0.525, 1], atol=1e-6)
    np.testing.assert_allclose(x[:, 1], [0, 1, 0], atol=1e-5)
    np.testing.assert_allclose(x[:, 2], [1, 0, 1], atol=1e-5)
    np.testing.assert_allclose(x[:, 4], [1, -1, 1], atol=1e-5)
