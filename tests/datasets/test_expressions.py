"""Expressions: values by a stack, trees that say the same, chance levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrecipes.datasets import expression_signs, make_expressions

JOIN = {
    "&": lambda a, b: int(a and b),
    "|": lambda a, b: int(a or b),
    "^": lambda a, b: int(a != b),
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}


def value_and_depth(text):
    """Reads an expression from left to right, with a stack."""
    stack = []
    for sign in text:
        if sign.isdigit():
            stack.append((int(sign), 0))
        elif sign == ")":
            (left, depth), join, (right, other) = stack[-3:]
            # An opening bracket and three parts make one.
            assert stack[-4] == "("
            stack[-4:] = [(join(left, right), 1 + max(depth, other))]
        else:
            stack.append(JOIN.get(sign, sign))
    (found,) = stack
    return found


def write(symbols, children, signs, level, number):
    """What a tree's node stands for."""
    node = number - 1
    sign = signs[symbols[level, node]]
    if sign.isdigit():
        assert not children[level, node].any()
        return sign
    left, right = (
        write(symbols, children, signs, level - 1, part)
        for part in children[level, node]
    )
    return f"({left}{sign}{right})"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), st.sampled_from(("logic", "arithmetic")), st.data())
def test_values_and_trees(depth, kind, data):
    shallowest = data.draw(st.integers(0, depth))
    seed = data.draw(st.integers(0, 2**32 - 1))
    tokens, symbols, children, y = make_expressions(
        6, depth, shallowest, kind, seed
    )
    assert {a.dtype for a in (tokens, symbols, children, y)} == {
        np.dtype("int32")
    }
    assert symbols.shape[:2] == (6, depth + 1)
    assert children.shape == (*symbols.shape, 2)
    signs = expression_signs(kind)
    for row, *tree, right in zip(tokens, symbols, children, y, strict=True):
        text = "".join(signs[number] for number in row)
        value, height = value_and_depth(text)
        assert shallowest <= height <= depth
        assert right == value % (2 if kind == "logic" else 3)
        assert write(*tree, signs, depth, 1) == text
        # Every node is a part of the root: no sign stands for nothing.
        operands = sum(sign not in "()" for sign in text)
        assert np.count_nonzero(tree[0]) == operands


def test_depths_are_equally_likely():
    _, symbols, _, _ = make_expressions(4000, 4, 1)
    levels = (symbols > 0).any(axis=-1).sum(axis=-1)
    shares = np.bincount(levels - 1, minlength=5) / 4000
    np.testing.assert_allclose(shares, [0, *[1 / 4] * 4], atol=0.03)
    assert make_expressions(1, 20, seed=3)[1].shape[1] == 21


@pytest.mark.parametrize(
    ("kind", "share"), [("logic", 0.50), ("arithmetic", 0.45)]
)
def test_chance_level(kind, share):
    """The numbers of the docstring."""
    *_, y = make_expressions(20_000, 3, kind=kind)
    most = np.bincount(y).max() / len(y)
    assert most == pytest.approx(share, abs=0.01)


def test_seeds():
    first, again, other = (make_expressions(20, 3, seed=s) for s in (3, 3, 4))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert first[0].tolist() != other[0].tolist()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"expressions": 0}, "a positive integer. Received: expressions=0"),
        ({"depth": -1}, "a non-negative integer. Received: depth=-1"),
        (
            {"shallowest": 4},
            "an integer from 0 to `depth`. Received: shallowest=4",
        ),
        ({"kind": "sets"}, "'logic' or 'arithmetic'. Received: kind='sets'"),
        (
            {"kind": ["sets"]},
            "'logic' or 'arithmetic'. Received: kind=['sets']",
        ),
        (
            {"seed": -1},
            "a non-negative integer below 2 ** 32. Received: seed=-1",
        ),
    ],
)
def test_bad_arguments(arguments, expected):
    (name,) = arguments
    with pytest.raises(ValueError) as caught:
        make_expressions(**{"expressions": 3, "depth": 3, **arguments})
    message = f"Invalid value for argument `{name}`: expected {expected}"
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", ["sets", None, {"logic": 1}])
def test_bad_kinds_of_signs(kind):
    with pytest.raises(ValueError) as caught:
        expression_signs(kind)
    assert str(caught.value) == (
        "Invalid value for argument `kind`: expected 'logic' or 'arithmetic'. "
        f"Received: kind={kind!r}"
    )
