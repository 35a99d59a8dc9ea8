"""Imbalanced classes: makes them, and balances them by sampling rows."""

import numpy as np

from kerasrecipes.checks import (
    check_integer,
    check_seed,
    invalid_argument,
    is_integer,
)


def step_counts(frequent, classes, ratio, seed=0):
    """Counts of classes of which half, drawn at random, are rare.

    That is the step imbalance of the study below, with half of the classes
    (rounded down) as minorities. A rare class has `frequent / ratio` examples,
    rounded down.

    Example:

    ```python
    rows = sample_rows(y, step_counts(100, classes=10, ratio=10))
    x, y = x[rows], y[rows]
    ```

    Args:
        frequent: positive integer, examples of a frequent class.
        classes: integer, at least 2, how many classes.
        ratio: integer from 1 to `frequent`, how many times rarer a rare class
            is.
        seed: non-negative integer below 2 ** 32, which draws the rare classes.
            Defaults to `0`.

    Returns:
        Array of integers of shape `(classes,)`.

    Raises:
        ValueError: if an argument is not as described above.

    Reference:
        - [Buda et al., 2018](https://arxiv.org/abs/1710.05381)
    """
    check_integer("frequent", frequent, 1, "a positive integer")
    check_integer("classes", classes, 2, "an integer of at least 2")
    expected = f"an integer from 1 to {frequent} (`frequent`)"
    check_integer("ratio", ratio, 1, expected, frequent)
    # NumPy keeps the stream of this older generator the same in every version,
    # and recorded results need the same classes again.
    generator = np.random.RandomState(check_seed("seed", seed))
    counts = np.full(classes, frequent)
    counts[generator.permutation(classes)[: classes // 2]] //= ratio
    return counts


def sample_rows(y, counts, seed=0):
    """Row numbers that hold each class so many times.

    Of a class that has enough, rows are drawn without replacement: random
    undersampling. Of a class that has fewer, all are taken, and copies of
    random ones besides: random oversampling. So
    `sample_rows(y, [np.bincount(y).max()] * classes)` oversamples all classes
    to the size of the largest.

    Args:
        y: array of integers of shape `(n,)`, classes from 0.
        counts: sequence of non-negative integers, at least one: how many rows
            of each class.
        seed: non-negative integer below 2 ** 32. Equal seeds give equal rows.
            Defaults to `0`.

    Returns:
        Array of integers of shape `(sum(counts),)`, the rows of class 0
        first: shuffle them where the order matters.

    Raises:
        ValueError: if `y` is not such an array, or has a class without a
            count; if `counts` asks for rows of a class that `y` lacks, or is
            not as described above; or if `seed` is no such integer.
    """
    expected = "an array of integers from 0 of shape (n,)"
    try:
        y = np.asarray(y)
    except ValueError:  # rows of different lengths
        raise invalid_argument("y", expected, y) from None
    is_label = y.ndim == 1 and np.issubdtype(y.dtype, np.integer)
    if not is_label or np.any(y < 0):
        raise invalid_argument("y", expected, y)
    expected = "a sequence of non-negative integers, at least one"
    if not np.iterable(counts):
        raise invalid_argument("counts", expected, counts)
    counts = [*counts]
    if not counts or not all(is_integer(n) and n >= 0 for n in counts):
        raise invalid_argument("counts", expected, counts)
    there = np.bincount(y.astype("int64"), minlength=len(counts))
    if len(there) > len(counts):
        expected = f"a count for each of {len(there)} classes"
        raise invalid_argument("counts", expected, counts)
    lacking = (there == 0) & (np.array(counts) > 0)
    if np.any(lacking):
        expected = f"0 for class {np.argmax(lacking)}, which `y` lacks"
        raise invalid_argument("counts", expected, counts)
    generator = np.random.RandomState(check_seed("seed", seed))
    chosen = []
    for label, count in enumerate(counts):
        rows = generator.permutation(np.flatnonzero(y == label))
        copies = max(count - len(rows), 0)
        chosen.append(rows[:count])
        if copies:
            chosen.append(generator.choice(rows, copies))
    return np.concatenate(chosen)
