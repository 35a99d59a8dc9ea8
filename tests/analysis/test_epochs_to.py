"""Where a curve first gets to a level, also one that has gaps."""

import re

import numpy as np
import pytest

from kerasrecipes.analysis import epochs_to


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.5, 0.6, 0.8, 0.9], 2.5),  # halfway from the second to the third
        ([0.8, 0.6, 0.9], 1),
        ([0.1, 0.7, 0.9], 2),
        ([0.1, 0.2], 3),
        ([0.1, float("nan"), float("nan")], 4),
        ([0.7], 1),
        ([0.6], 2),
        # No line comes from a number that is none, and none goes to infinity.
        ([0.1, float("nan"), 0.9], 3),
        ([float("-inf"), 0.9], 2),
        ([0.1, float("inf")], 1),
    ],
)
def test_where_the_curve_meets_the_level(curve, expected):
    assert epochs_to(0.7, curve) == pytest.approx(expected)


def test_of_a_falling_curve_the_negative():
    assert epochs_to(-0.3, -np.array([1.0, 0.5, 0.1])) == pytest.approx(2.5)


def test_an_earlier_curve_is_never_later():
    generator = np.random.default_rng(0)
    for curve in generator.random((50, 8)):
        found = [epochs_to(level, curve) for level in (0.2, 0.5, 0.9)]
        assert found == sorted(found)


SEQUENCE = "a sequence of numbers, at least one"


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ({"level": "0.7"}, "a finite number. Received: level='0.7'"),
        (
            {"level": float("nan")},
            "a finite number. Received: level=nan",
        ),
        ({"curve": []}, f"{SEQUENCE}. Received: curve=[]"),
        ({"curve": 0.7}, f"{SEQUENCE}. Received: curve=0.7"),
        ({"curve": "loss"}, f"{SEQUENCE}. Received: curve='loss'"),
        ({"curve": {0.7}}, f"{SEQUENCE}. Received: curve={{0.7}}"),
        ({"curve": [[0.7]]}, f"{SEQUENCE}. Received: curve=[[0.7]]"),
        (
            {"curve": [[1], [1, 2]]},
            f"{SEQUENCE}. Received: curve=[[1], [1, 2]]",
        ),
    ],
)
def test_bad_arguments(bad, expected):
    (name,) = bad
    message = f"Invalid value for argument `{name}`: expected {expected}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        epochs_to(**{"level": 0.7, "curve": [0.5, 0.9], **bad})
