"""Additions as text: read back by hand, chance level, blanks, seeds."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrecipes.datasets import additions, make_additions


def spell(row):
    return "".join(additions.SIGNS[sign] for sign in row)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 9), st.none() | st.integers(0, 12), st.integers(0, 2**32 - 1)
)
def test_answers_by_hand(digits, blanks, seed):
    length = None if blanks is None else 2 * digits + 1 + blanks
    x, y = make_additions(20, digits, length, seed)
    assert x.dtype == y.dtype == "int32"
    assert x.shape == (20, length or 2 * digits + 1)
    assert y.shape == (20, digits + 2)
    for question, answer in zip(x, y, strict=True):
        number = rf"([1-9]\d{{{digits - 1}}})"
        pattern = rf" *{number} *\+ *{number} *"
        a, b = re.fullmatch(pattern, spell(question)).groups()
        expected = f"{int(a) + int(b)}".ljust(digits + 2, ".")
        assert spell(answer) == expected


def test_all_questions_are_there_once():
    x, _ = make_additions(8100, seed=7)
    assert len(np.unique(x, axis=0)) == 8100
    # In random order: the first half of them has every first digit as often.
    counts = np.bincount(x[:4050, 0])[1:]
    assert counts.min() > 380 and counts.max() < 520


def test_chance_level():
    """The docstring's, with all questions of two digits."""
    _, y = make_additions(8100)
    ((_, count),) = Counter(map(spell, y)).most_common(1)
    assert count == 90  # of 8,100: 1 in 90
    assert "1.1 % with 2 digits" in " ".join(make_additions.__doc__.split())


def test_blanks_are_in_four_places_alike():
    x, _ = make_additions(8000, length=8)
    gaps = [
        [len(gap) for gap in re.split(r"\d+|\+", spell(question))]
        for question in x
    ]
    # Three blanks, each in one of four places; a standard error is 0.009.
    np.testing.assert_allclose(np.mean(gaps, axis=0), 0.75, atol=0.04)


def test_a_smaller_set_is_the_beginning():
    large, small = make_additions(900, 2, 9, 5), make_additions(30, 2, 9, 5)
    for one, other in zip(large, small, strict=True):
        np.testing.assert_array_equal(one[:30], other)


def test_blanks_change_no_numbers():
    short, long = make_additions(40, seed=2), make_additions(40, 2, 11, 2)
    packed = [spell(question).replace(" ", "") for question in long[0]]
    assert packed == [spell(question) for question in short[0]]
    np.testing.assert_array_equal(short[1], long[1])


def test_seeds():
    first, again, other = (make_additions(50, 3, 9, s) for s in (3, 3, 4))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"questions": 0}, "an integer from 1 to 8100, the number of pairs"),
        ({"questions": 8101}, "an integer from 1 to 8100, the number of pairs"),
        ({"digits": 0}, "an integer from 1 to 9"),
        ({"digits": 10}, "an integer from 1 to 9"),
        ({"digits": 2.0}, "an integer from 1 to 9"),
        ({"length": 4}, "None or an integer of at least 5"),
        ({"length": True}, "None or an integer of at least 5"),
        ({"seed": -1}, "a non-negative integer below 2 ** 32"),
    ],
)
def test_bad_arguments(arguments, expected):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError) as caught:
        make_additions(**{"questions": 3, **arguments})
    assert str(caught.value) == (
        f"Invalid value for argument `{name}`: expected {expected}. "
        f"Received: {name}={value!r}"
    )
