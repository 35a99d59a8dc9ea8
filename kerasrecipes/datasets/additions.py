"""Addition as text: a question such as 47+85 and its answer, sign by sign."""

import numpy as np

from kerasrecipes.checks import check_integer, check_seed

SIGNS = "0123456789+. "
_PLUS, _DOT, _BLANK = (SIGNS.index(sign) for sign in "+. ")
_MOST_DIGITS = 9  # more pairs of longer numbers than int64 can count


def make_additions(questions, digits=2, length=None, seed=0):
    """Sums of two numbers, written out as text, and their answers.

    Both numbers have `digits` digits, the first of them not zero, and all
    pairs of such numbers are equally likely. An answer has as many digits or
    one more, so that it tells where it ends, by a dot; what is left of its
    row are dots as well. A question may be longer than its signs: then blanks
    stand in front of it, behind it and around the plus, each in one of these
    four places at random. With `digits=2`, without `length` and with
    `length=8`:

    ```
    x:  4 7 + 8 5      _ 1 2 _ _ + 3 4
    y:  1 3 2 .        4 6 . .
    ```

    A sign is its place in `SIGNS`: a digit is itself, 10 is the plus, 11 the
    dot and 12 the blank. No question is there twice, so that no part of them
    has one of another part; `a+b` and `b+a` are two questions. A smaller set
    of a seed is the beginning of a larger one, and has the same numbers
    whatever the length.

    Who writes from left to right has to say first what is known last: whether
    the carries of all later digits run through to the front.

    Chance level: a whole answer is right in 1 of `9 * 10 ** (digits - 1)`
    cases, by always saying the most frequent sum: 1.1 % with 2 digits.

    Args:
        questions: positive integer, how many to make, at most the number of
            pairs, `81 * 100 ** (digits - 1)`.
        digits: integer, digits of each number, from 1 to 9. Defaults to `2`.
        length: integer, signs of a question, at least `2 * digits + 1`.
            Defaults to `None`: as many as that.
        seed: non-negative integer. Defaults to `0`.

    Returns:
        `x, y`: int32 arrays of numbers from 0 to 12; `x` has the shape
        `(questions, length)`, `y` has `(questions, digits + 2)`.

    Raises:
        ValueError: if an argument is no integer or out of range.

    Reference:
        - [Zaremba and Sutskever, 2014](https://arxiv.org/abs/1410.4615):
          addition among other programs to be carried out.
    """
    expected = f"an integer from 1 to {_MOST_DIGITS}"
    digits = check_integer("digits", digits, 1, expected, _MOST_DIGITS)
    numbers = 9 * 10 ** (digits - 1)
    expected = f"an integer from 1 to {numbers**2}, the number of pairs"
    check_integer("questions", questions, 1, expected, numbers**2)
    least = 2 * digits + 1
    if length is not None:
        expected = f"None or an integer of at least {least}"
        check_integer("length", length, least, expected)
    seed = check_seed("seed", seed)

    pairs = _draw_pairs(questions, numbers, seed)
    a, b = np.add(np.divmod(pairs, numbers), 10 ** (digits - 1))
    plus = np.full((questions, 1), _PLUS)
    x = np.concatenate([_digits(a, digits), plus, _digits(b, digits)], axis=1)
    if length is not None:
        x = _spread(x, length, seed)
    end = np.full((questions, 1), _DOT)
    y = np.concatenate([_digits(a + b, digits + 1), end], axis=1)
    # A sum without a digit in front begins one place further to the left.
    shifted = np.concatenate([y[:, 1:], end], axis=1)
    y = np.where(y[:, :1] == 0, shifted, y)
    return x.astype("int32"), y.astype("int32")


def _draw_pairs(count, numbers, seed):
    """Different integers below `numbers ** 2`, in random order."""
    # NumPy keeps the stream of this older generator the same in every version.
    generator = np.random.RandomState(seed)
    pairs = np.array([], "int64")
    while len(pairs) < count:
        more = generator.randint(0, numbers**2, count, dtype="int64")
        pairs = np.append(pairs, more)
        _, first = np.unique(pairs, return_index=True)
        pairs = pairs[np.sort(first)]
    return pairs[:count]


def _digits(numbers, count):
    """Digits of numbers, of shape `(numbers, count)`, zeros in front."""
    return numbers[:, np.newaxis] // 10 ** np.arange(count)[::-1] % 10


def _spread(x, length, seed):
    """Questions with blanks before, within and behind them."""
    count, signs = x.shape
    generator = np.random.RandomState([seed, 1])  # not the one of the pairs
    gaps = generator.multinomial(length - signs, [0.25] * 4, count)
    digits = signs // 2
    # The gap in front of each sign: only the first of a part has a new one.
    parts = np.repeat([0, 1, 2], [digits, 1, digits])
    places = np.arange(signs) + np.cumsum(gaps, axis=1)[:, parts]
    spread = np.full((count, length), _BLANK)
    np.put_along_axis(spread, places, x, axis=1)
    return spread
