"""What is wrong with a training, read off its curves."""

import numpy as np

from kerasrecipes.checks import (
    invalid_argument,
    invalid_input,
    is_finite_number,
)

FEWEST_EPOCHS = 12
UNCLEAR = "unclear"


def diagnose(history, chance=None, attainable=0.0):
    r"""Names what the curves of a training show, or says that it is unclear.

    The rules read losses as a share of what there is to learn: 1 is as good as
    guessing, 0 is as good as can be. With the loss :math:`L_e` of epoch
    :math:`e`,

    .. math:: s_e = \frac{L_e - \text{attainable}}
        {\text{chance} - \text{attainable}}

    so that a loss in other units gets the same answer. The *tail* is the last
    third of the epochs, the *head* the first third. The *trend* is Kendall's
    :math:`\tau` of the loss over the epochs: 1 where each is higher than all
    before, -1 where each is lower. Both curves are *settled* where the tail of
    each spans at most 0.1, their medians are at most 0.1 apart, and that of the
    training loss is below the middle third's by at most a quarter of all that
    was gained.

    - `"divergence"`: the training loss becomes infinite, or NaN after it was
      above 3; or its whole tail is above 3 and above the whole head, with a
      trend of 0.7 or more. Where `chance` is given, a whole tail above 3 is
      enough, and so is an epoch above 1000.
    - `"underfitting"`: both curves are settled, the training loss is no
      straight line (see below), and 0.3 to 0.9 is left: the network learns
      something, and then cannot learn what remains.
    - `"plateau"`: the same, and at most 0.15 is left: more epochs bring
      nothing.
    - `"overfitting"`: the training loss falls, with a trend of -0.8 or less,
      while the validation loss turned or stayed behind. Turned: in the tail
      its median is 0.1 or more above its lowest, with a trend of at least 0.5
      since then. Stayed behind: its tail is 0.3 or more above the other's.
    - `"leak"`: the whole tail of the validation loss is below what is
      attainable, and its median by 0.15 or more: too good to be true.
    - `"too low learning rate"`: the training loss falls with a trend of -0.9
      or less in nearly a straight line: its median falls from the middle third
      to the tail by 0.75 to 1.5 times of what it falls from the head to the
      middle, and by 0.005 in all. More than half is left. A validation loss,
      if there is one, falls with a trend of -0.8 or less.
    - `"too high learning rate"`: what was learned is lost. After the first
      epoch, there is an epoch from which on both curves lie above all that
      they were before, by 0.2 in the medians, with 5 epochs or more on either
      side. Or, where `chance` is given: the last two thirds of the training
      loss are worse than guessing, each epoch 1.01 or more, with no trend
      beyond 0.5 either way, though the whole of it spans 0.05 or more: the
      weights did move. In both forms the median of the tail is at most 3.
    - `"unclear"`: none of these, or several. So are fewer than 12 epochs (a
      loss that turns infinite or NaN is judged by fewer), NaN, and curves
      without a validation loss where the rule needs one, as all but
      divergence, too low, and the second form of too high do.

    Two things are not in the curves, and are assumed where they are not given.
    That `attainable` is zero, as for labels that the inputs settle: where they
    are noisy, a network that has learned all there is gets `"underfitting"`.
    And that the first epoch is as bad as guessing: as that is often not so,
    underfitting and plateau then need three epochs that are 0.05 or more above
    the whole tail, in both curves. A leak is never seen while `attainable` is
    zero: its curves are those of a network that does very well.

    Random noise is `"unclear"`, but for about one draw in ten thousand at 12
    epochs, and fewer with more.

    Example:

    ```python
    history = model.fit(x, y, epochs=30, validation_split=0.2)
    print(diagnose(history, chance=np.log(10)))  # ten classes, as frequent
    ```

    Args:
        history: what `fit` returns, or its `history`: a dict with "loss" and
            mostly "val_loss", sequences of a number for each epoch. Others in
            it play no part.
        chance: number, the loss of a constant prediction, `log(classes)` for
            balanced classes and the variance of the targets for a mean squared
            error. Defaults to `None`: the first epoch's training loss.
        attainable: number below `chance`, the loss of the best model that is
            known, or the entropy of the labels. Defaults to `0.0`.

    Returns:
        String, one of the eight names.

    Raises:
        ValueError: if an argument is invalid, or the two curves have different
            lengths.

    Reference:
        - [Karpathy, 2016, Babysitting the learning process](
          https://cs231n.github.io/neural-networks-3/)
    """
    loss, val_loss = _read_curves(history)
    if not is_finite_number(attainable):
        raise invalid_argument("attainable", "a finite number", attainable)
    if chance is not None and (
        not is_finite_number(chance) or chance <= attainable
    ):
        expected = f"None or a finite number above {attainable}"
        raise invalid_argument("chance", expected, chance)

    start = loss[0] if chance is None else chance
    if not np.isfinite(start) or start <= attainable:
        return UNCLEAR
    share = (loss - attainable) / (start - attainable)
    if not np.isfinite(loss).all():
        return "divergence" if _blows_up(loss, share) else UNCLEAR
    if len(loss) < FEWEST_EPOCHS:
        return UNCLEAR
    straight = _is_straight(share)
    found = {
        "divergence": _diverges(share, chance is None),
        "too high learning rate": chance is not None and _is_bad(share),
    }
    if val_loss is None:
        found["too low learning rate"] = straight
    elif np.isfinite(val_loss).all():
        val_share = (val_loss - attainable) / (start - attainable)
        falls = straight and _trend(val_share) <= -0.8
        found["too low learning rate"] = falls
        found["too high learning rate"] |= _is_lost(share, val_share)
        found["overfitting"] = _overfits(share, val_share)
        found["leak"] = _is_too_good(val_share)
        if not straight and _is_settled(share, val_share, chance is None):
            left = np.median([_tail(share), _tail(val_share)])
            found["underfitting"] = 0.3 <= left <= 0.9
            found["plateau"] = -0.15 < left <= 0.15
    names = [name for name, holds in found.items() if holds]
    return names[0] if len(names) == 1 else UNCLEAR


