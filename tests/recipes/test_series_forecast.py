"""Who sees what, and when: windows, ranges, origins, and the twin."""

import keras
import numpy as np
import pytest

from kerasrecipes.recipes.recurrent import series_forecast as recipe


@pytest.fixture
def walk():
    steps = np.random.default_rng(3).normal(size=(3, 50))
    return steps.cumsum(axis=1).astype("float32")


def test_facts_hold():
    facts = recipe.measure(5)
    assert facts["past"] == 0 and facts["whole"] > 0.1
    assert facts["step by step"] <= 5e-6


def test_windows_by_loops(walk):
    known, new = recipe.cut_lags(walk, origin=30)
    size = recipe.LAGS + 1
    windows = [
        [row[end - size + 1 : end + 1] for end in range(size - 1, 50)]
        for row in walk
    ]
    ends = range(size - 1, 50)
    before = [
        w for row in windows for w, e in zip(row, ends, strict=True) if e < 30
    ]
    after = [
        w for row in windows for w, e in zip(row, ends, strict=True) if e >= 30
    ]
    np.testing.assert_array_equal(known[..., 0], before)
    np.testing.assert_array_equal(new[..., 0], after)


def test_ranges(walk):
    middle, half = recipe.find_range(walk, 30, "past")
    scaled = (walk - middle) / half
    np.testing.assert_allclose(scaled[:, :30].min(axis=1), -1, atol=1e-6)
    np.testing.assert_allclose(scaled[:, :30].max(axis=1), 1, atol=1e-6)
    middle, half = recipe.find_range(walk, 30, "whole")
    assert np.abs((walk - middle) / half).max() <= 1 + 1e-6
    assert recipe.find_range(walk, 30, "none") == (0, 1)


@pytest.mark.parametrize("kind", ["linear", "MLP", "LSTM"])
def test_nothing_is_fitted_to_what_comes_after(kind, walk):
    """Forecasts stand as they are if a later value changes."""
    changed = walk.copy()
    changed[:, 40:] += 9.0
    said = []
    for series in (walk, changed):
        keras.utils.set_random_seed(1)
        said.append(recipe.from_lags(series, 30, kind, epochs=1))
    assert said[0].shape == (3, 20)
    # The first ten, and the eleventh, which has not seen its own value.
    np.testing.assert_array_equal(said[0][:, :11], said[1][:, :11])
    assert np.abs(said[0] - said[1])[:, 11:].max() > 1e-4


def test_the_twin_is_fitted_to_the_past_alone(walk):
    changed = walk.copy()
    changed[:, 30:] += 9.0
    weights = []
    for series in (walk, changed):
        keras.utils.set_random_seed(1)
        twin = recipe.train_twin(series, 30, epochs=1, reset=True)
        weights.append(twin.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    said = recipe.run(twin, walk[:, :-1, None])
    assert said.shape == (3, 49)


def test_a_linear_rule_is_found():
    """Where the next value is a sum of lags, the error is none."""
    x = np.random.default_rng(0).normal(size=(2, 200))
    for step in range(recipe.LAGS, 200):
        x[:, step] = 0.5 * x[:, step - 1] - 0.7 * x[:, step - 3]
    said = recipe.from_lags(x, 150, "linear", epochs=0)
    np.testing.assert_allclose(said, x[:, 150:], atol=1e-8)


@pytest.mark.parametrize("series", ["EEG", "stocks"])
def test_persistence_has_an_error_of_one(series, monkeypatch):
    """By its own forecast: no change from the origin on."""
    monkeypatch.setattr(
        recipe,
        "from_lags",
        lambda x, origin, kind, epochs: np.zeros_like(x[:, origin:]),
    )
    found = recipe.train(2, 1, series, "LSTM", scale="none")
    assert found["error"] == pytest.approx(1.0, abs=1e-6)
    assert recipe.train(2, 1, series, "persistence") == {"error": 1.0}


def test_persistence_on_prices(monkeypatch):
    """There it says the price before, in the units of the scale."""
    monkeypatch.setattr(
        recipe,
        "from_lags",
        lambda x, origin, kind, epochs: x[:, origin - 1 : -1],
    )
    for scale in ("past", "whole", "none"):
        found = recipe.train(1, 1, "stocks", "LSTM", scale, prices=True)
        assert found["error"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("reset", [True, False])
def test_a_stateful_trial(reset):
    found = recipe.train(0, 1, "EEG", "stateful", reset=reset)
    assert set(found) == {"error", "fresh costs", "resets cost"}
    assert all(np.isfinite([*found.values()]))
