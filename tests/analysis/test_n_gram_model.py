"""The n-gram model against counts by hand, and a recursion over lists."""

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrecipes.analysis import NGramModel


def test_counts_by_hand():
    """The text is abracadabra, with a, b, c, d, r as 0 to 4."""
    model = NGramModel([0, 1, 4, 0, 2, 0, 3, 0, 1, 4, 0], order=2, signs=6)
    # Below all, 1/6 for each of six signs. In the text five kinds came after
    # the empty context, eleven times: (count + 5 / 6) / (11 + 5).
    one = (np.array([5, 2, 1, 1, 2, 0]) + 5 / 6) / 16
    np.testing.assert_allclose(model.predict([]), one)
    # After a came b, c, d and b: three kinds, four times.
    after_a = (np.array([0, 2, 1, 1, 0, 0]) + 3 * one) / 7
    np.testing.assert_allclose(model.predict([0]), after_a)
    # After b came r, twice; only the last sign of a context counts.
    after_b = (np.array([0, 0, 0, 0, 2, 0]) + 1 * one) / 3
    np.testing.assert_allclose(model.predict([[1], [0]]), [after_b, after_a])
    np.testing.assert_allclose(model.predict([3, 2, 1]), after_b)
    # Sign 5 was never there: what follows it is what follows anything.
    np.testing.assert_allclose(model.predict([5]), one)
    bits = -np.log2([after_a[1], after_b[4], one[0]])
    np.testing.assert_allclose(model.bits([0, 1, 4])[:2], bits[:2])


def by_recursion(text, context, sign, signs):
    """The formula in words of lists: the longest context first."""
    if context is None:
        return 1 / signs
    size = len(context)
    after = [
        text[place + size]
        for place in range(len(text) - size)
        if text[place : place + size] == context
    ]
    shorter = by_recursion(text, context[1:] if size else None, sign, signs)
    if not after:
        return shorter
    kinds = len({*after})
    return (Counter(after)[sign] + kinds * shorter) / (len(after) + kinds)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
    st.integers(1, 5),
    st.lists(st.integers(0, 4), min_size=4, max_size=4),
)
def test_equals_the_recursion(text, order, context):
    model = NGramModel(text, order, signs=5)
    used = context[len(context) - order + 1 :]
    expected = [by_recursion(text, used, sign, 5) for sign in range(5)]
    np.testing.assert_allclose(model.predict(context), expected, atol=1e-12)
    assert model.predict(context).sum() == pytest.approx(1, abs=1e-12)


def test_bits_are_those_of_the_predictions():
    generator = np.random.default_rng(0)
    text, test = generator.integers(7, size=500), generator.integers(7, size=40)
    model = NGramModel(text, 4)
    assert model.signs == 7
    expected = [
        -math.log2(model.predict(test[place - 3 : place])[test[place]])
        for place in range(3, 40)
    ]
    np.testing.assert_allclose(model.bits(test), expected)


def test_learns_what_is_certain():
    text = np.tile([0, 1, 2, 0, 2, 1], 500)
    assert NGramModel(text, 3).bits(text).mean() < 0.01
    assert NGramModel(text, 1).bits(text).mean() == pytest.approx(
        math.log2(3), abs=1e-3
    )


def test_a_text_shorter_than_the_order():
    model = NGramModel([1, 0], order=5, signs=2)
    assert model.predict([0, 1, 0, 1]).sum() == pytest.approx(1)
    np.testing.assert_allclose(model.predict([1]), [(1 + 0.5) / 2, 0.5 / 2])


def test_short_contexts_are_those_of_a_lower_order():
    text = np.random.default_rng(1).integers(4, size=300)
    high, low = NGramModel(text, 5), NGramModel(text, 3)
    for context in ([], [2], [1, 3]):
        np.testing.assert_array_equal(
            high.predict(context), low.predict(context)
        )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"text": []}, "`text`: expected at least one sign. Received: none"),
        (
            {"text": [[0, 1]]},
            "`text`: expected an array of rank 1. Received: shape (1, 2)",
        ),
        (
            {"text": [0.0, 1.0]},
            "`text`: expected integers from 0 on. Received: float64 from 0.0 "
            "to 1.0",
        ),
        (
            {"text": [0, -1]},
            "`text`: expected integers from 0 on. Received: int64 from -1 to 0",
        ),
        (
            {"order": 0},
            "`order`: expected an integer from 1 to 31 with 4 signs. Received: "
            "order=0",
        ),
        (
            {"order": 32},
            "`order`: expected an integer from 1 to 31 with 4 signs. Received: "
            "order=32",
        ),
        (
            {"signs": 2},
            "`signs`: expected an integer above 2, the largest of the text. "
            "Received: signs=2",
        ),
    ],
)
def test_bad_arguments(arguments, expected):
    given = {"text": [0, 1, 2], "order": 2, "signs": 4} | arguments
    message = f"Invalid value for argument {expected}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        NGramModel(**given)


@pytest.mark.parametrize(
    ("method", "given", "expected"),
    [
        (
            "predict",
            [4],
            "`contexts`: expected integers from 0 to 3. Received: int64 from 4 "
            "to 4",
        ),
        (
            "predict",
            [[[1]]],
            "`contexts`: expected an array of rank 1 or 2. Received: shape "
            "(1, 1, 1)",
        ),
        ("bits", [1], "`text`: expected at least 2 signs. Received: 1"),
    ],
)
def test_bad_inputs(method, given, expected):
    model = NGramModel([0, 1, 2], 2, signs=4)
    message = f"Invalid value for argument {expected}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(model, method)(given)
