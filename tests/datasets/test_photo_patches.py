"""Pieces of the photograph: where they are from, seeds, refusals."""

import re

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from kerasrecipes.datasets import make_photo_patches


@pytest.mark.parametrize("size", [1, 8, 427])
def test_shape_and_range(size):
    x = make_photo_patches(3, size)
    assert x.shape == (3, size, size, 1) and x.dtype == "float32"
    assert 0 <= x.min() <= x.max() <= 1
    assert x.flags.c_contiguous and x.flags.writeable


def test_they_are_cut_from_the_photograph():
    """Each is somewhere in it, in grey and as it stands there."""
    photo = load_sample_image("china.jpg").mean(-1) / 255
    windows = np.lib.stride_tricks.sliding_window_view(photo, (8, 8))
    for piece in make_photo_patches(5, seed=2)[..., 0]:
        far = np.abs(windows - piece).max((-2, -1))
        assert far.min() < 1e-6


def test_seeds():
    first = make_photo_patches(20, seed=1)
    np.testing.assert_array_equal(make_photo_patches(20, seed=1), first)
    assert np.any(make_photo_patches(20, seed=2) != first)
    first[:] = 0
    assert make_photo_patches(20, seed=1).any()


def test_about_half_is_plain():
    """As the docstring says of pieces of 8 pixels."""
    plain = make_photo_patches(2000).std((1, 2, 3)) < 0.05
    assert 0.4 < plain.mean() < 0.6


@pytest.mark.parametrize(
    ("argument", "values", "expected"),
    [
        ("count", [0, 1.0, True], "a positive integer"),
        ("size", [0, 428, 8.0], "an integer from 1 to 427"),
        ("seed", [-1, 2**32], "a non-negative integer below 2 ** 32"),
    ],
)
def test_refusals(argument, values, expected):
    for value in values:
        message = (
            f"Invalid value for argument `{argument}`: expected {expected}. "
            f"Received: {argument}={value!r}"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            make_photo_patches(**{"count": 3, argument: value})
