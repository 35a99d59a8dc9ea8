"""Cluttered digits: what lies where, whose pieces, and the docstring."""

import numpy as np
import pytest
from sklearn.svm import SVC

from kerasrecipes.datasets import load_cluttered_digits, load_digits
from kerasrecipes.datasets.cluttered_digits import _cut_pieces


def cut_digits(x, places):
    """The 8 by 8 pixels around each centre."""
    corners = (places - 3.5).astype(int)
    return np.array(
        [
            image[row : row + 8, column : column + 8, 0]
            for image, (row, column) in zip(x, corners, strict=True)
        ]
    )


@pytest.mark.parametrize("fold", [0, 7, 23])
def test_digits_alone(fold):
    """Each canvas has one whole image of its own part, and nothing else."""
    parts = load_cluttered_digits(200, pieces=0, places=True, fold=fold)
    images = load_digits(fold=fold)
    for (x, y, places), (known, labels) in zip(parts, images, strict=True):
        digits = dict(
            zip(map(bytes, known[..., 0].copy()), labels, strict=True)
        )
        found = cut_digits(x, places)
        assert [digits[image.tobytes()] for image in found] == y.tolist()
        np.testing.assert_allclose(
            x.sum((1, 2, 3)), found.sum((1, 2)), rtol=1e-5
        )


def test_shapes_and_ranges():
    (x, y), (x_test, y_test) = load_cluttered_digits()
    assert x.shape == (3000, 20, 20, 1) and x.dtype == "float32"
    assert x_test.shape == (1000, 20, 20, 1)
    assert y.shape == (3000,) and y.dtype == y_test.dtype == "int32"
    assert x.min() == 0 and x.max() == 1
    assert set(y) == set(y_test) == set(range(10))
    (x, _, places), _ = load_cluttered_digits(2000, canvas=11, places=True)
    assert x.shape == (2000, 11, 11, 1) and places.dtype == "float32"
    assert set(places.ravel()) == {3.5, 4.5, 5.5, 6.5}


def test_smallest_canvas_is_the_digit():
    (x, _, places), _ = load_cluttered_digits(50, 8, pieces=0, places=True)
    assert (places == 3.5).all()
    known = {image.tobytes() for image in load_digits()[0][0]}
    assert all(image.tobytes() in known for image in x)


def test_pieces_are_added_to_those_that_were_there():
    fewer, more = (
        load_cluttered_digits(300, pieces=pieces, places=True, fold=2)
        for pieces in (3, 4)
    )
    for (x, y, places), (fuller, same, there) in zip(fewer, more, strict=True):
        np.testing.assert_array_equal(y, same)
        np.testing.assert_array_equal(places, there)
        assert (fuller >= x).all()
        changed = (fuller > x).sum((1, 2, 3))
        assert changed.max() == 9 and np.mean(changed > 0) > 0.8


def test_a_piece_is_part_of_another_image():
    images = np.arange(5 * 64, dtype="float32").reshape(5, 8, 8)
    chosen = np.repeat(np.arange(5), 200)
    generator = np.random.RandomState(0)
    pieces, corners = _cut_pieces(images, chosen, 12, generator)
    assert pieces.shape == (1000, 3, 3)
    sources, inside = np.divmod(pieces, 64)
    assert (sources == sources[:, :1, :1]).all()
    others = sources[:, 0, 0]
    for image in range(5):
        assert set(others[chosen == image]) == set(range(5)) - {image}
    step = np.array([[0, 1, 2], [8, 9, 10], [16, 17, 18]])
    np.testing.assert_array_equal(inside - inside[:, :1, :1], step + 0 * inside)
    assert set(inside[:, 0, 0] % 8) == set(range(6))
    assert corners.min() == 0 and corners.max() == 9


def test_folds_are_different_and_come_again():
    first, again, other = (
        load_cluttered_digits(50, fold=fold) for fold in (1, 1, 2)
    )
    for part, same, another in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(part[0], same[0])
        assert not np.array_equal(part[0], another[0])
    assert not np.array_equal(first[0][0], first[1][0][:50])


def test_numbers_of_the_docstring():
    right, labels = [], []
    for fold in range(10):
        _, (x, y, places) = load_cluttered_digits(1, places=True, fold=fold)
        model = SVC().fit(*load_digits(fold=fold, flat=True)[0])
        right.append(model.score(cut_digits(x, places).reshape(-1, 64), y))
        labels.extend(y)
    assert np.mean(right) == pytest.approx(0.960, abs=0.003)
    assert np.bincount(labels) / len(labels) == pytest.approx(0.10, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"examples": 0},
            "Invalid value for argument `examples`: expected a positive "
            "integer. Received: examples=0",
        ),
        (
            {"canvas": 7},
            "Invalid value for argument `canvas`: expected an integer of at "
            "least 8. Received: canvas=7",
        ),
        (
            {"pieces": 1.5},
            "Invalid value for argument `pieces`: expected a non-negative "
            "integer. Received: pieces=1.5",
        ),
        (
            {"places": 1},
            "Invalid value for argument `places`: expected a boolean. "
            "Received: places=1",
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
        load_cluttered_digits(**arguments)
    assert str(caught.value) == message
