"""Expressions with brackets, as sequences of signs and as trees."""

import operator

import numpy as np

from kerasrecipes.checks import check_integer, check_seed, invalid_argument

_OPERATIONS = {
    "logic": {"&": operator.and_, "|": operator.or_, "^": operator.xor},
    "arithmetic": {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
    },
}
_VALUES = {"logic": 2, "arithmetic": 3}


def make_expressions(expressions, depth, shallowest=None, kind="logic", seed=0):
    """Random expressions and their values, to be read or to be computed.

    `"logic"` joins zeros and ones by and, or and exclusive or; `"arithmetic"`
    joins the digits 0 to 2 by plus, minus and times, and has values modulo 3.
    An expression of depth 0 is a digit. One of depth `d` joins an expression
    of depth `d - 1` and one of a depth from 0 to `d - 1`, all equally likely,
    in either order.

    Each is given twice. As a sequence it is written with all its brackets,
    such as `((1+2)*2)`. As a tree it comes in levels, the root alone in the
    last one and the two parts of an operation in the level before it, so that
    a network can compute all nodes of a level at once.

    Chance level: an accuracy of 0.50 for logic, and of 0.45 for arithmetic,
    whose products are often 0: the shares of the most frequent values at
    depth 3.

    Args:
        expressions: positive integer, how many to make.
        depth: integer, the depth of the deepest, not negative.
        shallowest: integer from 0 to `depth`. Every depth from this one on is
            equally likely. Defaults to `None`: all are of depth `depth`.
        kind: `"logic"` or `"arithmetic"`. Defaults to `"logic"`.
        seed: non-negative integer. Defaults to `0`.

    Returns:
        `tokens, symbols, children, y`, of type int32. `tokens`, of shape
        `(expressions, longest)`, has the numbers of signs in the list
        `expression_signs(kind)`, and 0 after the end. `symbols`, of shape
        `(expressions, depth + 1, width)`, has those of the nodes, level by
        level, and 0 where there is none. `children` has a last axis of size 2
        more: where a node finds its left and its right part in the level
        before, counted from 1, and 0 where it has none. `y`, of shape
        `(expressions,)`, are the values.

    Raises:
        ValueError: if an argument is not as described above.
    """
    check_integer("expressions", expressions, 1, "a positive integer")
    check_integer("depth", depth, 0, "a non-negative integer")
    if shallowest is None:
        shallowest = depth
    expected = "an integer from 0 to `depth`"
    check_integer("shallowest", shallowest, 0, expected, most=depth)
    signs = expression_signs(kind)
    # NumPy keeps the stream of this older generator the same in every version.
    generator = np.random.RandomState(check_seed("seed", seed))
    depths = generator.randint(shallowest, depth + 1, expressions)
    trees = [_grow(each, kind, generator) for each in depths]

    texts = [_write(tree) for tree in trees]
    tokens = np.zeros((expressions, max(map(len, texts))), "int32")
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = [signs.index(sign) for sign in text]
    laid_out = [_lay_out(tree, depth) for tree in trees]
    width = max(len(level) for levels in laid_out for level in levels)
    nodes = np.zeros((expressions, depth + 1, width, 3), "int32")
    for tree, levels in zip(nodes, laid_out, strict=True):
        for row, level in zip(tree, levels, strict=True):
            for node, (sign, *parts) in zip(row, level, strict=False):
                node[:] = signs.index(sign), *parts
    values = [_value(tree, _OPERATIONS[kind]) % _VALUES[kind] for tree in trees]
    return tokens, nodes[..., 0], nodes[..., 1:], np.array(values, "int32")


def expression_signs(kind):
    """The signs that expressions are written with.

    Args:
        kind: `"logic"` or `"arithmetic"`.

    Returns:
        List of strings, each at the place of its number; at place 0 is the
        empty string, which fills up.

    Raises:
        ValueError: if `kind` is another one.
    """
    if not isinstance(kind, str) or kind not in _OPERATIONS:
        raise invalid_argument("kind", "'logic' or 'arithmetic'", kind)
    digits = [str(digit) for digit in range(_VALUES[kind])]
    return ["", *digits, *_OPERATIONS[kind], "(", ")"]


def _grow(depth, kind, generator):
    """A digit, or a tuple of an operation's sign and its two parts."""
    if depth == 0:
        return str(generator.randint(_VALUES[kind]))
    parts = [
        _grow(depth - 1, kind, generator),
        _grow(generator.randint(depth), kind, generator),
    ]
    if generator.randint(2):
        parts.reverse()
    return list(_OPERATIONS[kind])[generator.randint(3)], *parts


def _write(tree):
    if isinstance(tree, str):
        return tree
    sign, left, right = tree
    return f"({_write(left)}{sign}{_write(right)})"


def _value(tree, operations):
    if isinstance(tree, str):
        return int(tree)
    sign, left, right = tree
    return operations[sign](_value(left, operations), _value(right, operations))


def _lay_out(tree, depth):
    """Levels of nodes, each a sign and where its parts are in the level before.

    From the root down, so that the parts of a level's nodes are the next one.
    """
    levels, level = [], [tree]
    for _ in range(depth + 1):
        nodes, parts = [], []
        for node in level:
            if isinstance(node, str):
                nodes.append((node, 0, 0))
            else:
                nodes.append((node[0], len(parts) + 1, len(parts) + 2))
                parts += node[1:]
        levels.append(nodes)
        level = parts
    return levels[::-1]
