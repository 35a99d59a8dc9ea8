"""Gratings: what their docstring says is true."""

import hashlib
import re

import numpy as np
import pytest

from kerasrecipes.datasets import make_gratings


def find_powers(x, classes):
    """Power of each image at four pixels a wave, in each direction."""
    row, column = np.mgrid[:8, :8]
    powers = []
    for k in range(classes):
        angle = np.pi * k / classes
        place = row * np.cos(angle) + column * np.sin(angle)
        waves = [np.cos(np.pi / 2 * place), np.sin(np.pi / 2 * place)]
        basis, _ = np.linalg.qr(np.reshape(waves, (2, 64)).T)
        powers.append(np.square(x.reshape(-1, 64) @ basis).sum(1))
    return np.array(powers)


def test_without_noise_an_image_is_a_wave():
    counts = [3, 1, 40, 2]
    x, y = make_gratings(counts, noise=0, seed=5)
    assert x.shape == (46, 8, 8, 1) and x.dtype == "float32"
    assert y.shape == (46,) and y.dtype == "int32"
    np.testing.assert_array_equal(y, np.repeat(range(4), counts))
    # All of an image's power is in two waves: a sine and a cosine.
    whole = np.square(x).sum((1, 2, 3))
    np.testing.assert_allclose(
        find_powers(x, 4)[y, range(46)], whole, rtol=1e-5
    )
    assert np.abs(x).max() <= 1


def test_directions():
    """Class 0 runs down the rows, the middle one of four across the columns."""
    x, _ = make_gratings([1, 1, 1, 1], noise=0)
    np.testing.assert_allclose(x[0] - x[0][:, :1], 0, atol=1e-6)
    np.testing.assert_allclose(x[2] - x[2][:1], 0, atol=1e-6)
    np.testing.assert_allclose(x[0, 4:], x[0, :4], atol=1e-6)


def test_noise():
    noisy, _ = make_gratings([5000, 5000], seed=2)
    quiet, _ = make_gratings([5000, 5000], noise=0, seed=2)
    noise = (noisy - quiet) / 1.2
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01


def test_the_mean_image_is_grey():
    """Of 10,000 phases, a pixel's mean has the standard error 0.007."""
    x, _ = make_gratings([10_000, 10_000], noise=0)
    assert np.abs(x[:10_000].mean(0)).max() < 0.035


def test_baseline_of_the_docstring():
    x, y = make_gratings([10_000] * 6)
    accuracy = np.mean(find_powers(x, 6).argmax(0) == y)
    assert round(accuracy, 3) == 0.992


def test_images_are_those_of_the_recorded_results():
    """Where this fails, every recorded result must be recorded again."""
    x, y = make_gratings([3, 2, 4], seed=7)
    # Rounded, as the last digit of a normal number may depend on the machine.
    rounded = np.round(x * 1000).astype("int32")
    digest = hashlib.sha256(rounded.tobytes() + y.tobytes()).hexdigest()
    assert digest == (
        "df676b32b74d24d6e8d82fdab9c42ccd7167bfd1bf098997ce48c9ec94b330f8"
    )
    again, _ = make_gratings(np.array([3, 2, 4]), seed=np.int64(7))
    np.testing.assert_array_equal(x, again)
    assert not np.array_equal(x, make_gratings([3, 2, 4], seed=8)[0])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"counts": 5}, "at least two positive integers. Received: counts=5"),
        (
            {"counts": [5]},
            "at least two positive integers. Received: counts=[5]",
        ),
        (
            {"counts": [5, 0]},
            "at least two positive integers. Received: counts=[5, 0]",
        ),
        (
            {"counts": "55"},
            "at least two positive integers. Received: counts='55'",
        ),
        ({"noise": -1}, "a non-negative number. Received: noise=-1"),
        (
            {"noise": float("inf")},
            "a non-negative number. Received: noise=inf",
        ),
        (
            {"seed": -1},
            "a non-negative integer below 2 ** 32. Received: seed=-1",
        ),
    ],
)
def test_bad_arguments(bad, message):
    message = (
        f"Invalid value for argument `{next(iter(bad))}`: expected {message}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_gratings(**{"counts": [2, 2], **bad})
