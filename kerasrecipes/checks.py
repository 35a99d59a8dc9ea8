"""Checks of arguments, which refuse bad ones in the same words everywhere."""

import math
import numbers


def is_integer(value):
    """Whether a value is an integer; NumPy's are, booleans are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value):
    """Whether a value is a real number; NaN and infinity are."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_finite_number(value):
    """Whether a value is a real number, neither NaN nor infinite."""
    return is_number(value) and math.isfinite(value)


def check_integer(name, value, least, expected, most=math.inf):
    """An argument as an integer of Python.

    Args:
        name: the argument's name.
        value: what it is.
        least: the smallest that it may be.
        expected: what it should be, in words.
        most: the largest that it may be.

    Returns:
        The value, as `int`.

    Raises:
        ValueError: if it is no integer, or out of range.
    """
    if not is_integer(value) or not least <= value <= most:
        raise invalid_argument(name, expected, value)
    return int(value)


def check_seed(name, value):
    """An argument that NumPy's frozen generator takes as a seed.

    Args:
        name: the argument's name.
        value: what it is.

    Returns:
        The value, as `int`.

    Raises:
        ValueError: if it is no integer from 0 to 2 ** 32 - 1.
    """
    expected = "a non-negative integer below 2 ** 32"
    return check_integer(name, value, 0, expected, most=2**32 - 1)


def invalid_argument(name, expected, value):
    """The error to raise for an argument.

    Args:
        name: the argument's name.
        expected: what it should be, in words.
        value: what it is.

    Returns:
        A `ValueError` with all three in one line.
    """
    return invalid_input(name, expected, f"{name}={value!r}")


def invalid_input(name, expected, received):
    """The same where the value itself would say too little, or too much.

    Args:
        name: the argument's name.
        expected: what it should be, in words.
        received: what it is, in words.

    Returns:
        A `ValueError` with all three in one line.
    """
    return ValueError(
        f"Invalid value for argument `{name}`: expected {expected}. "
        f"Received: {received}"
    )
