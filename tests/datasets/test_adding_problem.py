"""The adding problem: sums by hand, marks, chance level, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrecipes.datasets import make_adding_problem


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_sums_by_hand(length, seed):
    x, y = make_adding_problem(7, length, seed)
    for steps, target in zip(x.tolist(), y[:, 0].tolist(), strict=True):
        marked = [i for i, (_, mark) in enumerate(steps) if mark == 1]
        first, second = marked
        assert first < length // 2 <= second
        assert {mark for _, mark in steps} <= {0, 1}
        added = steps[first][0] + steps[second][0]
        assert target == pytest.approx(added, abs=1e-6)


def test_shapes_types_and_ranges():
    x, y = make_adding_problem(500, 5)
    assert x.shape == (500, 5, 2) and y.shape == (500, 1)
    assert x.dtype == y.dtype == "float32"
    assert x.min() >= 0 and x.max() <= 1
    marked = x[:, :, 1].sum(axis=0)
    assert np.all(marked > 100)  # every step of a half has its turn


def test_chance_level():
    """The numbers of the docstring."""
    x, y = make_adding_problem(50_000, 6)
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.02)
    first = (x[:, :3, 0] * x[:, :3, 1]).sum(axis=1, keepdims=True)
    assert np.mean((y - first - 0.5) ** 2) == pytest.approx(1 / 12, rel=0.02)


def test_seeds():
    first, again, other = (make_adding_problem(20, seed=s) for s in (3, 3, 4))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"sequences": 0}, "a positive integer. Received: sequences=0"),
        ({"sequences": 2.5}, "a positive integer. Received: sequences=2.5"),
        ({"length": 1}, "an integer of at least 2. Received: length=1"),
        ({"length": True}, "an integer of at least 2. Received: length=True"),
        (
            {"seed": -1},
            "a non-negative integer below 2 ** 32. Received: seed=-1",
        ),
    ],
)
def test_bad_arguments(arguments, expected):
    (name,) = arguments
    with pytest.raises(ValueError) as caught:
        make_adding_problem(**{"sequences": 3, **arguments})
    message = f"Invalid value for argument `{name}`: expected {expected}"
    assert str(caught.value) == message
