"""Sequences with a label at each step that needs what comes later.

Made anew from a seed, as much as one wants. A network that reads forward has
seen the past alone: each docstring says how far that can bring it.
"""

import numbers

import numpy as np

from kerasrecipes.datasets.folds import _checked

_LAST_SEED = 2**32 - 1  # the largest that NumPy's frozen generator takes
_DECIDED_BY = ("next", "previous", "both")


def make_share_of_sum(sequences, length=12, share=0.5, seed=0):
    """Sequences whose running sum passes a share of their whole sum.

    With values `v` between 0 and 1, the label of step `t` is 1 where
    `v_1 + ... + v_t >= share * (v_1 + ... + v_length)`, else 0. The left side
    is the past, the right side needs the future as well. A fixed threshold in
    its place, as tutorials have it, depends on the past alone.

    A value is the fourth power of a number drawn evenly from [0, 1]: a few
    large ones decide, so that the position alone says little.

    Chance level: with 12 steps and half the sum, an accuracy of 0.54 by always
    saying 1, and of 0.85 by the position alone. The best that can be said
    from the past, or from the future, is right in 0.90 of the steps; from
    both, always.

    Args:
        sequences: positive integer, how many to make.
        length: integer, steps of each, at least 2. Defaults to `12`.
        share: number between 0 and 1, both left out. Defaults to `0.5`.
        seed: non-negative integer. Defaults to `0`.

    Returns:
        `x, y, weights`: `x` is float32 in [0, 1] of shape `(sequences,
        length, 1)`; `y` is int32 of shape `(sequences, length)`, zeros and
        then ones, of which the last step always is one; `weights` is float32
        of the shape of `y`, all 1, for every step has its label.

    Raises:
        ValueError: if an argument is of the wrong kind or out of range.

    Reference:
        - [Schuster and Paliwal, 1997](https://doi.org/10.1109/78.650093):
          networks that read in both directions.
    """
    generator = _generator(sequences, length, seed)
    is_number = isinstance(share, numbers.Real) and not isinstance(share, bool)
    if not is_number or not 0 < share < 1:
        raise ValueError(
            "Invalid value for argument `share`: expected a number between 0 "
            f"and 1. Received: share={share!r}"
        )
    x = generator.random_sample((sequences, length, 1)).astype("float32") ** 4
    # In float64, so that the label does not hang on the order of the sum.
    past = np.cumsum(x[:, :, 0], axis=1, dtype="float64")
    y = past >= share * past[:, -1:]
    return x, y.astype("int32"), np.ones(y.shape, "float32")


def make_marked_words(sequences, length=12, decided_by="next", seed=0):
    """Words between marks: a mark says what the words around it are.

    There are two marks, 1 and 2, as `.` and `?` at the end of a sentence, and
    eight words, 3 to 10, which mean nothing by themselves. Each sequence
    begins and ends with a mark, and any other step is a mark with probability
    1/4. A word's tag is, as `decided_by` says:

    - `"next"`: 1 if the next mark after it is 2 (is it part of a question?);
    - `"previous"`: 1 if the last mark before it is 2;
    - `"both"`: 1 if these two are the same (a quotation that is closed as it
      was opened).

    Chance level: an accuracy of 0.5 on the words. For `"next"` it is all that
    the past can give, for `"previous"` all that the future can, for `"both"`
    all that either can: the two marks are independent and even, and a word
    has seen only one of them.

    Args:
        sequences: positive integer, how many to make.
        length: integer, steps of each, at least 2. Defaults to `12`.
        decided_by: string, one of `"next"`, `"previous"`, `"both"`. Defaults
            to `"next"`.
        seed: non-negative integer. Equal seeds give equal words and marks,
            whatever decides. Defaults to `0`.

    Returns:
        `x, y, weights`, each of shape `(sequences, length)`: `x` is int32,
        from 1 to 10; `y` is int32, the tags, 0 at a mark; `weights` is float32,
        1 at a word and 0 at a mark, where there is nothing to tell.

    Raises:
        ValueError: if an argument is of the wrong kind or out of range.
    """
    if decided_by not in _DECIDED_BY:
        raise ValueError(
            "Invalid value for argument `decided_by`: expected one of "
            f"{_DECIDED_BY}. Received: decided_by={decided_by!r}"
        )
    generator = _generator(sequences, length, seed)
    shape = (sequences, length)
    is_mark = generator.random_sample(shape) < 0.25
    is_mark[:, [0, -1]] = True
    marks, words = (
        generator.randint(1, 3, shape),
        generator.randint(3, 11, shape),
    )
    x = np.where(is_mark, marks, words)

    # Each step's place of the last mark up to it, and of the first from it on.
    steps = np.arange(length)
    previous = np.maximum.accumulate(np.where(is_mark, steps, 0), axis=1)
    backwards = np.where(is_mark, steps, length - 1)[:, ::-1]
    following = np.minimum.accumulate(backwards, axis=1)[:, ::-1]
    before = np.take_along_axis(x, previous, axis=1)
    after = np.take_along_axis(x, following, axis=1)
    tags = {
        "next": after == 2,
        "previous": before == 2,
        "both": before == after,
    }
    y = np.where(is_mark, False, tags[decided_by])
    return x.astype("int32"), y.astype("int32"), (~is_mark).astype("float32")


def _generator(sequences, length, seed):
    """A random generator, after a look at what all tasks are asked for."""
    _checked("sequences", sequences, 1, np.inf, "a positive integer")
    _checked("length", length, 2, np.inf, "an integer of at least 2")
    seed = _checked(
        "seed", seed, 0, _LAST_SEED, "a non-negative integer below 2 ** 32"
    )
    # NumPy keeps the stream of this older generator the same in every version.
    return np.random.RandomState(seed)
