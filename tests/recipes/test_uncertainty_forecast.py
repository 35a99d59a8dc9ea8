"""Windows, the passes and the width by NumPy, and what stays frozen."""

import itertools

import keras
import numpy as np
import pytest

from kerasrecipes.datasets import load_eeg_ahead
from kerasrecipes.layers import MonteCarloDropout
from kerasrecipes.recipes.recurrent import uncertainty_forecast as recipe


def test_facts_hold():
    facts = recipe.measure(4)
    assert facts.pop("algorithm, off") <= 1e-12
    assert set(facts.values()) == {0.0}


def test_windows_of_the_eeg():
    past, ahead = load_eeg_ahead(fold=2)
    series, origin = np.concatenate([past, ahead]), len(past)
    learned, held, test, odd, labels = recipe.load("EEG", 2)
    assert learned.shape == (origin - 100 - 34, 35, 4)
    assert held.shape == (100, 29, 4) and test.shape == (40, 29, 4)
    assert len(odd) == 0 and labels is None
    np.testing.assert_array_equal(learned[3], series[3:38])
    # None of the samples that noise is measured on was learned.
    np.testing.assert_array_equal(learned[-1, -1], series[origin - 101])
    np.testing.assert_array_equal(held[0, -1], series[origin - 100])
    np.testing.assert_array_equal(test[0], series[origin - 28 : origin + 1])
    np.testing.assert_array_equal(test[-1, -1], ahead[-1])


def test_split():
    windows = np.arange(2 * 29 * 5).reshape(2, 29, 5)
    (steps, known), y = recipe.split(windows, 2)
    np.testing.assert_array_equal(steps, windows[:, :28])
    np.testing.assert_array_equal(known, windows[:, 28, 2:])
    np.testing.assert_array_equal(y, windows[:, 28, :2])


def seeded():
    """`MonteCarloDropout` layers with the seeds 0, 1, 2 and so on."""
    seeds = itertools.count()

    def dropout(rate, noise_shape=None, name=None):
        return MonteCarloDropout(rate, noise_shape, next(seeds), name=name)

    return dropout


def by_formula(weights, masks, steps, known):
    """A pass in NumPy: dense layer, LSTM, and three dense layers."""
    kernel, bias, inputs, states, gates, *head = weights
    x = (steps @ kernel + bias) * masks[0]
    h = c = np.zeros((len(x), recipe.UNITS))
    for step in range(x.shape[1]):
        z = x[:, step] @ inputs + h @ states + gates
        i, f, new, o = np.split(z, 4, axis=-1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(new)
        h = o * np.tanh(c)
    y = np.concatenate([np.concatenate([h, c], -1) * masks[1], known], -1)
    for layer in range(2):
        kernel, bias = head[2 * layer : 2 * layer + 2]
        y = np.tanh(y @ kernel + bias) * masks[2 + layer]
    return y @ head[4] + head[5]


def test_passes_and_width_by_numpy():
    """Algorithms 1 and 2, under the masks that layers of a seed draw."""
    generator = np.random.default_rng(1)
    steps = generator.normal(size=(6, 28, 5)).astype("float32")
    known = generator.normal(size=(6, 3)).astype("float32")
    errors = generator.normal(size=(9, 2))
    keras.utils.set_random_seed(1)
    model, *_ = recipe.build_model(5, 2, seeded(), rate=0.4)
    weights = model.get_weights()
    dropout = seeded()
    drawers = [dropout(0.4, (None, 1, recipe.UNITS))]
    drawers += [dropout(0.4) for _ in range(3)]
    shapes = (6, 28, recipe.UNITS), (6, 2 * recipe.UNITS), (6, 64), (6, 16)
    ones = [np.ones(shape, "float32") for shape in shapes]
    passes, twins = [], []
    for _ in range(5):
        passes.append(recipe.run(model, [steps, known]))
        pairs = zip(drawers, ones, strict=True)
        masks = [recipe.run(layer, one) for layer, one in pairs]
        twins.append(by_formula(weights, masks, steps, known))
    np.testing.assert_allclose(passes, twins, atol=1e-5)
    mean = sum(twins) / 5
    variance = sum((twin - mean) ** 2 for twin in twins) / 5
    noise = sum(error**2 for error in errors) / 9
    np.testing.assert_allclose(
        recipe.find_width(np.array(passes), recipe.size(errors)),
        np.sqrt(variance + noise),
        atol=1e-5,
    )


def test_a_frozen_encoder_stays_as_it_was():
    windows = np.random.default_rng(0).normal(size=(16, 35, 4))
    windows = windows.astype("float32")
    keras.utils.set_random_seed(0)
    model, encoder, head = recipe.build_model(4, 4)
    start = encoder.get_weights()
    recipe.pretrain(encoder, windows, 4, batch_size=8, epochs=1)
    frozen, before = encoder.get_weights(), head.get_weights()
    recipe.fit(model, *recipe.split(windows, 4), batch_size=8, epochs=1)
    for one, other in zip(frozen, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((a != b).any() for a, b in zip(start, frozen, strict=True))
    after = head.get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_the_naive_forecast():
    """As in the docstring of the EEG: the sample stays as it was."""
    found = [
        recipe.train(seed, 1, "EEG", 4, 1, "naive")["error"]
        for seed in range(10)
    ]
    assert round(np.mean(found), 3) == 0.521
    scores = recipe.train(0, 1, "demand", 1, 7, "naive")
    assert scores["head"] == scores["encoder, head"] == 0
    assert scores["all terms"] == scores["noise alone"] > 0.9
    # A width that is the same everywhere is a threshold on the error.
    assert scores["over error"] == pytest.approx(0, abs=1e-9)
    assert len(scores["curves"]["days"]) == 240


def test_a_trial():
    scores = recipe.train(1, 1, "EEG", 4, 1, "pretrained", batch=32)
    assert all(np.isfinite([*scores.values()]))
    assert 0 < scores["head"] < scores["all terms"] <= 1
    assert scores["by holding out"] == pytest.approx(
        scores["all terms"] - scores["noise of training"]
    )
    assert scores["off 95 %"] == pytest.approx(abs(scores["all terms"] - 0.95))
