"""Digits as sequences: the order of their pixels, baseline, bad input."""

import numpy as np
import pytest
from sklearn.svm import SVC

from kerasrecipes.datasets import load_digits, load_sequential_digits


def test_orders():
    """A step is a row, or a pixel; a permutation is the same for all."""
    (images, labels), (new, _) = load_digits(100, fold=3)
    for order, shape in {
        "rows": (8, 8),
        "pixels": (64, 1),
        "permuted pixels": (64, 1),
    }.items():
        (x, y), (x_test, _) = load_sequential_digits(100, order, fold=3)
        assert x.shape == (100, *shape) and x.dtype == "float32"
        assert x_test.shape == (len(new), *shape)
        np.testing.assert_array_equal(y, labels)
        if order == "rows":
            for row in range(8):
                np.testing.assert_array_equal(x[:, row], images[:, row, :, 0])
        elif order == "pixels":
            np.testing.assert_array_equal(x[:, 17, 0], images[:, 2, 1, 0])
        else:
            pixels = np.vstack([x, x_test])[:, :, 0].T.tolist()
            wanted = np.vstack([images, new]).reshape(-1, 64).T.tolist()
            assert sorted(pixels) == sorted(wanted) and pixels != wanted


def test_permutation_is_that_of_every_fold():
    places = []
    for fold in (0, 7):
        images = load_digits(fold=fold, flat=True)[0][0].T.tolist()
        (x, _), _ = load_sequential_digits(order="permuted pixels", fold=fold)
        places.append([images.index(pixel) for pixel in x[:, :, 0].T.tolist()])
    assert places[0] == places[1]


def test_baseline():
    """The number of the docstring."""
    right = []
    for fold in range(10):
        (x, y), (x_test, y_test) = load_sequential_digits(fold=fold)
        model = SVC().fit(x[:, :, 0], y)
        right.append(model.score(x_test[:, :, 0], y_test))
    assert np.mean(right) == pytest.approx(0.987, abs=0.002)


def test_bad_order():
    with pytest.raises(ValueError) as caught:
        load_sequential_digits(order="columns")
    assert str(caught.value) == (
        "Invalid value for argument `order`: expected one of 'rows', 'pixels',"
        " 'permuted pixels'. Received: order='columns'"
    )
