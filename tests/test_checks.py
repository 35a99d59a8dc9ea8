import re

import numpy as np
import pytest

from kerasrecipes.checks import (
    check_integer,
    check_seed,
    invalid_argument,
    invalid_input,
    is_finite_number,
    is_integer,
    is_number,
)

INFINITE = [float("inf"), float("-inf"), float("nan"), np.float32("nan")]
NO_NUMBERS = [True, np.True_, None, "1", 1j, [1], np.ones(1)]


@pytest.mark.parametrize(
    ("check", "yes", "no"),
    [
        (is_integer, [0, -3, np.int8(3), 10**30], [0.0, *INFINITE]),
        (is_number, [0, 0.5, np.float32(0.5), *INFINITE], []),
        (is_finite_number, [0, 0.5, np.float32(0.5)], INFINITE),
    ],
)
def test_kinds_of_numbers(check, yes, no):
    assert all(check(value) is True for value in yes)
    assert not any(check(value) for value in [*no, *NO_NUMBERS])


def test_integers_come_back_as_pythons():
    for least, value, most in ((1, 1, 9), (1, np.uint8(9), 9), (-2, -2, -2)):
        found = check_integer("size", value, least, "a size", most)
        assert found == value and type(found) is int


@pytest.mark.parametrize("value", [0, 10, 2.0, True, None])
def test_a_refusal_names_what_was_expected_and_received(value):
    message = (
        "Invalid value for argument `size`: expected 1 to 9. "
        f"Received: size={value!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_integer("size", value, 1, "1 to 9", 9)
    assert str(invalid_argument("size", "1 to 9", value)) == message
    words = str(invalid_input("size", "1 to 9", f"size={value!r}"))
    assert words == message


def test_seeds_are_those_of_the_frozen_generator():
    for seed in (0, 2**32 - 1):
        np.random.RandomState(check_seed("seed", seed))
    for seed in (-1, 2**32):
        with pytest.raises(ValueError):
            np.random.RandomState(seed)
        with pytest.raises(ValueError, match=f"Received: seed={seed}$"):
            check_seed("seed", seed)
