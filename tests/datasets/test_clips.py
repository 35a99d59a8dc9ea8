"""Clips of digits: labels by hand, real images, and no leak between parts."""

import numpy as np
import pytest

from kerasrecipes.datasets import load_digit_clips, load_digits


def digit_of(images, labels):
    """Maps the bytes of an image to its digit."""
    return {image.tobytes(): y for image, y in zip(images, labels, strict=True)}


@pytest.mark.parametrize("fold", [0, 7, 23])
def test_labels_and_parts(fold):
    parts = load_digit_clips(examples=200, frames=3, fold=fold)
    images = load_digits(fold=fold, flat=True)
    for (x, y), known in zip(parts, images, strict=True):
        digits = digit_of(*known)
        assert x.dtype == "float32" and y.dtype == "int32"
        assert x.min() == 0 and x.max() == 1
        for clip, label in zip(x, y, strict=True):
            shown = [frame for frame in clip if frame.any()]
            # Blank frames stand at the end, and no image is from elsewhere.
            assert clip[: len(shown)].any(axis=1).all() and len(shown) > 0
            assert max(digits[frame.tobytes()] for frame in shown) == label


def test_shapes_and_lengths():
    (x, y), (x_test, y_test) = load_digit_clips()
    assert x.shape == (1000, 4, 64) and y.shape == (1000,)
    assert x_test.shape == (500, 4, 64) and y_test.shape == (500,)
    lengths = x.any(axis=2).sum(axis=1)
    counts = np.bincount(lengths, minlength=5)[1:]
    assert counts.sum() == 1000 and counts.min() > 200


def test_folds_are_different_and_come_again():
    first, again, other = (
        load_digit_clips(50, fold=fold) for fold in (1, 1, 2)
    )
    np.testing.assert_array_equal(first[0][0], again[0][0])
    np.testing.assert_array_equal(first[1][1], again[1][1])
    assert not np.array_equal(first[0][0], other[0][0])


def test_chance_level():
    labels = [load_digit_clips(fold=fold)[1][1] for fold in range(10)]
    share = [np.bincount(y).max() / len(y) for y in labels]
    assert abs(np.mean(share) - 0.23) < 0.01
    assert np.bincount(np.concatenate(labels)).argmax() == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"examples": 0},
            "Invalid value for argument `examples`: expected a positive "
            "integer. Received: examples=0",
        ),
        (
            {"frames": 2.0},
            "Invalid value for argument `frames`: expected a positive "
            "integer. Received: frames=2.0",
        ),
        (
            {"fold": -1},
            "Invalid value for argument `fold`: expected a non-negative "
            "integer below 2 ** 32. Received: fold=-1",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as caught:
        load_digit_clips(**arguments)
    assert str(caught.value) == message