def _read_curves(history):
    """The two losses as arrays, the second None where there is none."""
    curves = getattr(history, "history", history)
    expected = "a History or a dict with a `loss` for each epoch"
    if not isinstance(curves, dict):
        raise invalid_input("history", expected, type(history).__name__)
    if "loss" not in curves:
        raise invalid_input("history", expected, f"keys {list(curves)}")
    found = []
    for name in ("loss", "val_loss"):
        values = curves.get(name)
        if values is None and name == "val_loss":
            return found[0], None
        try:
            curve = np.asarray(values, dtype="float64")
        except (TypeError, ValueError):
            curve = None
        if curve is None or curve.ndim != 1 or not curve.size:
            expected = f"`{name}` as a sequence of numbers, at least one"
            raise invalid_input("history", expected, repr(values))
        found.append(curve)
    if len(found[0]) != len(found[1]):
        expected = "a `val_loss` for each `loss` (validation_freq=1)"
        received = f"{len(found[1])} for {len(found[0])}"
        raise invalid_input("history", expected, received)
    return tuple(found)


def _tail(curve):
    return curve[-(len(curve) // 3) :]


def _head(curve):
    return curve[: len(curve) // 3]


def _trend(curve):
    """Kendall's tau over the epochs; equal losses count as neither."""
    later, earlier = np.tril_indices(len(curve), -1)
    return float(np.mean(np.sign(curve[later] - curve[earlier])))


def _blows_up(loss, share):
    """Whether a loss is infinite where it first is no finite number."""
    first = int(np.flatnonzero(~np.isfinite(loss))[0])
    if np.isnan(loss[first]):
        return bool((share[:first] > 3).any())
    return bool(loss[first] > 0)


def _diverges(share, must_rise):
    """Whether a training loss explodes, or ends far above guessing."""
    least = _tail(share).min()
    rises = least > _head(share).max() and _trend(share) >= 0.7
    if must_rise:
        return least > 3 and rises
    return least > 3 or share.max() > 1000


def _is_straight(share):
    """Whether a curve falls slowly, and as much late as early."""
    third = len(share) // 3
    first, last = np.median(_head(share)), np.median(_tail(share))
    middle = np.median(share[third:-third])
    fall = first - middle
    is_line = 0.75 * fall <= middle - last <= 1.5 * fall
    falls = _trend(share) <= -0.9 and first - last >= 0.005
    return falls and is_line and last > 0.5


def _is_bad(share):
    """Whether a training loss has moved, and stays worse than guessing."""
    later = share[len(share) // 3 :]
    is_high = later.min() >= 1.01 and np.median(_tail(share)) <= 3
    return is_high and np.ptp(share) >= 0.05 and abs(_trend(later)) <= 0.5


def _is_lost(share, val_share):
    """Whether both curves step up at one epoch, and stay there."""
    both = np.stack([share, val_share])[:, 1:]
    for split in range(5, both.shape[1] - 4):
        before, after = both[:, :split], both[:, split:]
        rise = np.median(after, axis=1) - np.median(before, axis=1)
        if (after.min(1) > before.max(1)).all() and (rise >= 0.2).all():
            return bool(np.median(_tail(share)) <= 3)
    return False


def _is_too_good(val_share):
    """Whether a validation loss is below what is attainable."""
    tail = _tail(val_share)
    return tail.max() < 0 and np.median(tail) <= -0.15


def _overfits(share, val_share):
    """Whether the training loss falls on, and validation turned or stayed."""
    if _trend(share) > -0.8:
        return False
    level = np.median(_tail(val_share))
    lowest = int(np.argmin(val_share))
    since = val_share[lowest:]
    turned = (
        len(since) >= 5
        and level - val_share[lowest] >= 0.1
        and _trend(since) >= 0.5
    )
    return turned or level - np.median(_tail(share)) >= 0.3


def _is_settled(share, val_share, must_fall):
    """Whether both curves stay where they are, and if need be fell to that."""
    tails = _tail(share), _tail(val_share)
    if max(np.ptp(tail) for tail in tails) > 0.1:
        return False
    if abs(np.median(tails[0]) - np.median(tails[1])) > 0.1:
        return False
    third, last = len(share) // 3, np.median(tails[0])
    if np.median(share[third:-third]) - last > 0.25 * (1 - last):
        return False
    return not must_fall or all(
        curve[:3].min() >= tail.max() + 0.05
        for curve, tail in zip((share, val_share), tails, strict=True)
    )
