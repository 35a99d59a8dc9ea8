"""Copy memory: symbols to be repeated after a long wait."""

import numpy as np

from kerasrecipes.checks import check_integer, check_seed


def make_copy_memory(sequences, gap, length=10, symbols=8, seed=0):
    """Sequences of symbols to be repeated, in order, after a wait.

    A sequence has `length` random symbols, then blanks, then a sign that says
    "now", then blanks again. The answer is blank up to the sign, and after it
    the symbols. With `length=3`, `gap=4`, a dot for the blank and `+` for the
    sign:

    ```
    x:  b a c . . . + . . .
    y:  . . . . . . . b a c
    ```

    Each symbol has to be kept for `gap + length` steps. A network learns
    within a few updates when to answer with blanks, so that the share of right
    answers says little as long as the blanks are counted: look at the last
    `length` steps alone.

    Chance level: `1 / symbols` of the last `length` answers are right. Who
    knows when to answer, but not what, has a mean cross-entropy over all steps
    of `length * log(symbols) / (gap + 2 * length)`.

    Args:
        sequences: positive integer, how many to make.
        gap: positive integer, the steps between the last symbol and the first
            answer, the last of them the sign.
        length: positive integer, how many symbols are to be kept. Defaults to
            `10`.
        symbols: integer, how many kinds of symbols there are, at least 2.
            Defaults to `8`.
        seed: non-negative integer. Defaults to `0`.

    Returns:
        `x, y`: int32 arrays of shape `(sequences, gap + 2 * length)`. In both,
        0 is the blank and 1 to `symbols` are the symbols; in `x`,
        `symbols + 1` is the sign.

    Raises:
        ValueError: if an argument is no integer or out of range.

    Reference:
        - [Hochreiter and Schmidhuber, 1997](
          https://doi.org/10.1162/neco.1997.9.8.1735)
        - [Arjovsky et al., 2015](https://arxiv.org/abs/1511.06464), whose
          form of the task this is.
    """
    counts = {"sequences": sequences, "gap": gap, "length": length}
    for name, value in counts.items():
        check_integer(name, value, 1, "a positive integer")
    check_integer("symbols", symbols, 2, "an integer of at least 2")
    # NumPy keeps the stream of this older generator the same in every version.
    generator = np.random.RandomState(check_seed("seed", seed))
    x = np.zeros((sequences, gap + 2 * length), "int32")
    y = np.zeros_like(x)
    x[:, :length] = generator.randint(1, symbols + 1, (sequences, length))
    x[:, length + gap - 1] = symbols + 1
    y[:, length + gap :] = x[:, :length]
    return x, y
