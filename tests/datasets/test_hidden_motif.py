"""The hidden ramp: what its docstring says is true."""

import hashlib
import re

import numpy as np
import pytest

from kerasrecipes.datasets import make_hidden_motifs

RAMP = np.linspace(-1, 1, 9)


def find_ramps(x):
    """Where a ramp begins in series without noise, and whether it rises."""
    starts = (x[:, :, 0] != 0).argmax(axis=1)
    return starts, x[np.arange(len(x)), starts, 0] < 0


def test_without_noise_a_series_is_one_ramp():
    x, y = make_hidden_motifs(500, noise=0, seed=3)
    assert x.shape == (500, 64, 1) and x.dtype == "float32"
    assert y.shape == (500,) and y.dtype == "int32"
    starts, rises = find_ramps(x)
    np.testing.assert_array_equal(y, rises)
    assert set(starts) == set(range(56))
    for series, start, label in zip(x[:, :, 0], starts, y, strict=True):
        expected = np.zeros(64)
        expected[start : start + 9] = RAMP if label else -RAMP
        np.testing.assert_allclose(series, expected, atol=1e-6)


def test_the_place_may_decide():
    x, y = make_hidden_motifs(500, "place", noise=0, seed=3)
    same, _ = make_hidden_motifs(500, "shape", noise=0, seed=3)
    np.testing.assert_array_equal(x, same)
    starts, _ = find_ramps(x)
    np.testing.assert_array_equal(y, starts >= 28)


def test_noise_and_balance():
    """40,000 labels: five standard errors are 0.0125."""
    for decided_by in ("shape", "place"):
        x, y = make_hidden_motifs(40_000, decided_by, seed=1)
        assert abs(y.mean() - 0.5) < 0.0125
    quiet, _ = make_hidden_motifs(40_000, noise=0, seed=1)
    noise = (x - quiet) / 0.5
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01


def test_sums_and_squares_tell_nothing_of_the_shape():
    """A correlation of 40,000 pairs has the standard error 0.005."""
    x, y = make_hidden_motifs(40_000)
    for values in (x.sum((1, 2)), np.square(x).sum((1, 2)), x.max((1, 2))):
        assert abs(np.corrcoef(values, y)[0, 1]) < 0.025


def test_baseline_of_the_docstring():
    x, y = make_hidden_motifs(100_000)
    windows = np.lib.stride_tricks.sliding_window_view(x[:, :, 0], 9, axis=1)
    fits = windows @ RAMP
    accuracy = np.mean((fits.max(1) > -fits.min(1)) == y)
    assert round(accuracy, 3) == 0.922


def test_series_are_those_of_the_recorded_results():
    """Where this fails, every recorded result must be recorded again."""
    x, y = make_hidden_motifs(16, seed=7)
    # Rounded, as the last digit of a normal number may depend on the machine.
    rounded = np.round(x * 1000).astype("int32")
    digest = hashlib.sha256(rounded.tobytes() + y.tobytes()).hexdigest()
    assert digest == (
        "dfe9f48d7757e956bb392b5aab3cedbbc5f271c49cf74e030cc4031a991d367c"
    )
    again, _ = make_hidden_motifs(16, seed=np.int64(7))
    np.testing.assert_array_equal(x, again)
    assert not np.array_equal(x, make_hidden_motifs(16, seed=8)[0])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"sequences": 0}, "a positive integer. Received: sequences=0"),
        ({"sequences": 2.0}, "a positive integer. Received: sequences=2.0"),
        (
            {"decided_by": "sum"},
            "one of ('shape', 'place'). Received: decided_by='sum'",
        ),
        ({"noise": -1}, "a non-negative number. Received: noise=-1"),
        (
            {"noise": float("inf")},
            "a non-negative number. Received: noise=inf",
        ),
        ({"noise": None}, "a non-negative number. Received: noise=None"),
        ({"seed": -1}, "an integer from 0 to 2 ** 32 - 1. Received: seed=-1"),
    ],
)
def test_bad_arguments(bad, message):
    message = (
        f"Invalid value for argument `{next(iter(bad))}`: expected {message}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_hidden_motifs(**{"sequences": 4, **bad})
