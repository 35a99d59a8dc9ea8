"""Real digits that are read bit by bit: pixel by pixel, or row by row."""

import numpy as np

from kerasrecipes.checks import invalid_argument
from kerasrecipes.datasets.bundled import load_digits

ORDERS = ("rows", "pixels", "permuted pixels")


def load_sequential_digits(examples=None, order="pixels", fold=0):
    """Handwritten digits as sequences, to be told apart at their ends.

    The images of `load_digits`, 8 by 8 pixels, are read from the upper left to
    the lower right: `"rows"` in 8 steps of a row each, `"pixels"` in 64 steps
    of a pixel each. `"permuted pixels"` has the pixels in a random order, the
    same for every image and every fold, so that what is near in the image may
    be far apart in the sequence. It is the small form of sequential MNIST,
    which has 784 steps.

    Chance level: an accuracy of 0.102, the share of the most frequent class.

    Baseline: an accuracy of 0.987, the mean over the folds 0 to 9 of
    scikit-learn's `SVC()` on the flattened sequences, all steps at once.

    Args:
        examples: integer, how many to train on, at least 10. Defaults to
            `None`: the whole training part.
        order: one of `"rows"`, `"pixels"` and `"permuted pixels"`. Defaults to
            `"pixels"`.
        fold: non-negative integer, as a rule the seed of a trial: see
            `load_digits`. Defaults to `0`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `x` is float32 in [0, 1] of
        shape `(n, 8, 8)` for rows and `(n, 64, 1)` for pixels; `y` is int32 of
        shape `(n,)`, from 0 to 9.

    Raises:
        ValueError: if an argument is not as described above.

    Reference:
        - [Alpaydin and Kaynak, 1998](https://doi.org/10.24432/C50P49)
        - [Le et al., 2015](https://arxiv.org/abs/1504.00941): MNIST by pixels.
    """
    if order not in ORDERS:
        expected = f"one of {', '.join(map(repr, ORDERS))}"
        raise invalid_argument("order", expected, order)
    parts = load_digits(examples, fold=fold, flat=True)
    places = np.arange(64)
    if order == "permuted pixels":
        # NumPy keeps the stream of this older generator the same in every
        # version.
        places = np.random.RandomState(0).permutation(64)
    shape = (-1, 8, 8) if order == "rows" else (-1, 64, 1)
    return tuple((x[:, places].reshape(shape), y) for x, y in parts)
