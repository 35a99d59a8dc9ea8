"""How long a training took to get to a level."""

import numpy as np


def epochs_to(level, curve):
    """The number of epochs after which a rising curve first gets to a level.

    It is read off the line between two epochs, since whole epochs would often
    say the same of two networks. What happens within the first epoch is not
    seen: 1 is the least. A curve that stays below the level counts as one that
    gets there in the epoch after its last.

    Args:
        level: number, such as `0.9` for an accuracy.
        curve: sequence of a number for each epoch, at least one, as in the
            `history` that `fit` returns. Of a falling one, such as a loss,
            take the negative, and of the level as well.

    Returns:
        Float, from 1 to `len(curve) + 1`.
    """
    curve = np.asarray(curve, dtype="float64")
    reached = np.flatnonzero(curve >= level)
    if not reached.size:
        return float(len(curve) + 1)
    epoch = reached[0]  # counted from 0
    if epoch == 0:
        return 1.0
    before, after = curve[epoch - 1 : epoch + 1]
    return float(epoch + (level - before) / (after - before))
