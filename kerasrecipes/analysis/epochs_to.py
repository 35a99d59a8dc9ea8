"""How long a training took to get to a level."""

import numpy as np

from kerasrecipes.checks import invalid_argument, is_finite_number


def epochs_to(level, curve):
    """The number of epochs after which a rising curve first gets to a level.

    It is read off the line between two epochs, since whole epochs would often
    say the same of two networks. What happens within the first epoch is not
    seen: 1 is the least. A curve that stays below the level counts as one that
    gets there in the epoch after its last.

    Args:
        level: finite number, such as `0.9` for an accuracy.
        curve: sequence of a number for each epoch, at least one, as in the
            `history` that `fit` returns. Of a falling one, such as a loss,
            take the negative, and of the level as well.

    Returns:
        Float, from 1 to `len(curve) + 1`.

    Raises:
        ValueError: if an argument is not as described above.
    """
    if not is_finite_number(level):
        raise invalid_argument("level", "a finite number", level)
    try:
        values = np.asarray(curve, dtype="float64")
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 1 or not values.size:
        expected = "a sequence of numbers, at least one"
        raise invalid_argument("curve", expected, curve)
    reached = np.flatnonzero(values >= level)
    if not reached.size:
        return float(len(values) + 1)
    epoch = reached[0]  # counted from 0
    # There is no line to the first epoch, and none from NaN or infinity.
    if epoch == 0 or not np.isfinite(values[epoch - 1]):
        return float(epoch + 1)
    before, after = values[epoch - 1 : epoch + 1]
    return float(epoch + (level - before) / (after - before))
