"""Copy memory: its form by hand, its chance level, seeds, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrecipes.datasets import make_copy_memory


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(2, 9),
    st.integers(0, 2**32 - 1),
)
def test_form_by_hand(gap, length, symbols, seed):
    x, y = make_copy_memory(4, gap, length, symbols, seed)
    assert x.dtype == y.dtype == "int32"
    for given_, wanted in zip(x.tolist(), y.tolist(), strict=True):
        said = given_[:length]
        assert all(1 <= symbol <= symbols for symbol in said)
        wait = [0] * (gap - 1) + [symbols + 1]
        assert given_ == [*said, *wait, *[0] * length]
        assert wanted == [0] * (gap + length) + said


def test_chance_level():
    """The numbers of the docstring."""
    x, y = make_copy_memory(20_000, gap=5, length=3, symbols=4)
    assert np.mean(y[:, -3:] == 1) == pytest.approx(1 / 4, abs=0.01)
    # Certain of the blanks, and every symbol alike at the end.
    share = np.where(np.arange(x.shape[1]) < 8, 1.0, 1 / 4)
    assert -np.log(share).mean() == pytest.approx(3 * np.log(4) / (5 + 6))


def test_seeds():
    first, again, other = (make_copy_memory(9, 3, seed=s) for s in (3, 3, 4))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"sequences": 0}, "a positive integer. Received: sequences=0"),
        ({"gap": 0}, "a positive integer. Received: gap=0"),
        ({"length": 1.5}, "a positive integer. Received: length=1.5"),
        ({"symbols": 1}, "an integer of at least 2. Received: symbols=1"),
        (
            {"seed": -1},
            "a non-negative integer below 2 ** 32. Received: seed=-1",
        ),
    ],
)
def test_bad_arguments(arguments, expected):
    (name,) = arguments
    with pytest.raises(ValueError) as caught:
        make_copy_memory(**{"sequences": 3, "gap": 4, **arguments})
    message = f"Invalid value for argument `{name}`: expected {expected}"
    assert str(caught.value) == message
