"""Sums of different lengths: is what has been added up so far above zero?"""

import numpy as np

from kerasrecipes.checks import check_integer, check_seed


def make_signed_sums(sequences, shortest=3, longest=12, seed=0):
    """Sequences of words that stand for numbers, and the signs of their sums.

    Each step is a number from -5 to 5, all equally likely, written as a word
    from 1 to 11: the word less 6 is the number, and 0 is left for padding. The
    lengths are equally likely as well.

    Chance level: an accuracy of a little more than one half, since a sum of
    zero counts as not positive.

    Args:
        sequences: positive integer, how many to make.
        shortest: positive integer, the fewest steps. Defaults to `3`.
        longest: integer, the most steps, not below `shortest`. Defaults to
            `12`.
        seed: non-negative integer. Defaults to `0`.

    Returns:
        `words, signs`: lists of `sequences` arrays; `words` has int64 arrays
        of shape `(steps,)`, and `signs` has boolean ones of the same shapes,
        true where the sum up to and with a step is above zero.

    Raises:
        ValueError: if an argument is no integer or out of range.
    """
    sequences = check_integer("sequences", sequences, 1, "a positive integer")
    shortest = check_integer("shortest", shortest, 1, "a positive integer")
    longest = check_integer(
        "longest", longest, shortest, "an integer not below `shortest`"
    )
    # NumPy keeps the stream of this older generator the same in every version.
    generator = np.random.RandomState(check_seed("seed", seed))
    lengths = generator.randint(shortest, longest + 1, sequences)
    words = [
        generator.randint(1, 12, length, dtype="int64") for length in lengths
    ]
    return words, [np.cumsum(word - 6) > 0 for word in words]
