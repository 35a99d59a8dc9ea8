"""Penalties on activity as Keras adds them, against NumPy and scipy."""

import keras
import numpy as np
import pytest
from keras import layers, ops, regularizers
from scipy import special

from kerasrecipes.recipes.regularization import sparse_activity as recipe


def make_batch(n=12, width=64, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, width)).astype("float32")


def kl_by_scipy(h, strength, share):
    """Kullback and Leibler's divergence of two Bernoulli variables."""
    mean = np.mean(h, axis=0, dtype="float64")
    on, off = (
        special.rel_entr(share, mean),
        special.rel_entr(1 - share, 1 - mean),
    )
    return strength * np.sum(on + off)


def value(tensor):
    return float(ops.convert_to_numpy(tensor))


@pytest.mark.parametrize("n", [1, 3, 12])
def test_l1_is_a_sum_over_units_and_a_mean_over_the_batch(n):
    model = recipe.build_model(l1=0.3)
    x = make_batch(n)
    h = ops.convert_to_numpy(model.layers[0](x))
    model(x)
    (penalty,) = model.losses
    expected = sum(0.3 * abs(float(v)) for v in h.flat) / n
    assert value(penalty) == pytest.approx(expected, rel=1e-5)


def test_fit_and_evaluate_count_it_in():
    model = recipe.build_model(l1=0.3)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(True))
    x, y = make_batch(12), np.arange(12) % 10
    p = ops.convert_to_numpy(ops.log_softmax(model(x)))
    h = ops.convert_to_numpy(model.layers[0](x))
    expected = -p[np.arange(12), y].mean() + 0.3 * np.abs(h).sum() / 12
    found = model.evaluate(x, y, batch_size=12, verbose=0)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_kl_against_scipy(share):
    h = 1 / (1 + np.exp(-make_batch(9, 5)))
    found = value(recipe.KLSparsity(0.7, share)(h))
    assert found == pytest.approx(kl_by_scipy(h, 0.7, share), rel=1e-5)


def test_kl_is_zero_at_its_target_and_finite_at_the_ends():
    penalty = recipe.KLSparsity(1.0, 0.25)
    h = np.eye(4, dtype="float32")  # each unit at one example in four
    assert value(penalty(h)) == pytest.approx(0, abs=1e-6)
    for end in (0.0, 1.0):
        assert np.isfinite(value(penalty(np.full((4, 3), end, "float32"))))


@pytest.mark.parametrize("n", [1, 5, 12])
def test_as_an_activity_regularizer_it_is_divided_by_the_batch(n):
    x = make_batch(n)
    right = recipe.build_model("sigmoid", kl="layer")
    wrong = recipe.build_model("sigmoid", kl="regularizer")
    wrong.set_weights(right.get_weights())
    found, expected = wrong(x), right(x)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected)
    )
    ratio = value(sum(right.losses)) / value(sum(wrong.losses))
    assert ratio == pytest.approx(n, rel=1e-5)


def test_the_exact_facts():
    for seed in range(3):
        facts = recipe.measure(seed)
        assert facts["L1, off"] < 1e-5 and facts["KL by a layer, off"] < 1e-5
        assert facts["KL left at batch 50"] == pytest.approx(1 / 50, abs=1e-6)


def test_a_model_with_the_layer_is_saved_and_loaded(tmp_path):
    model = recipe.build_model("sigmoid", kl="layer")
    path = tmp_path / "model.keras"
    model.save(path)
    classes = {
        "KLSparsity": recipe.KLSparsity,
        "ActivityPenalty": recipe.ActivityPenalty,
    }
    loaded = keras.saving.load_model(path, custom_objects=classes)
    x = make_batch()
    for one in (model, loaded):
        one(x)
    assert value(sum(loaded.losses)) == value(sum(model.losses))
    assert isinstance(loaded.layers[1].penalty, regularizers.Regularizer)
    assert isinstance(loaded.layers[0], layers.Dense)


def test_hoyer_of_known_rows():
    h = np.array([[0, 0, 0, 5.0], [2, 2, 2, 2], [0, 0, 0, 0], [0, 3, 3, 0]])
    expected = [1, 0, 1, 2 - 2**0.5]
    np.testing.assert_allclose(recipe.hoyer(h), expected, atol=1e-12)
    np.testing.assert_allclose(recipe.hoyer(10 * h), expected, atol=1e-12)


def test_scores_of_a_silent_network_are_finite():
    scores = recipe.train(0, epochs=1, l1=1e3)
    assert np.isfinite(list(scores.values())).all()
