"""Ten disjoint test folds, and training subsets that grow into one another."""

import numbers

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

FOLDS = 10

# The largest seed that NumPy's frozen generator and the splitters take.
_LAST_FOLD = 2**32 - 1


def fold_indices(y, examples=None, fold=0):
    """Indices of the training and of the test examples of one fold.

    Fold `s` tests on part `s % 10` of shuffle number `s // 10`, so that the
    folds 0 to 9 (or 10 to 19, ...) test on disjoint parts that together are
    the whole set, and each trains on the nine other parts or on a subset of
    them. Such test parts are what the paired intervals of
    `kerasrecipes.experiment` count on, with the seed of a trial as its fold.

    Within a fold a smaller subset is contained in every larger one: a
    condition on the training size adds examples rather than changing them.

    Args:
        y: array of shape `(n,)`, the targets. Integers are classes, which
            every test part and every training subset holds in their shares
            (as nearly as whole examples can; a subset has each class at least
            once). Floats are a quantity, and are split at random.
        examples: integer, the size of the training subset, at least the
            number of classes. Defaults to `None`: the whole training part.
        fold: non-negative integer, the seed of a trial. Defaults to `0`.

    Returns:
        Two integer arrays: indices of the training examples in a random order
        that depends on `fold` and `examples` alone, and indices of the test
        examples in rising order.

    Raises:
        ValueError: if `examples` or `fold` is no integer or out of range.

    Reference:
        - [Nadeau and Bengio, 2003](https://doi.org/10.1023/A:1024068626366):
          why the overlap of the training parts widens an interval.
    """
    fold = _checked(
        "fold", fold, 0, _LAST_FOLD, "a non-negative integer below 2 ** 32"
    )
    is_classes = np.issubdtype(y.dtype, np.integer)
    splitter = StratifiedKFold if is_classes else KFold
    shuffle, part = divmod(fold, FOLDS)
    splits = splitter(FOLDS, shuffle=True, random_state=shuffle).split(y, y)
    train, test = list(splits)[part]

    labels = y[train] if is_classes else np.zeros(len(train), dtype=int)
    least, most = len(np.unique(labels)), len(train)
    if examples is not None:
        examples = _checked(
            "examples",
            examples,
            least,
            most,
            f"an integer between {least} and {most} "
            "(the size of the training part)",
        )
    # NumPy keeps the stream of this older generator the same in every version,
    # and recorded results need the same examples again.
    generator = np.random.RandomState(fold)
    subset = _balanced_order(labels, generator)[:examples]
    return train[generator.permutation(subset)], test


def _balanced_order(labels, generator):
    """Random order of the positions whose every prefix is balanced.

    The members of a class are spread evenly over the order, half a step from
    either end (Sainte-Laguë's rule for sharing out seats), except that the
    first of each class goes to the front.
    """
    order = generator.permutation(len(labels))
    place = np.zeros(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
        place[members[0]] = 0.0
    # A stable sort leaves it to the random order which class goes first where
    # several are due at the same place.
    return order[np.argsort(place[order], kind="stable")]


def _checked(argument, value, least, most, expected):
    """The value as a Python integer, or an error that names the argument."""
    is_integer = isinstance(value, numbers.Integral)
    if isinstance(value, bool) or not is_integer or not least <= value <= most:
        raise ValueError(
            f"Invalid value for argument `{argument}`: expected {expected}. "
            f"Received: {argument}={value!r}"
        )
    return int(value)
