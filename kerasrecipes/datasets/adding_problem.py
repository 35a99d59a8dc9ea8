"""The adding problem: two numbers, far apart, to be remembered and added."""

import numpy as np

from kerasrecipes.datasets.folds import _checked

_LAST_SEED = 2**32 - 1  # the largest that NumPy's frozen generator takes


def make_adding_problem(sequences, length=30, seed=0):
    """The sum of the two marked numbers of a sequence.

    Each step has a number drawn evenly from [0, 1] and a mark, which is 1 at
    one step of the first half and one of the second, else 0. The target is the
    sum of the two marked numbers: the first must be kept over many steps,
    which is what recurrent networks find hard.

    Chance level: a mean squared error of 1/6, the variance of the target,
    which is the error of always saying 1.

    Baseline: a mean squared error of 1/12 knows one of the two numbers.

    Args:
        sequences: positive integer, how many to make.
        length: integer, steps of each, at least 2. Defaults to `30`.
        seed: non-negative integer. Defaults to `0`.

    Returns:
        `x, y`: `x` is float32 in [0, 1] of shape `(sequences, length, 2)`,
        number and mark of each step; `y` is float32 in [0, 2] of shape
        `(sequences, 1)`.

    Raises:
        ValueError: if an argument is no integer or out of range.

    Reference:
        - [Hochreiter and Schmidhuber, 1997](
          https://doi.org/10.1162/neco.1997.9.8.1735)
        - [Le et al., 2015](https://arxiv.org/abs/1504.00941), whose task has
          one mark in each half.
    """
    sequences = _checked(
        "sequences", sequences, 1, np.inf, "a positive integer"
    )
    length = _checked("length", length, 2, np.inf, "an integer of at least 2")
    seed = _checked(
        "seed", seed, 0, _LAST_SEED, "a non-negative integer below 2 ** 32"
    )
    # NumPy keeps the stream of this older generator the same in every version.
    generator = np.random.RandomState(seed)
    half = length // 2
    x = np.zeros((sequences, length, 2), "float32")
    x[:, :, 0] = generator.random_sample((sequences, length))
    rows = np.arange(sequences)
    x[rows, generator.randint(0, half, sequences), 1] = 1.0
    x[rows, generator.randint(half, length, sequences), 1] = 1.0
    y = (x[:, :, 0] * x[:, :, 1]).sum(axis=1, keepdims=True)
    return x, y
